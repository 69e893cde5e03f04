"""Reassembly as one would write it without denseup: by unfolding, and by shifting and adding.

Every form takes features `[B, C, h, w]`, kernels `[B, K², H, W]`, H and W a whole multiple of h and w, and K (odd), and
gives `[B, C, H, W]`; what it computes is said at `denseup.ops.reassemble`, with one group.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Form = Callable[[Tensor, Tensor, int], Tensor]


def by_unfolding(de: Tensor, kernels: Tensor, kernel_size: int) -> Tensor:
    """The straightforward form: K²·C maps of windows, raised by nearest neighbour, times the kernels, summed."""
    return (_raised_windows(de, kernels, kernel_size) * kernels[:, None]).sum(2)


def by_einsum(de: Tensor, kernels: Tensor, kernel_size: int) -> Tensor:
    """The same windows, contracted with the kernels in one einsum, as FADE's authors' PyTorch implementation does it.

    Public implementations of CARAFE mostly raise the map first, unfold it with a dilation, and contract it so too: the
    same memory, and the same time.
    """
    return torch.einsum("bckhw,bkhw->bchw", _raised_windows(de, kernels, kernel_size), kernels)


def _raised_windows(de: Tensor, kernels: Tensor, kernel_size: int) -> Tensor:
    """`[B, C, K², H, W]`."""
    batch, channels, height, width = de.shape
    windows = F.unfold(de, kernel_size, padding=kernel_size // 2).reshape(batch, -1, height, width)
    raised = F.interpolate(windows, size=kernels.shape[2:], mode="nearest")
    return raised.unflatten(1, (channels, kernel_size**2))


def by_gathering(de: Tensor, kernels: Tensor, kernel_size: int) -> Tensor:
    """Shifted views of the small map, broadcast over the pixels they are raised to, and added: for torch.compile."""
    batch, channels, height, width = de.shape
    out_height, out_width = kernels.shape[2:]
    radius = kernel_size // 2
    padded = F.pad(de, (radius, radius, radius, radius))
    phases = kernels.reshape(batch, kernel_size**2, height, out_height // height, width, out_width // width)
    out = torch.zeros((), dtype=de.dtype, device=de.device)
    for tap in range(kernel_size**2):
        row, column = divmod(tap, kernel_size)
        window = padded[:, :, row : row + height, None, column : column + width, None]
        out = out + window * phases[:, None, tap]
    return out.reshape(batch, channels, out_height, out_width)


def unfolding_bytes(de: Tensor, kernels: Tensor) -> int:
    """About what `by_unfolding` needs at its worst moment, with gradients: four maps of K²·C channels at full size."""
    return 4 * de.shape[1] * kernels.numel() * de.element_size()

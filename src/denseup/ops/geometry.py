"""Which low-resolution pixel an output pixel belongs to, for any pair of sizes.

Output row y of H' belongs to source row floor(y·h / H'), computed in integers, so that no size suffers from the
rounding of a floating-point scale. For an integer factor s this is floor(y / s), the published definition.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import transforms
from denseup.ops.repeating import must_repeat

Size = tuple[int, int]


def size_of(x: Tensor) -> Size:
    """Height and width of a map."""
    return x.shape[-2], x.shape[-1]


def source_index(length: int, output_length: int, device: torch.device | None = None) -> Tensor:
    """Source index floor(y·length / output_length) of each output index y, int64 `[output_length]`."""
    return torch.arange(output_length, device=device) * length // output_length


def window_start(length: int, output_length: int, kernel_size: int, device: torch.device | None = None) -> Tensor:
    """First index of the window around the source index of each output index, moved inwards to stay in the map.

    int64 `[output_length]`; a map shorter than the window has one that begins with it.
    """
    before = source_index(length, output_length, device) - kernel_size // 2
    return before.clamp(max=length - kernel_size).clamp(min=0)


def centre_index(length: int, output_length: int, device: torch.device | None = None) -> Tensor:
    """The source index in which the centre of each output index lies: ⌊(y + ½)·length / output_length⌋.

    int64 `[output_length]`, by whole numbers.
    """
    return (2 * torch.arange(output_length, device=device) + 1) * length // (2 * output_length)


def divided_up(length: int, divisor: int) -> int:
    """⌈length / divisor⌉ for lengths ≥ 0, also in a graph of ONNX, whose division rounds negative numbers towards 0."""
    return (length + divisor - 1) // divisor


def phase_slots(length: int, output_length: int, device: torch.device | None = None) -> tuple[int, Tensor]:
    """Place every output index in a regular grid of `factor` slots for each source index.

    Returns:
        factor: the smallest integer with factor·length ≥ output_length.
        slots: int64 `[output_length]`, strictly increasing; slot // factor is the source index. For an integer ratio
            the slots are 0, 1, 2, …: nothing is left empty.
    """
    source = source_index(length, output_length, device)
    first = (source * output_length + length - 1) // length  # the first output index of the same source index
    phase = torch.arange(output_length, device=device) - first
    factor = divided_up(output_length, length)
    return factor, source * factor + phase


def source_positions(length: int, output_length: int, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """Where the centre of each output pixel y lies among the source pixels: (y + ½)·length / output_length - ½."""
    return (torch.arange(output_length, dtype=dtype, device=device) + 0.5) * (length / output_length) - 0.5


def position_grid(rows: Tensor, columns: Tensor, groups: int = 1) -> Tensor:
    """Positions for `sample_bilinear` from those of rows `[H]` and columns `[W]`, the same for all groups.

    `[2·G, H, W]`, the columns of all groups first.
    """
    size = rows.shape[0], columns.shape[0]
    return torch.stack([columns.expand(size), rows[:, None].expand(size)]).repeat_interleave(groups, 0)


def centre_grid(low: Tensor, size: Size, dtype: torch.dtype, groups: int = 1) -> Tensor:
    """Where bilinear interpolation of `low` `[B, C, h, w]` to `size` reads: `[2·G, *size]`."""
    lengths = zip(size_of(low), size, strict=True)
    rows, columns = (source_positions(length, out, dtype, low.device) for length, out in lengths)
    return position_grid(rows, columns, groups)


def parent_grid(low: Tensor, size: Size, dtype: torch.dtype, groups: int = 1) -> Tensor:
    """The source pixel of each output pixel as a position in `low` `[B, C, h, w]`: `[2·G, *size]`."""
    lengths = zip(size_of(low), size, strict=True)
    rows, columns = (source_index(length, out, low.device).to(dtype) for length, out in lengths)
    return position_grid(rows, columns, groups)


def at_most(length: int, limit: int) -> int:
    """The lesser of two sizes, also where they are symbols, or tensors as in `torch.jit.trace`."""
    if torch.is_tensor(length) or torch.is_tensor(limit):
        return cast(int, torch.minimum(torch.as_tensor(length), torch.as_tensor(limit)))
    return cast(int, torch.sym_min(length, limit))  # type: ignore[no-untyped-call]


def pad_to_even(x: Tensor) -> Tensor:
    """Repeat the last row and column of `[B, C, H, W]` where H or W is odd; even sizes come back as they are."""
    for dim in (2, 3):
        length = x.shape[dim]
        odd = length % 2
        if transforms.are_dynamic(length):
            x = x.index_select(dim, torch.arange(length + odd, device=x.device).clamp(max=length - 1))
        elif int(odd):  # a tensor in `torch.jit.trace`
            x = torch.cat([x, x.narrow(dim, length - 1, 1)], dim)
    return x


def upper_left(x: Tensor, size: Size) -> Tensor:
    """What `[B, C, ≥ H, ≥ W]` has in its upper left corner, `[B, C, *size]`: a view, or in graphs for any size a copy.

    Whether a slice is contiguous differs with the size, and torch would hold a graph to what it was in the example.
    """
    if not transforms.are_dynamic(*x.shape[2:], *size):
        return x[..., : size[0], : size[1]]
    rows, columns = (torch.arange(length, device=x.device) for length in size)
    return x.index_select(2, rows).index_select(3, columns)


def reflected(length: int, edge: int, device: torch.device | None = None) -> Tensor:
    """Indices -edge ... length - 1 + edge, folded into the map at its first and last pixel, as often as it takes.

    int64 `[length + 2·edge]`. The end pixels are not repeated; of a single pixel there is nothing else to take.
    """
    beyond = torch.arange(-edge, length + edge, device=device).abs()
    last = torch.zeros_like(beyond) + (length - 1)
    period = (2 * last).clamp(min=1)
    beyond = beyond % period
    return torch.minimum(torch.minimum(beyond, period - beyond), last)


def pad_by_reflection(x: Tensor, edge: int) -> Tensor:
    """`[B, C, H, W]` → `[B, C, H + 2·edge, W + 2·edge]`; also of maps smaller than the edge, which torch refuses."""
    height, width = size_of(x)
    if not transforms.takes_any_size(height, width):
        fits = height > edge and width > edge and x.numel()
        if fits and not must_repeat(x):
            return F.pad(x, (edge,) * 4, mode="reflect")
    rows, columns = reflected(height, edge, x.device), reflected(width, edge, x.device)
    return x.index_select(2, rows).index_select(3, columns)


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """`[B, C·factor², H, W]` → `[B, C, H·factor, W·factor]`; torch's own has no gradient where there are no images."""
    batch, channels, height, width = x.shape
    if isinstance(batch, torch.SymInt) or batch != 0:
        return F.pixel_shuffle(x, factor)
    cells = x.reshape(0, channels // factor**2, factor, factor, height, width).permute(0, 1, 4, 2, 5, 3)
    return cells.reshape(0, channels // factor**2, height * factor, width * factor)


def like_layout(x: Tensor, other: Tensor) -> Tensor:
    """`x` dense and in the memory format of `other`: channels-last if that is and is not plainly contiguous too."""
    return x.contiguous(memory_format=layout(other))


def new_map(like: Tensor, channels: int, size: Size) -> Tensor:
    """A map without values, in the dtype and memory format of `like`: `[B, channels, *size]`."""
    shape = (like.shape[0], channels, *size)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout(like))


def layout(x: Tensor) -> torch.memory_format:
    """The memory format that results for a map `x` have; under `torch.vmap` nobody may ask."""
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        return torch.contiguous_format
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format

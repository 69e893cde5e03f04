"""mmcv back end: the CUDA operator of the CARAFE authors, `carafe` of a compiled mmcv, to compare against.

It serves one integer ratio for both directions, contiguous NCHW maps, float32 and float16; its sums have the precision
of the inputs. Each of its two functions takes, besides inputs and outputs, scratch maps that it resizes to NHWC itself.
The one input that comes as NHWC is the feature map of the backward, which its forward would have left in such a map.
"""

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from typing import Any

import torch
from torch import Tensor

from denseup.ops.arithmetic import blend, by_group, softmax_by_group
from denseup.ops.geometry import Size, size_of
from denseup.ops.nearest import resize_nearest, sum_of_cells
from denseup.ops.reassembly.contractions import Gradients

NAME = "mmcv"
DTYPES = (torch.float32, torch.float16)
MAX_KERNEL_CHANNELS = 384  # its kernels keep 32 pixels of G·K² weights in 48 KiB of shared memory and check no bounds


def unsupported_reasons(de: Tensor, kernel_size: int, groups: int) -> list[str]:
    """Why this back end cannot serve a call, as far as the features tell: the ratio is checked when it is called."""
    found = []
    if not _INSTALLED:
        found.append("mmcv is not installed with its compiled operators (mmcv._ext is missing; mmcv-lite has none)")
    if not de.is_cuda:
        found.append(f"the tensors are on {de.device.type!r}, not on 'cuda'")
    if de.dtype not in DTYPES:
        found.append(f"dtype is {de.dtype}, it has float32 and float16")
    if not de.is_contiguous():
        found.append(f"the features have strides {de.stride()}, it has contiguous NCHW only")
    if kernel_size < 1 or kernel_size % 2 == 0:
        found.append(f"kernel_size is {kernel_size}, it has odd ones only")
    if groups * kernel_size**2 > MAX_KERNEL_CHANNELS:
        found.append(f"groups·kernel_size² is {groups * kernel_size**2}, it has up to {MAX_KERNEL_CHANNELS}")
    if groups < 1 or de.shape[1] % groups:
        found.append(f"groups is {groups}, not a divisor of the {de.shape[1]} channels")
    return found


def reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
    """`[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    ratio = _ratio(size_of(de), size_of(kernels))
    features, masks = de.contiguous(), kernels.to(de.dtype).contiguous()
    out = features.new_zeros(*de.shape[:2], *size_of(kernels))
    scratch = torch.zeros_like(features), torch.zeros_like(out), torch.zeros_like(masks)
    _extension().carafe_forward(
        features, masks, *scratch, out, kernel_size=kernel_size, group_size=groups, scale_factor=ratio
    )
    return out


def adjoint(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> Tensor:
    """`[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, *size]`."""
    features = grad.new_zeros(*grad.shape[:2], *size)  # they matter to the gradient of the kernels only
    return _backward(grad, features, kernels.to(grad.dtype), kernel_size, groups)[0]


def similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]` → `[B, G·K², H, W]`."""
    kernels = query.new_zeros(
        query.shape[0], groups * kernel_size**2, *size_of(query)
    )  # for the features' gradient only
    return _backward(query, key.to(query.dtype), kernels, kernel_size, groups)[1]


def softmax_reassemble(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int
) -> Tensor:
    """Softmax, reassembly and gate, one after the other: `[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`.

    With `en` `[B, C, H, W]` and `gate` `[B, 1, h, w]`, the result is g·en + (1 - g)·up, g at the source pixel.
    """
    up = reassemble(de, softmax_by_group(logits, groups), kernel_size, groups)
    if en is None or gate is None:
        return up
    return blend(up, en.to(up.dtype), resize_nearest(gate, size_of(up)).to(up.dtype))


def softmax_reassemble_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
) -> Gradients:
    """Gradients of `softmax_reassemble` in de, logits, en and gate."""
    kernels = softmax_by_group(logits, groups)
    high = None if gate is None else resize_nearest(gate.float(), size_of(grad))
    grad_up = grad if high is None else (grad * (1 - high)).to(grad.dtype)
    grad_de, grad_kernels = _backward(grad_up, de.to(grad.dtype), kernels.to(grad.dtype), kernel_size, groups)
    weights, slopes = by_group(kernels, groups), by_group(grad_kernels.float(), groups)
    mean = (weights * slopes).sum(2, keepdim=True)
    grad_logits = (weights * (slopes - mean)).flatten(1, 2).to(logits.dtype)
    if en is None or gate is None or high is None:
        return grad_de.to(de.dtype), grad_logits, None, None
    up = reassemble(de, kernels, kernel_size, groups)
    slope = (grad.float() * (en.float() - up.float())).sum(1, keepdim=True)
    grad_gate = sum_of_cells(slope, size_of(gate))
    return grad_de.to(de.dtype), grad_logits, (grad * high).to(en.dtype), grad_gate.to(gate.dtype)


def _backward(grad: Tensor, features: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> tuple[Tensor, Tensor]:
    """Gradients of the features and of the kernels; it computes both."""
    ratio = _ratio(size_of(features), size_of(grad))
    grad, masks = grad.contiguous(), kernels.contiguous()
    by_pixel = features.permute(0, 2, 3, 1).contiguous()
    grad_features = torch.zeros_like(features, memory_format=torch.contiguous_format)
    grad_masks = torch.zeros_like(masks)
    scratch = (torch.zeros_like(x) for x in (grad, grad, grad_features, masks))
    _extension().carafe_backward(
        *(grad, by_pixel, masks, *scratch, grad_features, grad_masks),
        kernel_size=kernel_size,
        group_size=groups,
        scale_factor=ratio,
    )
    return grad_features, grad_masks


def _ratio(low: Size, high: Size) -> int:
    """The one integer ratio of both directions."""
    ratio = high[0] // low[0]
    if (low[0] * ratio, low[1] * ratio) != tuple(high):
        raise ValueError(f"backend 'mmcv' cannot go from {tuple(low)} to {tuple(high)}: it has one integer ratio only")
    return ratio


def _has_extension() -> bool:
    """Whether mmcv has compiled operators; looked up without importing anything."""
    if "mmcv._ext" in sys.modules:
        return True
    try:
        package = importlib.util.find_spec("mmcv")
    except ValueError:  # something without a spec stands in its place
        return False
    folders = package.submodule_search_locations if package else None
    return folders is not None and PathFinder.find_spec("mmcv._ext", folders) is not None


def _extension() -> Any:
    return importlib.import_module("mmcv._ext")


_INSTALLED = _has_extension()

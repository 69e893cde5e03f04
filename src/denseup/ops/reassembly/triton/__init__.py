"""Triton back end: forward, both gradients, and softmax and gate fused with them, for float32, float16 and bfloat16.

The kernels are in `kernels.py`; this module says what they can serve and calls them.
Every sum is float32, every gradient is gathered (no atomics), so that results do not change from run to run. Without a
GPU the kernels run in Triton's interpreter if TRITON_INTERPRET=1 is set before their first use: slow, for tests.
"""

import importlib.util
import os

import torch
from torch import Tensor

from denseup.ops.geometry import Size, layout, size_of
from denseup.ops.reassembly.contractions import Gradients
from denseup.ops.reassembly.triton.launching import (
    ceil_div,
    choose_tile,
    constants_of,
    empty_map,
    launch,
    most_phases,
    plane_strides,
    power_of_two,
    window_constants,
)

NAME = "triton"
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
MAX_KERNEL_SIZE = 31  # K² is a tile's side in some kernels; beyond this it no longer fits the registers
ROWS_OF_ADJOINT = 4  # of `adjoint_kernel`


def unsupported_reasons(de: Tensor, kernel_size: int, groups: int) -> list[str]:
    """Why this back end cannot serve a call."""
    found = machine_reasons(de)
    if de.dtype not in DTYPES:
        found.append(f"dtype is {de.dtype}, it has float32, float16 and bfloat16")
    if kernel_size < 1 or kernel_size % 2 == 0 or kernel_size > MAX_KERNEL_SIZE:
        found.append(f"kernel_size is {kernel_size}, it has odd ones up to {MAX_KERNEL_SIZE}")
    if groups < 1 or de.shape[1] % groups:
        found.append(f"groups is {groups}, not a divisor of the {de.shape[1]} channels")
    return found


def machine_reasons(x: Tensor) -> list[str]:
    """Why no Triton kernel can run here on such a tensor."""
    found = []
    if not _INSTALLED:
        found.append("triton is not installed")
    if not x.is_cuda and not (os.environ.get("TRITON_INTERPRET") == "1" and x.device.type == "cpu"):
        found.append(f"the tensors are on {x.device.type!r}, not on 'cuda' (or on 'cpu' with TRITON_INTERPRET=1)")
    return found


def reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
    """`[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    return _reassemble(de, kernels, None, None, kernel_size, groups, softmax=False)


def softmax_reassemble(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int
) -> Tensor:
    """Softmax, reassembly and gate in one: `[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`.

    With `en` `[B, C, H, W]` and `gate` `[B, 1, h, w]`, the result is g·en + (1 - g)·up, g at the source pixel.
    """
    return _reassemble(de, logits, en, gate, kernel_size, groups, softmax=True)


def adjoint(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> Tensor:
    """`[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, *size]`."""
    return _adjoint(grad, kernels, kernel_size, groups, size, like=grad)


def similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]` → `[B, G·K², H, W]`."""
    return _similarity(query, key, kernel_size, groups, query.dtype, like=query)


def softmax_reassemble_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
) -> Gradients:
    """Gradients of `softmax_reassemble`, each with the dtype and memory format of its own map.

    One map of kernels, K²·H·W in float32, is the only one stored between the kernels: it holds first the inner
    products of grad and the windows, then the kernels times 1 - gate.
    """
    kernels = _similarity(grad, de, kernel_size, groups, torch.float32, like=logits)
    grad_logits, mixed = _softmax_backward(logits, kernels, gate, kernel_size, groups, size_of(de))
    grad_de = _adjoint(grad, kernels, kernel_size, groups, size_of(de), like=de)
    if en is None or gate is None:
        return grad_de, grad_logits, None, None
    return grad_de, grad_logits, *_gate_backward(grad, en, gate, mixed)


def _reassemble(
    de: Tensor,
    kernels: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    softmax: bool,
) -> Tensor:
    low, high = size_of(de), size_of(kernels)
    out = empty_map(de, de.shape[1], high, de.dtype)
    channels = de.shape[1] // groups
    tile = choose_tile(layout(out) == torch.channels_last, low, channels)
    blocks, phases = ceil_div(channels, tile.channels), [ceil_div(count, 2) for count in most_phases(low, high)]
    launch(
        "reassemble_kernel",
        de.shape[0] * tile.tile_rows * tile.tile_columns * phases[0] * phases[1] * groups * blocks,
        (
            *(de, kernels, de if en is None else en, de if gate is None else gate, out),
            *(channels, groups, *low, *high, *de.stride(), *kernels.stride()),
            *((0, 0, 0, 0) if en is None else en.stride()),
            *((0, 0, 0) if gate is None else plane_strides(gate)),
            *(*out.stride(), blocks, *phases, tile.tile_rows, tile.tile_columns),
        ),
        {
            **window_constants(kernel_size, taps=True),
            **constants_of(tile, low, high),
            "CHANNELS": tile.channels,
            "SOFTMAX": softmax,
            "GATED": gate is not None,
            "ROW_WISE": layout(out) != torch.channels_last,
        },
    )
    return out.to(de.dtype)


def _adjoint(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, low: Size, like: Tensor) -> Tensor:
    out = empty_map(like, grad.shape[1], low, like.dtype)
    channels = grad.shape[1] // groups
    last = layout(grad) == torch.channels_last
    tile = choose_tile(
        last, low, channels, ROWS_OF_ADJOINT, most_channels=128 if last else 16
    )  # with 32 registers spill
    blocks = ceil_div(channels, tile.channels)
    launch(
        "adjoint_kernel",
        grad.shape[0] * tile.tile_rows * tile.tile_columns * groups * blocks,
        (
            *(grad, kernels, out, channels, groups, *low, *size_of(grad)),
            *(*grad.stride(), *kernels.stride(), *out.stride()),
            *(blocks, tile.tile_rows, tile.tile_columns, *most_phases(low, size_of(grad))),
        ),
        {
            **window_constants(kernel_size),
            **constants_of(tile, low, size_of(grad)),
            "CHANNELS": tile.channels,
        },
    )
    return out.to(like.dtype)


def _similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int, dtype: torch.dtype, like: Tensor) -> Tensor:
    low, high = size_of(key), size_of(query)
    out = empty_map(like, groups * kernel_size**2, high, dtype)
    channels, by_taps = query.shape[1] // groups, layout(query) != torch.channels_last
    block = power_of_two(kernel_size**2) if by_taps else min(power_of_two(channels), 256)
    tile = choose_tile(not by_taps, low, block, most_channels=block)
    phases = [ceil_div(count, 2) for count in most_phases(low, high)]
    launch(
        "similarity_kernel",
        query.shape[0] * tile.tile_rows * tile.tile_columns * phases[0] * phases[1] * groups,
        (
            *(query, key, out, channels, groups, *low, *high),
            *(*query.stride(), *key.stride(), *out.stride()),
            *(*phases, tile.tile_rows, tile.tile_columns),
        ),
        {
            **window_constants(kernel_size, taps=True),
            **constants_of(tile, low, high),
            "CHANNELS": block,
            "BY_TAPS": by_taps,
            "ONE_BLOCK": channels <= block,
        },
    )
    return out.to(dtype)


def _softmax_backward(
    logits: Tensor, kernels: Tensor, gate: Tensor | None, kernel_size: int, groups: int, low: Size
) -> tuple[Tensor, Tensor]:
    """Gradient of the logits, and what each output pixel's gate is to lose `[B, H, W]`; `kernels` is overwritten."""
    grad_logits = empty_map(logits, logits.shape[1], size_of(logits), logits.dtype)
    mixed = kernels.new_empty(kernels.shape[0], *size_of(kernels))
    taps = power_of_two(kernel_size**2)
    tile = choose_tile(layout(logits) == torch.channels_last, size_of(logits), taps, most_channels=taps)
    launch(
        "softmax_backward_kernel",
        logits.shape[0] * tile.tile_rows * tile.tile_columns,
        (
            *(logits, kernels, logits if gate is None else gate, grad_logits, mixed),
            *(groups, *low, *size_of(logits), *logits.stride(), *kernels.stride()),
            *((0, 0, 0) if gate is None else plane_strides(gate)),
            *(*grad_logits.stride(), tile.tile_rows, tile.tile_columns),
        ),
        {
            **window_constants(kernel_size, taps=True),
            "TILE_Y": tile.rows,
            "TILE_X": tile.columns,
            "GATED": gate is not None,
        },
    )
    return grad_logits.to(logits.dtype), mixed


def _gate_backward(grad: Tensor, en: Tensor, gate: Tensor, mixed: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of `en` and of `gate`."""
    low, high = size_of(gate), size_of(en)
    grad_en = empty_map(en, en.shape[1], high, en.dtype)
    grad_gate = empty_map(gate, 1, low, gate.dtype)
    tile = choose_tile(layout(grad) == torch.channels_last, low, en.shape[1])
    launch(
        "gate_backward_kernel",
        en.shape[0] * tile.tile_rows * tile.tile_columns,
        (
            *(grad, en, gate, mixed, grad_en, grad_gate, en.shape[1], *low, *high),
            *(*grad.stride(), *en.stride(), *plane_strides(gate), *grad_en.stride()),
            *(tile.tile_rows, tile.tile_columns, *most_phases(low, high)),
        ),
        {
            **constants_of(tile, low, high),
            "CHANNELS": tile.channels,
        },
    )
    return grad_en.to(en.dtype), grad_gate.to(gate.dtype)


def _installed() -> bool:
    """Looked up without importing it."""
    try:
        return importlib.util.find_spec("triton") is not None
    except ValueError:  # something without a spec stands in its place
        return False


_INSTALLED = _installed()

"""Launching the Triton kernels: their tiles, the constants that they are compiled with, the maps they write."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from denseup.ops.geometry import Size, layout

WARPS = 8
TILE = 8 * 32 * WARPS
"""Elements of a tile, 8 a thread: four accumulators of it leave registers for loads in flight."""
MOST_PIXELS = 64
"""With fewer pixels than threads, Triton loads a pixel's weight in every thread rather than share it."""


class Tile(NamedTuple):
    """What one program of a kernel owns, and how many such tiles cover the map."""

    rows: int
    columns: int
    channels: int
    tile_rows: int
    tile_columns: int


def choose_tile(
    channels_last: bool, size: Size, channels: int, rows_per_pixel: int = 1, most_channels: int | None = None
) -> Tile:
    """The tile for a map of this size and memory format.

    channels_last: many channels (128: with 16-byte loads, 16 threads read the 256 bytes of a pixel) and a square of
    pixels, whose windows overlap most. NCHW: a long piece of a row, and fewer channels.
    """
    block = min(power_of_two(channels), most_channels or (128 if channels_last else TILE // MOST_PIXELS))
    pixels = max(1, min(TILE // block, MOST_PIXELS))
    side = 1 << ((pixels * rows_per_pixel).bit_length() // 2)
    columns = min(side if channels_last else pixels, pixels, power_of_two(size[1]))
    rows = min(pixels // columns, power_of_two(ceil_div(size[0], rows_per_pixel)))
    return Tile(rows, columns, block, ceil_div(size[0], rows * rows_per_pixel), ceil_div(size[1], columns))


def constants_of(tile: Tile, low: Size, high: Size) -> dict[str, int]:
    """The shape of a tile and the ratio, 0 where it is no integer."""
    factors = [out // length if out % length == 0 else 0 for length, out in zip(low, high, strict=True)]
    return {"TILE_Y": tile.rows, "TILE_X": tile.columns, "FACTOR_Y": factors[0], "FACTOR_X": factors[1]}


def window_constants(kernel_size: int, taps: bool = False) -> dict[str, int]:
    """K and, with `taps`, the power of two that holds K²."""
    return {"K": kernel_size} | ({"TAPS": power_of_two(kernel_size**2)} if taps else {})


def most_phases(low: Size, high: Size) -> tuple[int, int]:
    """The largest number of output rows and columns that a source pixel has."""
    return ceil_div(high[0], low[0]), ceil_div(high[1], low[1])


def ceil_div(dividend: int, divisor: int) -> int:
    """Quotient, rounded up."""
    return -(-dividend // divisor)


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below `number`."""
    return 1 << (number - 1).bit_length()


def launch(name: str, programs: int, arguments: tuple[Any, ...], constants: dict[str, int]) -> None:
    """Run a kernel of `kernels.py` on the device of its first argument; no program, nothing to do."""
    from denseup.ops.reassembly.triton import kernels  # imports triton

    x = arguments[0]
    on_its_device: AbstractContextManager[Any] = torch.cuda.device(x.device) if x.is_cuda else nullcontext()
    if programs:
        with on_its_device:
            getattr(kernels, name)[(programs,)](*arguments, **constants, num_warps=WARPS)


def empty_map(like: Tensor, channels: int, size: Size, dtype: torch.dtype) -> Tensor:
    """A new map in the memory format of `like`.

    The interpreter cuts off digits on the way to bfloat16 where a GPU rounds, so there the kernels write float32 and
    torch rounds.
    """
    if dtype == torch.bfloat16 and not like.is_cuda:
        dtype = torch.float32
    shape = (like.shape[0], channels, *size)
    return torch.empty(shape, dtype=dtype, device=like.device, memory_format=layout(like))


def plane_strides(gate: Tensor) -> tuple[int, int, int]:
    """Strides of `[B, 1, h, w]` without those of its one channel."""
    batch, _, row, column = gate.stride()
    return batch, row, column

"""Maps of more than 2³¹ elements, read and written: no index of 32 bits on the way. 10 to 20 GB of memory each."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from denseup.ops import reassemble, resize_nearest, sample_bilinear

pytestmark = pytest.mark.slow
CHANNELS, SIDE = 64, 5824
LARGE = (1, CHANNELS, SIDE, SIDE)
"""2.17·10⁹ elements, 4.3 GB in bfloat16."""
SPOTS = ((0, 0), (17, SIDE - 1), (SIDE // 2, 3), (SIDE - 2, SIDE - 1), (SIDE - 1, SIDE - 1))
LAST = torch.channels_last


def available() -> float:
    """GB of memory that can still be had."""
    told = Path("/proc/meminfo")
    if not told.exists():
        pytest.skip("the system does not say how much memory is free")
    return next(int(line.split()[1]) for line in told.read_text().splitlines() if "MemAvailable" in line) / 1e6


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    """What is left after a map is given back before the next."""
    yield
    gc.collect()


def require(gigabytes: float) -> None:
    if available() < gigabytes:
        pytest.skip(f"{available():.1f} GB of memory are free, it takes {gigabytes}")


def small(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()


def large() -> Tensor:
    """Of values that differ from pixel to pixel and are exact in bfloat16, channels-last."""
    x = torch.empty(LARGE, dtype=torch.bfloat16, memory_format=LAST)
    of_row = (torch.arange(SIDE) % 13)[:, None] + torch.arange(CHANNELS)
    rows = [(of_row + k).bfloat16() for k in range(11)]
    for row, pixels in enumerate(x.permute(0, 2, 3, 1)[0]):
        pixels.copy_(rows[row % 11])
    return x


def value(channel: Tensor, row: int, column: int) -> Tensor:
    return (row % 11 + column % 13 + channel).float()


def test_a_large_map_is_read_and_written() -> None:
    """Reassembly at its own size with windows of one pixel: each is doubled."""
    require(12)
    kernels = torch.full((1, 1, SIDE, SIDE), 2.0, dtype=torch.bfloat16)
    out = reassemble(large(), kernels, 1)
    assert out.numel() > 2**31
    for row, column in SPOTS:
        assert torch.equal(out[0, :, row, column].float(), 2 * value(torch.arange(CHANNELS), row, column))


@pytest.mark.parametrize("size", [(91, 91), (5, 7)], ids=str)
def test_resizing_to_a_large_map(size: tuple[int, int]) -> None:
    require(10)
    x = small(1, CHANNELS, *size).contiguous(memory_format=LAST)
    out = resize_nearest(x, (SIDE, SIDE))
    assert out.numel() > 2**31
    for row, column in SPOTS:
        assert torch.equal(out[0, :, row, column], x[0, :, row * size[0] // SIDE, column * size[1] // SIDE])


def test_sampling_to_a_large_map() -> None:
    """In float32, as maps of bfloat16 are sampled: 9 GB, and 4 more for the result."""
    require(15)
    x = small(1, CHANNELS, 9, 9).contiguous(memory_format=LAST)
    along = torch.linspace(0, 8, SIDE)
    positions = torch.stack([along.expand(SIDE, SIDE), along[:, None].expand(SIDE, SIDE)])[None]
    out = sample_bilinear(x, positions)
    assert out.numel() > 2**31
    for row, column in SPOTS:
        one = sample_bilinear(x, positions[:, :, row : row + 1, column : column + 1])
        assert torch.equal(out[0, :, row, column], one[0, :, 0, 0])


def test_softmax_kernels_of_many_elements() -> None:
    """25 logits for each of 9300² pixels, in bfloat16; the C kernels take them in float32: 4.3 and 8.6 GB."""
    require(14.5)
    side, taps = 9300, 25
    logits = torch.zeros(1, taps, side, side, dtype=torch.bfloat16).contiguous(memory_format=LAST)
    assert logits.numel() > 2**31
    logits[0, 12] = 9.0
    logits[0, :, -1, -1] = 0
    de = small(1, 1, 6, 6)
    out = reassemble(de, logits, 5, normalize="softmax")
    few = torch.zeros(1, taps, 6, 6, dtype=torch.bfloat16)
    few[0, 12] = 9.0
    few[0, :, -1, -1] = 0
    expected = reassemble(de, few, 5, normalize="softmax")
    assert out[0, 0, -1, -1] == expected[0, 0, -1, -1]
    assert out[0, 0, 0, -1] == expected[0, 0, 0, -1]
    assert out[0, 0, -2, 17] == expected[0, 0, -1, 0]

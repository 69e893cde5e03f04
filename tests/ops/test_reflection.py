"""Windows of maps that are folded back at their ends: with weights and products moved inside, and with padded maps."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from denseup.ops import local_similarity, reassemble, reflection
from denseup.ops.geometry import pad_by_reflection

SIZES = [(9, 11, 7), (7, 12, 3), (3, 4, 7), (1, 1, 3), (1, 8, 5), (2, 2, 7)]
"""Height, width and size of the window, larger than the map too."""


def reassemble_padded(x: Tensor, kernels: Tensor, kernel_size: int) -> Tensor:
    edge = kernel_size // 2
    around = torch.nn.functional.pad(kernels, (edge,) * 4)
    return inner(reassemble(pad_by_reflection(x, edge), around, kernel_size, backend="reference"), edge)


def similarity_padded(query: Tensor, key: Tensor, kernel_size: int) -> Tensor:
    edge = kernel_size // 2
    maps = [pad_by_reflection(x, edge) for x in (query, key)]
    return inner(local_similarity(maps[0], maps[1], kernel_size, backend="reference"), edge)


def inner(x: Tensor, edge: int) -> Tensor:
    return x[..., edge : x.shape[2] - edge, edge : x.shape[3] - edge]


PAIRS: list[tuple[Callable[[Tensor, Tensor, int], Tensor], Callable[[Tensor, Tensor, int], Tensor], bool]] = [
    (reflection.reassemble_folded, reassemble_padded, True),
    (reflection.similarity_folded, similarity_padded, False),
]


def maps(height: int, width: int, channels: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height + width)
    sizes = ((2, 4, height, width), (2, channels, height, width))
    one, other = (torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for size in sizes)
    return one.requires_grad_(), other.requires_grad_()


@pytest.mark.parametrize(("ours", "padded", "weighs"), PAIRS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_as_of_padded_maps(
    ours: Callable[..., Tensor], padded: Callable[..., Tensor], weighs: bool, size: tuple[int, int, int]
) -> None:
    height, width, kernel_size = size
    pair = maps(height, width, kernel_size**2 if weighs else 4)
    result, expected = ours(*pair, kernel_size), padded(*pair, kernel_size)
    torch.testing.assert_close(result, expected)
    grad = torch.randn_like(expected)
    for mine, other in zip(
        torch.autograd.grad(result, pair, grad), torch.autograd.grad(expected, pair, grad), strict=True
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize(("ours", "padded", "weighs"), PAIRS)
def test_second_derivatives_transforms_and_nothing(
    ours: Callable[..., Tensor], padded: Callable[..., Tensor], weighs: bool
) -> None:
    pair = maps(3, 4, 9 if weighs else 4)
    assert torch.autograd.gradgradcheck(lambda a, b: ours(a, b, 3), pair)
    with torch.no_grad():
        together = torch.vmap(lambda a, b: ours(a[None], b[None], 3)[0])(*pair)
        torch.testing.assert_close(together, padded(*pair, 3))
        assert ours(pair[0][:0], pair[1][:0], 3).shape == padded(pair[0][:0], pair[1][:0], 3).shape
        assert ours(*(x.to("meta") for x in pair), 3).shape == padded(*pair, 3).shape


@pytest.mark.parametrize(("ours", "padded", "weighs"), PAIRS)
def test_half_precision_and_channels_last(
    ours: Callable[..., Tensor], padded: Callable[..., Tensor], weighs: bool
) -> None:
    pair = maps(8, 9, 9 if weighs else 4, torch.bfloat16)
    for layout in (torch.contiguous_format, torch.channels_last):
        mine = ours(*(x.detach().contiguous(memory_format=layout) for x in pair), 3)
        assert mine.dtype is torch.bfloat16
        exact = padded(*(x.detach().double() for x in pair), 3)
        torch.testing.assert_close(mine.double(), exact, rtol=2**-6, atol=2**-5)

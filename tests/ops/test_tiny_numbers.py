"""Numbers too small to be normal are zero to the C kernels: an operation with one takes a hundred times as long."""

import platform
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from denseup import native
from denseup.ops import local_similarity, neighbourhood_attention, reassemble, sample_bilinear
from denseup.ops.pointwise import cpu as pointwise

TINY = 1e-39
ROOT = 1e-20
"""Normal; times itself it is not."""

pytestmark = [
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the mode is x86's"),
    pytest.mark.usefixtures("instructions"),
]


def maps(*values: float, channels: int = 32) -> list[Tensor]:
    """One map each, channels-last, of that value everywhere."""
    of_one = torch.ones(2, channels, 8, 8).to(memory_format=torch.channels_last)
    return [of_one * value for value in values]


def gives_back(threads: int) -> bool:
    """Whether torch's own operators still have such numbers, on all of its threads."""
    many = torch.full((threads * 100_000,), TINY)
    return bool((many * 0.5 == TINY / 2).all())


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_operands_and_results(threads: int) -> None:
    for of_map, of_weight in ((TINY, 1.0), (1.0, TINY), (ROOT, ROOT)):
        (x, taps), (weight,) = maps(of_map, of_map), maps(of_weight, channels=25)
        key = maps(of_weight)[0]
        positions = torch.full((2, 2, 8, 8), 0.5)
        found = {
            "reassemble": reassemble(x, weight, 5, backend="cpu"),
            "local_similarity": local_similarity(taps, key, 5, backend="cpu"),
            "pointwise": pointwise.convolve(x, torch.full((16, 32, 1, 1), of_weight), None),
        }
        if of_map == TINY:
            found["sample_bilinear"] = sample_bilinear(x, positions)
            found["neighbourhood_attention"] = neighbourhood_attention(key, key, x, 3, backend="cpu")
        for name, result in found.items():
            assert result.count_nonzero() == 0, (name, of_map, of_weight)
    assert gives_back(threads)


def test_gradients(threads: int) -> None:
    """Of weights that are all but zero."""
    x, grad = maps(1.0, ROOT)
    (weight,) = maps(ROOT, channels=25)
    for one in (x, weight):
        one.requires_grad_()
    of_map, of_weight = torch.autograd.grad(reassemble(x, weight, 5, backend="cpu"), (x, weight), grad)
    assert of_map.count_nonzero() == 0
    assert (of_weight[:, :, 2:-2, 2:-2] > ROOT).all()  # windows that lie within the map
    of_weights, of_bias = pointwise.backward(*maps(ROOT, ROOT), torch.ones(32, 32, 1, 1), None, True)
    assert of_weights.count_nonzero() == 0
    assert (of_bias > ROOT).all()
    assert gives_back(threads)


def test_normal_numbers_are_as_they_were() -> None:
    least = torch.finfo(torch.float32).tiny
    x, one = maps(least, 1.0)
    weight = torch.zeros(16, 32, 1, 1)
    weight[:, 0] = 1
    assert native.library() is not None
    assert (pointwise.convolve(x, weight, None) == least).all()
    assert (pointwise.convolve(one, weight * least, None) == least).all()

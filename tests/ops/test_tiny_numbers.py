"""Numbers too small to be normal are zero to convolutions in C: an operation with one takes a hundred times as long."""

import platform
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from denseup.ops import local_similarity, reassemble
from denseup.ops.depthwise import cpu as depthwise
from denseup.ops.encoding import cpu as encoding
from denseup.ops.pointwise import cpu as pointwise

TINY = 1e-39
ROOT = 1e-20
"""Normal; times itself it is not."""
CHANNELS = 32

pytestmark = pytest.mark.usefixtures("instructions", "threads")
on_x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the mode is x86's")


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Torch's, of which all are as they were after a test."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    many = torch.full((request.param * 100_000,), TINY)
    torch.set_num_threads(before)
    assert (many * 0.5 == TINY / 2).all()


def filled(value: float, channels: int = CHANNELS) -> Tensor:
    """A map, channels-last."""
    return torch.full((2, channels, 8, 8), value).to(memory_format=torch.channels_last)


def kernel(value: float, size: int, inputs: int = CHANNELS) -> Tensor:
    return torch.full((CHANNELS, inputs, size, size), value)


CONVOLUTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "pointwise": lambda x, value: pointwise.convolve(x, kernel(value, 1), None),
    "encoding": lambda x, value: encoding.encode(x, None, kernel(value, 3), None),
    "depthwise": lambda x, value: depthwise.convolve(x, kernel(value, 3, 1).transpose(0, 1), 1, 1),
}
GRADIENTS: dict[str, Callable[[Tensor, Tensor, float], tuple[Tensor | None, ...]]] = {
    "pointwise": lambda grad, x, value: (
        pointwise.backward(grad, x, kernel(value, 1), to := torch.empty_like(x), True, add=False)[0],
        to,
    ),
    "encoding": lambda grad, x, value: encoding.encode_backward(
        grad,
        x,
        torch.ones(2, CHANNELS, 4, 4).to(memory_format=torch.channels_last) * ROOT,
        kernel(value, 3),
        (True, True, True, False),
    ),
    "depthwise": lambda grad, x, value: depthwise.backward(
        grad, x, kernel(value, 3, 1).transpose(0, 1), 1, 1, (True, True)
    ),
}


@on_x86
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_operands_and_results(name: str) -> None:
    for of_map, of_weight in ((TINY, 1.0), (1.0, TINY), (ROOT, ROOT)):
        assert CONVOLUTIONS[name](filled(of_map), of_weight).count_nonzero() == 0, (of_map, of_weight)


@on_x86
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    for found in GRADIENTS[name](filled(ROOT), filled(ROOT), ROOT):
        assert found is None or found.count_nonzero() == 0


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_normal_numbers_are_as_they_were(name: str) -> None:
    least = torch.finfo(torch.float32).tiny
    for of_map, of_weight in ((least, 1.0), (1.0, least)):
        assert (CONVOLUTIONS[name](filled(of_map), of_weight) >= least).all()


def test_public_operators_have_them() -> None:
    """Reassembly of tiny maps, and their similarity, are as exact as such numbers are."""
    weights = filled(1.0, 25)
    assert (reassemble(filled(TINY), weights, 5, backend="cpu") > TINY).all()
    assert (local_similarity(filled(TINY), filled(1.0), 1, backend="cpu") > TINY).all()

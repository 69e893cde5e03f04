"""`torch.func` and forward mode through every operator of ours, called as such: right, in all ways, or an error."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from operator_calls import CALLS, WRITES, gate, kernels, low, odd, placed, value, weighed
from torch import Tensor
from torch.autograd import forward_ad

from denseup.ops import (
    bidownsample,
    local_similarity,
    neighbourhood_attention,
    reassemble,
    reassemble_gated,
    resize_nearest,
    sample_bilinear,
)
from denseup.ops.points import gather_points, point_similarity

# The public functions, of maps alone.
FUNCTIONS: dict[str, tuple[Callable[..., Tensor], tuple[Any, ...]]] = {
    "reassemble": (lambda de, kernels: reassemble(de, kernels, 3, 2), (low, kernels)),
    "softmax": (lambda de, kernels: reassemble(de, kernels, 3, 2, normalize="softmax"), (low, kernels)),
    "gated": (lambda *maps: reassemble_gated(*maps, 3, 2), (low, kernels, odd, gate)),
    "similarity": (lambda query, key: local_similarity(query, key, 3, 2), (odd, low)),
    "attention": (lambda *maps: neighbourhood_attention(*maps, 3, 2), (odd, low, value)),
    "attention to all": (lambda *maps: neighbourhood_attention(*maps, 6, 2), (odd, low, value)),
    "bidownsample": (lambda x, k: bidownsample(x, k, 3, 2, 2, normalize="softmax"), (odd, (2, 18, 3, 4))),
    "sample": (lambda x, positions: sample_bilinear(x, 4 * positions, 2), (low, (2, 4, 5, 7))),
    "sample of zeros": (lambda x, positions: sample_bilinear(x, 6 * positions, 2, "zeros"), (low, (2, 4, 5, 7))),
    "point similarity": (lambda q, k, positions: point_similarity(q, k, 6 * positions), (odd, low, placed)),
    "gathered points": (lambda v, w, positions: gather_points(v, w, 6 * positions), (low, weighed, placed)),
    "nearest": (lambda x: resize_nearest(x, (7, 4)), (low,)),
    "nearest of a power of two": (lambda x: resize_nearest(x, (6, 8)), (low,)),
}


def operator(name: str) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """A function of maps alone, with one result, and such maps."""
    arguments = CALLS[name]
    maps, rest = [x for x in arguments if isinstance(x, tuple)], [x for x in arguments if not isinstance(x, tuple)]

    def function(*given: Tensor) -> Tensor:
        out = getattr(torch.ops.denseup, name)(*given, *rest)
        return out if isinstance(out, Tensor) else torch.cat([x.flatten() for x in out])

    return function, random(maps)


def random(shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(shape, generator=generator, dtype=torch.float64) * 1.6 - 0.8 for shape in shapes]


EVERY = [pytest.param(*operator(name), id=name) for name in CALLS] + [
    pytest.param(function, random(shapes), id=f"the function {name}") for name, (function, shapes) in FUNCTIONS.items()
]


def test_every_operator_is_tried() -> None:
    names = {name.split(".")[0] for name in torch._C._dispatch_get_all_op_names() if name.startswith("denseup::")}
    assert names == {f"denseup::{name}" for name in CALLS} | {WRITES}


def along(function: Callable[..., Tensor], maps: Sequence[Tensor], tangents: Sequence[Tensor]) -> Tensor:
    """The derivative in a direction, by two calls."""
    step = 1e-5
    ahead, behind = ([x + sign * step * t for x, t in zip(maps, tangents, strict=True)] for sign in (1, -1))
    return (function(*ahead) - function(*behind)) / (2 * step)


def close(ours: Any, expected: Any) -> None:
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("function", "maps"), EVERY)
def test_forward_mode(function: Callable[..., Tensor], maps: list[Tensor]) -> None:
    tangents = [torch.randn_like(x) for x in maps]
    expected = along(function, maps, tangents)
    close(torch.func.jvp(function, tuple(maps), tuple(tangents))[1], expected)
    close(torch.func.linearize(function, *maps)[1](*tangents), expected)
    with forward_ad.dual_level():
        out = function(*(forward_ad.make_dual(x, t) for x, t in zip(maps, tangents, strict=True)))
        close(forward_ad.unpack_dual(out).tangent, expected)
    for k, (x, t) in enumerate(zip(maps, tangents, strict=True)):
        alone = torch.func.jvp(lambda x, k=k: function(*maps[:k], x, *maps[k + 1 :]), (x,), (t,))[1]
        close(alone, along(lambda x, k=k: function(*maps[:k], x, *maps[k + 1 :]), [x], [t]))


@pytest.mark.parametrize(("function", "maps"), EVERY)
def test_gradients(function: Callable[..., Tensor], maps: list[Tensor]) -> None:
    leaves = [x.clone().requires_grad_() for x in maps]
    out = function(*leaves)
    weights = torch.randn_like(out)
    expected = torch.autograd.grad(out, leaves, weights)
    close(torch.func.vjp(function, *maps)[1](weights), expected)
    every = tuple(range(len(maps)))
    close(torch.func.grad(lambda *x: (function(*x) * weights).sum(), argnums=every)(*maps), expected)


@pytest.mark.parametrize(("function", "maps"), EVERY)
def test_second_order(function: Callable[..., Tensor], maps: list[Tensor]) -> None:
    """Forward over reverse, in both ways, against differences of gradients."""
    every = tuple(range(len(maps)))
    tangents = tuple(torch.randn_like(x) for x in maps)
    gradient = torch.func.grad(lambda *x: function(*x).sin().sum(), argnums=every)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(x, t).requires_grad_() for x, t in zip(maps, tangents, strict=True)]
        first = torch.autograd.grad(function(*duals).sin().sum(), duals)
        by_hand = [forward_ad.unpack_dual(g).tangent for g in first]
    found = torch.func.jvp(gradient, tuple(maps), tangents)[1]
    for k in every:
        expected = along(lambda *x, k=k: gradient(*x)[k], maps, tangents)
        torch.testing.assert_close(found[k], expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(by_hand[k], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("function", "maps"), EVERY)
def test_gradients_of_each_sample(function: Callable[..., Tensor], maps: list[Tensor]) -> None:
    """Three versions of the first map, everything else the same for all."""
    versions = torch.stack([maps[0] * scale for scale in (1, 0.5, -0.3)])
    gradient = torch.func.grad(lambda x: function(x, *maps[1:]).sin().sum())
    close(torch.func.vmap(gradient)(versions), torch.stack([gradient(x) for x in versions]))
    mapped = torch.func.vmap(lambda x: function(x, *maps[1:]))(versions)
    close(mapped, torch.stack([function(x, *maps[1:]) for x in versions]))


@pytest.mark.parametrize("name", ["reassemble", "softmax", "gated", "similarity", "attention"])
def test_whole_jacobians(name: str) -> None:
    function, shapes = FUNCTIONS[name]
    maps = [x[:1, :, :2, :2] for x in random(shapes)]
    expected = torch.autograd.functional.jacobian(function, tuple(maps))
    for transform in (torch.func.jacfwd, torch.func.jacrev):
        close(transform(function, argnums=tuple(range(len(maps))))(*maps), expected)


@pytest.mark.parametrize("name", ["reassemble", "softmax", "gated", "similarity", "attention", "gathered points"])
def test_the_c_kernels_give_way(name: str) -> None:
    function, shapes = FUNCTIONS[name]
    maps = random(shapes)
    tangents = tuple(torch.randn_like(x) for x in maps)
    found = torch.func.jvp(function, tuple(x.float() for x in maps), tuple(t.float() for t in tangents))[1]
    torch.testing.assert_close(found.double(), along(function, maps, tangents), rtol=1e-4, atol=1e-4)


def test_what_cannot_be_differentiated_says_so() -> None:
    x, weight, grad = (torch.randn(shape) for shape in ((1, 4, 3, 3), (2, 4, 1, 1), (1, 2, 3, 3)))
    with pytest.raises(RuntimeError, match="writes to its argument `to`"):
        torch.func.jvp(lambda g: torch.ops.denseup.pointwise_backward(g, x, weight, None, True)[0], (grad,), (grad,))


def test_compiled_transforms() -> None:
    function, shapes = FUNCTIONS["gated"]
    maps = tuple(random(shapes))
    torch._dynamo.reset()
    for transformed in (lambda *x: torch.func.jvp(function, x, x)[1], torch.func.grad(lambda *x: function(*x).sum())):
        close(torch.compile(transformed, backend="aot_eager", fullgraph=True)(*maps), transformed(*maps))

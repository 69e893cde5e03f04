"""`torch.func` and forward mode through every upsampler, its parameters too: right by differences, or by autograd."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.utils._pytree import tree_leaves
from upsamplers.asking import asked

from denseup.ops import use_backend
from denseup.upsamplers import Upsampler, create_upsampler, list_upsamplers

CHANNELS = 16
Values = dict[str, Tensor]


class Stage(nn.Module):
    """Down-sampling and upsampling, as a network calls them."""

    def __init__(self, upsampler: Upsampler) -> None:
        super().__init__()
        self.upsampler = upsampler

    def forward(self, de: Tensor, en: Tensor) -> Tensor:
        state = self.upsampler.downsample(en)[1] if self.upsampler.paired else None
        out: Tensor = self.upsampler(de, en, state=state, **asked(self.upsampler, en))
        return out


def build(name: str, dtype: torch.dtype = torch.float64) -> tuple[Callable[[Values], Tensor], Values]:
    """A function of the two maps and all parameters, and values of them."""
    torch.manual_seed(0)
    stage = Stage(create_upsampler(name, de_channels=CHANNELS)).eval().to(dtype)
    values = {key: (p + 0.05 * torch.randn_like(p)).detach() for key, p in stage.named_parameters()}
    values |= {"de": torch.randn(2, CHANNELS, 3, 4).to(dtype), "en": torch.randn(2, CHANNELS, 6, 8).to(dtype)}
    values = {k: x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for k, x in values.items()}

    def function(values: Values) -> Tensor:
        parameters = {key: x for key, x in values.items() if key not in ("de", "en")}
        out: Tensor = functional_call(stage, parameters, (values["de"], values["en"]))
        return out

    return function, values


def directions(values: Values) -> Values:
    generator = torch.Generator().manual_seed(3)
    return {k: torch.randn(x.shape, generator=generator, dtype=x.dtype) for k, x in values.items()}


def along(function: Callable[[Values], Tensor], values: Values, tangents: Values) -> Tensor:
    """The derivative in a direction, by two calls."""
    step = 1e-6
    ahead, behind = ({k: x + sign * step * tangents[k] for k, x in values.items()} for sign in (1, -1))
    return (function(ahead) - function(behind)) / (2 * step)


@pytest.mark.parametrize("name", list_upsamplers())
def test_forward_mode(name: str) -> None:
    function, values = build(name)
    tangents = directions(values)
    expected = along(function, values, tangents)
    found = torch.func.jvp(function, (values,), (tangents,))[1]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    with forward_ad.dual_level():
        duals = {k: forward_ad.make_dual(x, tangents[k]) for k, x in values.items()}
        tangent = forward_ad.unpack_dual(function(duals)).tangent
    torch.testing.assert_close(tangent, expected, rtol=1e-5, atol=1e-5)
    for alone in ("de", "en"):
        part = torch.func.jvp(lambda x, k=alone: function(values | {k: x}), (values[alone],), (tangents[alone],))[1]
        others = {k: t if k == alone else torch.zeros_like(t) for k, t in tangents.items()}
        torch.testing.assert_close(part, along(function, values, others), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", list_upsamplers())
def test_the_c_kernels_give_way(name: str) -> None:
    """In float32 and channels-last, whatever back end is there or asked for."""
    function, values = build(name)
    expected = torch.func.jvp(function, (values,), (directions(values),))[1]
    function, single = build(name, torch.float32)
    single = {k: values[k].float() for k in single}
    tangents = {k: t.float() for k, t in directions(values).items()}
    for backend in (None, "reference"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DENSEUP_BACKEND", backend or "")
            found = torch.func.jvp(function, (single,), (tangents,))[1]
        assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", list_upsamplers())
def test_gradients_and_second_order(name: str) -> None:
    function, values = build(name)

    def loss(values: Values) -> Tensor:
        return function(values).sin().sum()

    gradient = torch.func.grad(loss)
    leaves = {k: x.clone().requires_grad_() for k, x in values.items()}
    expected = torch.autograd.grad(loss(leaves), list(leaves.values()), materialize_grads=True)
    found = gradient(values)
    torch.testing.assert_close(list(found.values()), list(expected), rtol=1e-8, atol=1e-10)
    tangents = directions(values)
    over = torch.func.jvp(gradient, (values,), (tangents,))[1]
    scalar = torch.func.jvp(lambda v: torch.func.jvp(loss, (v,), (tangents,))[1], (values,), (tangents,))[1]
    expected_scalar = sum((over[k] * tangents[k]).sum() for k in values)
    torch.testing.assert_close(scalar, expected_scalar, rtol=1e-8, atol=1e-8)
    back = torch.func.grad(lambda v: torch.func.jvp(loss, (v,), (tangents,))[1])(values)
    torch.testing.assert_close(list(back.values()), list(over.values()), rtol=1e-8, atol=1e-8)
    by_differences = along(lambda v: sum((g * tangents[k]).sum() for k, g in gradient(v).items()), values, tangents)
    torch.testing.assert_close(scalar, by_differences, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", list_upsamplers())
def test_gradients_of_each_sample(name: str) -> None:
    """`vmap(grad(…))` over the images, with `functional_call`."""
    function, values = build(name)
    parameters = {k: x for k, x in values.items() if k not in ("de", "en")}

    def loss(parameters: Values, de: Tensor, en: Tensor) -> Tensor:
        return function(parameters | {"de": de[None], "en": en[None]}).sin().sum()

    argnums = (0, 1) if parameters else 1
    gradient = torch.func.grad(loss, argnums=argnums)
    mapped = torch.func.vmap(gradient, (None, 0, 0))(parameters, values["de"], values["en"])
    each = [gradient(parameters, de, en) for de, en in zip(values["de"], values["en"], strict=True)]
    flat = tree_leaves(mapped)
    expected = [torch.stack(x) for x in zip(*(tree_leaves(g) for g in each), strict=True)]
    torch.testing.assert_close(flat, expected, rtol=1e-8, atol=1e-10)


def test_whole_jacobians() -> None:
    function, values = build("fade")
    cut = values | {"de": values["de"][:1, :, :1, :2], "en": values["en"][:1, :, :2, :4]}
    forward, reverse = (
        t(lambda de: function(cut | {"de": de}))(cut["de"]) for t in (torch.func.jacfwd, torch.func.jacrev)
    )
    torch.testing.assert_close(forward, reverse)
    with use_backend("reference"):
        truth = torch.autograd.functional.jacobian(lambda de: function(cut | {"de": de}), cut["de"])
    torch.testing.assert_close(forward, truth)

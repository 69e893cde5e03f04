"""`encode_content` against torch's convolutions in float64, and that it serves only what it can."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from denseup import native
from denseup.ops import use_backend
from denseup.ops.encoding import cpu as cpu_encoding
from denseup.ops.encoding import encode_content
from denseup.ops.encoding.operators import encode
from denseup.ops.encoding.reference import encode as composed
from denseup.ops.geometry import layout

TOLERANCE = 4e-6
"""Of the largest value, 34 eps, as for the other operators in float32: see `TOLERANCES` of test_backends.py."""
SHAPES = [  # low, high, channels, outputs
    ((4, 5), (8, 10), 64, 25),
    ((5, 3), (7, 8), 20, 17),
    ((9, 11), (27, 33), 16, 49),
    ((1, 1), (1, 1), 16, 16),
    ((3, 40), (3, 93), 33, 100),
    ((33, 32), (66, 65), 18, 25),
]

pytestmark = pytest.mark.skipif(native.library() is None, reason=str(native.why_missing()))


def tensors(shape: tuple, with_low: bool = True, with_bias: bool = True) -> list[Tensor | None]:
    """High- and low-resolution map, weight and bias."""
    low, high, channels, outputs = shape
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        x = torch.randn(*size, generator=generator)
        return (x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x).requires_grad_()

    maps = [normal(2, channels, *high), normal(2, channels, *low) if with_low else None]
    return [*maps, normal(outputs, channels, 3, 3), normal(outputs) if with_bias else None]


def results(function: object, inputs: Sequence[Tensor | None]) -> list[Tensor]:
    """Output and gradients."""
    out = function(*inputs)  # type: ignore[operator]
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return [out, *torch.autograd.grad(out, [x for x in inputs if x is not None], grad)]


def doubled(inputs: Sequence[Tensor | None]) -> list[Tensor | None]:
    return [None if x is None else x.detach().double().requires_grad_() for x in inputs]


def assert_close(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype == torch.float32
        assert (ours.double() - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


@pytest.mark.parametrize("with_low", [True, False], ids=["semi-shift", "plain"])
def test_parity_in_every_instruction_set(instructions: str, with_low: bool) -> None:
    for shape in SHAPES:
        for with_bias in (True, False):
            inputs = tensors(shape, with_low, with_bias)
            actual = results(encode, inputs)
            assert_close(actual, results(composed, doubled(inputs)))
            assert layout(actual[0]) == layout(inputs[0])  # type: ignore[arg-type]


def test_weights_and_maps_in_other_layouts() -> None:
    high, low, weight, bias = tensors(SHAPES[0])
    assert high is not None
    assert low is not None
    assert weight is not None
    strided = torch.empty(2, 64, 4, 10)[..., ::2].copy_(low.detach()).requires_grad_()
    for other in (weight.detach().contiguous(), weight.detach().transpose(2, 3).contiguous().transpose(2, 3)):
        inputs = [high, strided, other.requires_grad_(), bias]
        assert_close(results(encode, inputs), results(composed, doubled(inputs)))


def test_only_the_gradients_that_are_asked_for() -> None:
    inputs = tensors(SHAPES[0])
    whole = results(encode, inputs)[1:]
    grad = torch.randn(2, 25, 8, 10, generator=torch.Generator().manual_seed(1))
    for k, x in enumerate(inputs):
        assert x is not None
        (alone,) = torch.autograd.grad(encode(*inputs), x, grad)
        torch.testing.assert_close(alone, whole[k])


def test_second_order() -> None:
    """Of a loss that every first gradient enters; the gradient is differentiated as the composed form's is."""

    def loss(function: object, inputs: Sequence[Tensor | None]) -> list[Tensor]:
        there = [x for x in inputs if x is not None]
        first = torch.autograd.grad(function(*inputs).square().sum(), there, create_graph=True)  # type: ignore[operator]
        return list(torch.autograd.grad(sum(g.square().sum() for g in first), there))

    for with_low in (True, False):
        inputs = tensors(SHAPES[0], with_low)
        assert_close(loss(encode, inputs), loss(composed, doubled(inputs)))


def test_opcheck() -> None:
    high, low, weight, bias = tensors(SHAPES[1])
    assert low is not None
    strided = low.detach().repeat_interleave(2, 3)[..., ::2].requires_grad_()
    grad = torch.randn(2, 17, 7, 8).contiguous(memory_format=torch.channels_last)
    for small in (low, None, strided):
        torch.library.opcheck(torch.ops.denseup.encode_content.default, (high, small, weight, bias))
        for needs in ([True] * 4, [True, False, False, True]):
            torch.library.opcheck(torch.ops.denseup.encode_content_backward.default, (grad, high, small, weight, needs))


def test_as_many_flops_as_the_convolutions_have_by_definition() -> None:
    inputs = tensors(SHAPES[0])
    counts = []
    for function in (encode, composed):
        with FlopCounterMode(display=False) as counter:
            results(function, inputs)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


def served(convolution: nn.Module, high: Tensor, low: Tensor | None = None) -> bool:
    """Whether the C kernels made the logits, which are those of the module either way."""
    calls: list[Tensor] = []
    original = cpu_encoding.encode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu_encoding, "encode", lambda *x: (calls.append(x[0]), original(*x))[1])
        out = encode_content(convolution, high, low)
    expected = convolution(high)
    if low is not None:
        expected = expected + nn.functional.interpolate(convolution(low), size=high.shape[2:], mode="nearest")
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    return bool(calls)


def test_what_is_served() -> None:
    torch.manual_seed(0)
    last = torch.channels_last
    high, low = (torch.randn(1, 16, n, n).contiguous(memory_format=last) for n in (8, 4))
    plain = nn.Conv2d(16, 25, 3, padding=1)
    assert served(plain, high, low)
    assert served(plain, high)
    assert served(nn.Conv2d(16, 16, 3, padding="same", bias=False), high)
    assert not served(plain, high.contiguous(), low), "another layout"
    assert not served(nn.Conv2d(16, 9, 3, padding=1), high), "fewer outputs than a vector holds"
    assert not served(nn.Conv2d(16, 25, 1), high), "another size"
    assert not served(nn.Conv2d(16, 32, 3, padding=1, groups=16), high), "groups"
    assert not served(nn.Conv2d(16, 25, 3, padding=2, dilation=2), high), "dilation"
    assert not served(nn.Conv2d(16, 25, 3, padding=1, padding_mode="reflect"), high), "another padding"
    assert not served(plain.double(), high.double()), "float64"
    plain.float()
    with pytest.raises(RuntimeError, match="channels"):
        encode_content(plain, torch.randn(1, 17, 8, 8).contiguous(memory_format=last))
    with use_backend("reference"):
        assert not served(plain, high), "another back end was asked for"
    hooked = nn.Conv2d(16, 25, 3, padding=1)
    hooked.register_forward_hook(lambda module, inputs, output: 2 * output)
    assert not served(hooked, high), "hooks want calling"


def test_autocast_and_vmap_see_plain_convolutions() -> None:
    convolution = nn.Conv2d(16, 25, 3, padding=1)
    high = torch.randn(3, 1, 16, 8, 8)
    mapped = torch.vmap(lambda x: encode_content(convolution, x))(high)
    torch.testing.assert_close(mapped[1], convolution(high[1]))
    last = high[0].contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encode_content(convolution, last).dtype == torch.bfloat16


def test_no_graph_break_under_compile() -> None:
    convolution = nn.Conv2d(16, 25, 3, padding=1)
    high, low = (torch.randn(1, 16, n, n).contiguous(memory_format=torch.channels_last) for n in (8, 4))
    compiled = torch.compile(encode_content, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(convolution, high, low), encode_content(convolution, high, low))

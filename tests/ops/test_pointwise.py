"""1×1 convolutions by the C kernels against float64, and that they serve only what they can."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from denseup import create_upsampler, native
from denseup.ops import use_backend
from denseup.ops.pointwise import SharedMap, convolve
from denseup.ops.pointwise import cpu as cpu_pointwise

TOLERANCE = 4e-6
"""Of the largest value, 34 eps, as for the other operators in float32: see `TOLERANCES` of test_backends.py."""
SHAPES = [  # batch, height, width, channels, outputs
    (1, 16, 17, 64, 64),
    (2, 7, 5, 16, 16),
    (1, 1, 1, 16, 1),
    (1, 13, 11, 48, 1),
    (3, 5, 4, 32, 25),
    (1, 40, 30, 256, 112),
    (1, 17, 16, 3, 32),
    (2, 9, 8, 52, 49),
    (1, 11, 13, 49, 49),
    (1, 1, 1, 1, 17),
    (1, 5, 7, 32, 31),
    (1, 5, 7, 32, 50),
]

pytestmark = pytest.mark.skipif(native.library() is None, reason=str(native.why_missing()))


def tensors(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Map, weight, bias and gradient of the result."""
    batch, height, width, channels, outputs = shape
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        x = torch.randn(*size, generator=generator)
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x

    x, grad = (normal(batch, n, height, width) for n in (channels, outputs))
    return x, normal(outputs, channels, 1, 1), normal(outputs), grad


def assert_close(ours: Tensor, truth: Tensor) -> None:
    assert ours.dtype == torch.float32
    assert ours.shape == truth.shape
    assert (ours.double() - truth).abs().max() <= TOLERANCE * truth.abs().max()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_parity_in_every_instruction_set(instructions: str, shape: tuple[int, ...]) -> None:
    x, weight, bias, grad = tensors(shape)
    exact = [t.double().requires_grad_() for t in (x, weight, bias)]
    true = torch.conv2d(*exact)
    of_x, of_weight, of_bias = torch.autograd.grad(true, exact, grad.double())
    assert_close(cpu_pointwise.convolve(x, weight, bias), true)
    assert_close(cpu_pointwise.convolve(x, weight, None), true - exact[2][:, None, None])
    to = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).contiguous(memory_format=torch.channels_last)
    before = to.double()
    ours = cpu_pointwise.backward(grad, x, weight, to, True)
    assert_close(to, before + of_x)
    assert_close(ours[0], of_weight)
    assert_close(ours[1], of_bias)


def test_only_what_is_asked_for() -> None:
    x, weight, _, grad = tensors(SHAPES[0])
    whole = cpu_pointwise.backward(grad, x, weight, None, True)
    to = torch.zeros_like(x)
    assert [t.numel() for t in cpu_pointwise.backward(grad, x, weight, to, False)] == [0, 0]
    both = torch.zeros_like(x)
    for mine, alone in zip(cpu_pointwise.backward(grad, x, weight, both, True), whole, strict=True):
        assert torch.equal(mine, alone)
    assert torch.equal(both, to)


def test_layouts_of_gradient_and_weight() -> None:
    x, weight, bias, grad = tensors(SHAPES[4])
    turned = weight.transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(cpu_pointwise.convolve(x, turned, bias), cpu_pointwise.convolve(x, weight, bias))
    expected = cpu_pointwise.backward(grad, x, weight, None, True)
    for mine, same in zip(cpu_pointwise.backward(grad.contiguous(), x, turned, None, True), expected, strict=True):
        assert torch.equal(mine, same)


def test_opcheck() -> None:
    x, weight, bias, grad = tensors(SHAPES[4])
    for offset in (bias, None):
        torch.library.opcheck(torch.ops.denseup.pointwise.default, (x, weight, offset))
    for to in (torch.zeros_like(x), None):
        for parameters in (True, False):
            torch.library.opcheck(torch.ops.denseup.pointwise_backward.default, (grad, x, weight, to, parameters))


def served(convolution: nn.Module, x: Tensor) -> bool:
    """Whether the C kernels compute the convolution, in inference and in training, and the result is right."""
    calls: list[Tensor] = []
    original = cpu_pointwise.convolve
    for training in (False, True):
        with pytest.MonkeyPatch.context() as patch, torch.set_grad_enabled(training):
            patch.setattr(cpu_pointwise, "convolve", lambda *x: (calls.append(x[0]), original(*x))[1])
            out = convolve(convolution, SharedMap(x.detach().requires_grad_(training)))
        torch.testing.assert_close(out, convolution(x), rtol=1e-5, atol=1e-5)
    assert len(calls) in (0, 2)
    return bool(calls)


def test_what_is_served() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 32, 5, 6).contiguous(memory_format=torch.channels_last)
    plain = nn.Conv2d(32, 16, 1)
    assert served(plain, x)
    assert served(nn.Conv2d(32, 3, 1, bias=False), x)
    assert not served(plain, x.contiguous()), "another layout"
    some = x[:, :24].contiguous(memory_format=torch.channels_last)
    assert served(nn.Conv2d(24, 16, 1), some)
    assert not served(nn.Conv2d(24, 15, 1), some), "neither channels nor outputs fill vectors"
    assert not served(nn.Conv2d(32, 16, 3, padding=1), x), "another size"
    assert not served(plain.double(), x.double()), "float64"
    plain.float()
    with use_backend("reference"):
        assert not served(plain, x), "another back end was asked for"
    with pytest.raises(RuntimeError, match="channels"):
        convolve(plain, SharedMap(torch.randn(1, 48, 4, 4).contiguous(memory_format=torch.channels_last)))


def test_fade_counts_as_many_flops_by_either_way() -> None:
    """What the counter sees of the C kernels is what it sees of torch's convolutions."""
    fade = create_upsampler("fade", de_channels=32)
    maps = [torch.randn(1, 32, n, n).contiguous(memory_format=torch.channels_last).requires_grad_() for n in (6, 12)]
    counts = []
    for backend in ("cpu", "reference"):
        with use_backend(backend), FlopCounterMode(display=False) as counter:
            fade(*maps).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0

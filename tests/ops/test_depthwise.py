"""Depthwise convolution: by the C kernels against float64, and as a torch operator."""

import pytest
import torch
from rounding import check_sums
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import use_backend
from denseup.ops.depthwise import convolve_channels, cpu
from denseup.ops.depthwise.backends import BACKENDS
from denseup.ops.geometry import layout as layout_of

LAYOUTS = [torch.contiguous_format, torch.channels_last]
TOLERANCE = 4e-6
"""Of the largest value, 34 eps, as for the other operators in float32: see `TOLERANCES` of test_backends.py."""
CASES = [  # batch, kernels of each image, channels, height, width, kernel size, stride, padding
    (2, True, 64, 12, 14, 6, 2, 2),
    (2, False, 33, 12, 9, 4, 2, 1),
    (1, False, 16, 6, 8, 2, 2, 0),
    (3, True, 5, 5, 7, 3, 1, 1),
    (2, False, 100, 7, 40, 5, 3, 4),
    (1, True, 18, 1, 1, 3, 1, 1),
    (2, False, 80, 3, 2, 1, 1, 0),
    (2, True, 17, 9, 5, 8, 2, 3),
    (1, False, 20, 4, 30, 7, 1, 6),
]


def tensors(case: tuple, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Map, weight and the result's gradient."""
    batch, each, channels, height, width, size, stride, padding = case
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, height, width, generator=generator)
    weight = torch.randn(batch if each else 1, channels, size, size, generator=generator)
    high = [(length + 2 * padding - size) // stride + 1 for length in (height, width)]
    grad = torch.randn(batch, channels, *high, generator=generator)
    return x.to(dtype), weight.to(dtype), grad.to(dtype)


def one_by_one(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """The definition: an image at a time."""
    images = [
        F.conv2d(image[None], kernels[:, None], stride=stride, padding=padding, groups=x.shape[1])
        for image, kernels in zip(x, weight.expand(x.shape[0], -1, -1, -1), strict=True)
    ]
    return torch.cat(images)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_in_c(instructions: str, case: tuple, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu.native, "threads", lambda: threads)
    x, weight, grad = tensors(case)
    exact = [t.double().requires_grad_() for t in (x, weight)]
    truth = one_by_one(*exact, *case[6:])
    truths = torch.autograd.grad(truth, exact, grad.double())
    for layout in LAYOUTS:
        maps = [t.contiguous(memory_format=layout) for t in (x, weight, grad)]
        assert cpu.unsupported_reasons(*maps[:2]) == []
        out = cpu.convolve(*maps[:2], *case[6:])
        assert out.is_contiguous(memory_format=layout_of(maps[0]))
        found = cpu.backward(maps[2], *maps[:2], *case[6:], [True, True])
        for ours, true in zip((out, *found), (truth, *truths), strict=True):
            assert ours is not None
            assert (ours.double() - true).abs().max() <= TOLERANCE * true.abs().max()
    assert cpu.backward(grad, x, weight, *case[6:], [False, False]) == (None, None)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_function_in_float64_and_its_gradients(case: tuple) -> None:
    x, weight, grad = (t.requires_grad_() for t in tensors(case, torch.float64))
    outs = [function(x, weight, *case[6:]) for function in (convolve_channels, one_by_one)]
    check_sums(outs[0], outs[1].detach(), "out")
    for ours, true in zip(*(torch.autograd.grad(out, (x, weight), grad) for out in outs), strict=True):
        check_sums(ours, true, "gradient")


@pytest.mark.parametrize("each", [True, False])
def test_gradients_of_first_and_second_order(each: bool) -> None:
    x, weight, _ = (t.requires_grad_() for t in tensors((2, each, 3, 5, 6, 4, 2, 1), torch.float64))

    def operator(x: Tensor, weight: Tensor) -> Tensor:
        out: Tensor = torch.ops.denseup.depthwise(x, weight, 2, 1)
        return out

    assert torch.autograd.gradcheck(operator, (x, weight))
    assert torch.autograd.gradgradcheck(operator, (x, weight))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("each", [True, False])
def test_opcheck(each: bool, layout: torch.memory_format) -> None:
    maps = tensors((2, each, 18, 6, 8, 4, 2, 1))
    x, weight, grad = (t.contiguous(memory_format=layout).requires_grad_() for t in maps)
    torch.library.opcheck(torch.ops.denseup.depthwise.default, (x, weight, 2, 1))
    torch.library.opcheck(torch.ops.denseup.depthwise_backward.default, (grad, x, weight, 2, 1, [True, True]))


def test_compiles_without_a_graph_break() -> None:
    x, weight, _ = (t.requires_grad_() for t in tensors(CASES[0]))
    compiled = torch.compile(lambda a, b: convolve_channels(a, b, 2, 2).sin(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, weight), convolve_channels(x, weight, 2, 2).sin())
    compiled(x, weight).sum().backward()
    assert weight.grad is not None


def test_the_flop_counter_sees_the_operator() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    x, weight, grad = (t.requires_grad_() for t in tensors(CASES[0]))
    with FlopCounterMode(display=False) as counter:
        out = convolve_channels(x, weight, 2, 2)
    assert counter.get_total_flops() == 2 * 36 * out.numel()
    with FlopCounterMode(display=False) as counter:
        out.backward(grad)
    assert counter.get_total_flops() == 2 * 2 * 36 * out.numel()


def test_what_the_kernels_serve() -> None:
    if cpu.MISSING:
        pytest.skip(cpu.MISSING)
    x, weight, _ = tensors(CASES[0])
    assert BACKENDS.choose(None, x, weight) == "cpu"
    assert BACKENDS.choose(None, x.double(), weight.double()) == "reference"
    assert BACKENDS.choose(None, x, torch.zeros(1, 64, 9, 9)) == "reference"
    assert BACKENDS.choose(None, x[:0], weight[:0]) == "reference"
    with use_backend("reference"):
        assert BACKENDS.choose(None, x, weight) == "reference"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"weight": torch.randn(1, 5, 3, 3)}, ["weight has shape [1, 5, 3, 3]", "[1 or B, 4, k, k]"]),
        ({"weight": torch.randn(3, 4, 3, 3)}, ["kernels of 3 images", "1 or 2"]),
        ({"weight": torch.randn(1, 4, 9, 9)}, ["kernels of 9", "padding, 1"]),
        ({"stride": 0}, ["stride is 0", "≥ 1"]),
        ({"padding": -1}, ["padding is -1", "≥ 0"]),
        ({"x": torch.ones(2, 4, 6, 6, dtype=torch.float64)}, ["weight is torch.float32", "torch.float64"]),
    ],
)
def test_errors_name_the_argument(changed: dict, words: list[str]) -> None:
    call = {"x": torch.randn(2, 4, 6, 6), "weight": torch.randn(1, 4, 3, 3), "stride": 2, "padding": 1} | changed
    with pytest.raises(ValueError, match=r".+") as error:
        convolve_channels(**call)
    assert all(word in str(error.value) for word in words), str(error.value)

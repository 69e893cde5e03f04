"""Content-aware down-sampling against A2U's published kernel, and as a torch operator."""

import pytest
import torch
from golden import array, manifest
from rounding import check_sums
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import bidownsample

CASES = [name for name in manifest("ops") if name.startswith("bidownsample")]
SHAPES = [(6, 2, 7, 9), (6, 2, 8, 6), (5, 2, 8, 5), (4, 1, 3, 4), (1, 2, 5, 6), (3, 3, 7, 5), (2, 4, 9, 8)]


def double(name: str, key: str) -> Tensor:
    return array("ops", f"{name}/{key}").double()


def gathered(features: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    """The definition, by brute force: unfold the windows of a map padded far enough on all sides."""
    before, size = (kernel_size - 1) // 2, kernels.shape[2:]
    padded = F.pad(features, (before, kernel_size * scale_factor, before, kernel_size * scale_factor))
    windows = F.unfold(padded, kernel_size, stride=scale_factor)
    rows = (padded.shape[2] - kernel_size) // scale_factor + 1
    windows = windows.unflatten(1, (groups, -1, kernel_size**2)).unflatten(-1, (rows, -1))
    return (windows[..., : size[0], : size[1]] * kernels.unflatten(1, (groups, 1, -1))).sum(3).flatten(1, 2)


def arguments(kernel_size: int, scale_factor: int, height: int, width: int, groups: int = 2) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    size = (-(-height // scale_factor), -(-width // scale_factor))
    features = torch.randn(2, 4, height, width, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(2, groups * kernel_size**2, *size, dtype=torch.float64, requires_grad=True)
    return features, kernels


@pytest.mark.parametrize("name", CASES)
def test_equals_the_published_operator(name: str) -> None:
    case = manifest("ops")[name]
    features, kernels = double(name, "features").requires_grad_(), double(name, "masks").requires_grad_()
    out = bidownsample(features, kernels, case["kernel_size"], case["scale_factor"], case["group_size"])
    out.backward(double(name, "grad_out"))
    check_sums(out, array("ops", f"{name}/out"), "out")
    check_sums(features.grad, array("ops", f"{name}/grad_features"), "grad_features")
    check_sums(kernels.grad, array("ops", f"{name}/grad_masks"), "grad_masks")


@pytest.mark.parametrize(("kernel_size", "scale_factor", "height", "width"), SHAPES)
@pytest.mark.parametrize("groups", [1, 2])
def test_any_size_equals_brute_force(kernel_size: int, scale_factor: int, height: int, width: int, groups: int) -> None:
    inputs = arguments(kernel_size, scale_factor, height, width, groups)
    expected = gathered(*inputs, kernel_size, scale_factor, groups)
    actual = bidownsample(*inputs, kernel_size, scale_factor, groups)
    check_sums(actual, expected.detach(), "out")
    grad = torch.randn_like(expected)
    for ours, theirs in zip(*(torch.autograd.grad(out, inputs, grad) for out in (actual, expected)), strict=True):
        check_sums(ours, theirs, "gradient")


def test_gradients_of_first_and_second_order() -> None:
    features, kernels = (x[:1].detach().requires_grad_() for x in arguments(6, 2, 5, 4))
    assert torch.autograd.gradcheck(lambda a, b: bidownsample(a, b, 6, 2, 2), (features, kernels))
    assert torch.autograd.gradgradcheck(lambda a, b: bidownsample(a, b, 6, 2, 2), (features, kernels))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_opcheck(layout: torch.memory_format) -> None:
    inputs = (*arguments(6, 2, 7, 4), torch.randn(2, 4, 4, 2, dtype=torch.float64))
    features, kernels, low = (x.detach().to(memory_format=layout).requires_grad_() for x in inputs)
    torch.library.opcheck(torch.ops.denseup.bidownsample.default, (features, kernels, 6, 2, 2))
    torch.library.opcheck(torch.ops.denseup.bidownsample_adjoint.default, (low, kernels, 6, 2, 2, 7, 4))
    torch.library.opcheck(torch.ops.denseup.bidownsample_similarity.default, (low, features, 6, 2, 2))


def test_layout_and_strides_do_not_matter() -> None:
    features, kernels = (x.detach() for x in arguments(6, 2, 8, 6))
    expected = bidownsample(features, kernels, 6, 2, 2)
    last = (x.to(memory_format=torch.channels_last) for x in (features, kernels))
    assert torch.equal(bidownsample(*last, 6, 2, 2), expected)
    assert torch.equal(bidownsample(features.mT.contiguous().mT, kernels, 6, 2, 2), expected)


def test_nothing_but_the_inputs_is_kept_for_backward() -> None:
    kept: list[Tensor] = []
    features, kernels = arguments(6, 2, 16, 16)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        bidownsample(features, kernels, 6, 2, 2)
    assert sum(t.numel() for t in kept) == features.numel() + kernels.numel()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_stays_within_its_own_rounding(dtype: torch.dtype, tolerance: float) -> None:
    features, kernels = (x.detach().to(dtype) for x in arguments(6, 2, 8, 6))
    exact = bidownsample(features.double(), kernels.double(), 6, 2, 2)
    out = bidownsample(features, kernels, 6, 2, 2)
    assert out.dtype == dtype
    assert ((out.double() - exact).abs() <= tolerance * exact.abs() + 1e-5).all()


def test_softmax_normalises_each_group() -> None:
    features, logits = arguments(6, 2, 8, 6)
    kernels = logits.unflatten(1, (2, 36)).softmax(2).flatten(1, 2)
    actual = bidownsample(features, logits, 6, 2, 2, normalize="softmax")
    torch.testing.assert_close(actual, bidownsample(features, kernels, 6, 2, 2))


def test_compiles_without_a_graph_break() -> None:
    features, kernels = arguments(6, 2, 7, 6)
    compiled = torch.compile(lambda a, b: bidownsample(a, b, 6, 2, 2).sin(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(features, kernels), bidownsample(features, kernels, 6, 2, 2).sin())
    compiled(features, kernels).sum().backward()
    assert features.grad is not None


def test_flop_counter_sees_the_operator() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    features, kernels = arguments(6, 2, 8, 8)
    with FlopCounterMode(display=False) as counter:
        out = bidownsample(features, kernels, 6, 2, 2)
    once = 2 * 36 * out.numel()
    assert counter.get_total_flops() == once
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == 2 * once


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kernel_size": 0}, ["kernel_size is 0", "≥ 1"]),
        ({"scale_factor": 0}, ["scale_factor is 0", "≥ 1"]),
        ({"groups": 3}, ["groups is 3", "4 channels"]),
        ({"kernels": torch.randn(1, 36, 2, 2)}, ["kernels has shape [1, 36, 2, 2]", "expected [1, 36, 4, 3]"]),
        ({"normalize": "sigmoid"}, ["normalize is 'sigmoid'", "softmax"]),
        ({"features": torch.ones(1, 4, 8, 5, dtype=torch.int64)}, ["features is torch.int64", "floating"]),
    ],
)
def test_errors_name_the_argument(changed: dict, words: list[str]) -> None:
    call = {"features": torch.randn(1, 4, 8, 5), "kernels": torch.randn(1, 36, 4, 3), "kernel_size": 6} | changed
    with pytest.raises(ValueError, match=r".+") as error:
        bidownsample(**call)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_every_case_of_the_vectors_is_tested() -> None:
    kinds = ("carafe", "sapa_sim", "sapa_atn")  # these in test_reassemble.py
    assert [name for name in manifest("ops") if name not in CASES and not name.startswith(kinds)] == []

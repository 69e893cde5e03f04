"""Reassembly and local similarity against the published kernels, and as torch operators."""

import pytest
import torch
from golden import array, manifest
from rounding import check_sums
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import local_similarity, reassemble, use_backend
from denseup.ops.geometry import source_index

CARAFE_CASES = [name for name in manifest("ops") if name.startswith("carafe")]
SIMILARITY_CASES = [name for name in manifest("ops") if name.startswith("sapa_sim")]
ATTENTION_CASES = [name for name in manifest("ops") if name.startswith("sapa_atn")]
SIZES = [
    ((4, 5), (8, 10)),
    ((5, 3), (15, 9)),
    ((6, 7), (9, 11)),
    ((3, 4), (12, 16)),
    ((7, 5), (13, 10)),
    ((4, 4), (4, 4)),
]


def unfolded(de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
    """The definition, by brute force: gather the window of every output pixel."""
    height, width = kernels.shape[2:]
    windows = F.unfold(de, kernel_size, padding=kernel_size // 2).unflatten(1, (groups, -1, kernel_size**2))
    windows = windows.unflatten(-1, de.shape[2:])
    rows, columns = source_index(de.shape[2], height), source_index(de.shape[3], width)
    windows = windows[..., rows[:, None], columns]
    return (windows * kernels.unflatten(1, (groups, 1, -1))).sum(3).flatten(1, 2)


def double(name: str, key: str) -> Tensor:
    return array("ops", f"{name}/{key}").double()


@pytest.mark.parametrize("name", CARAFE_CASES)
def test_reassemble_equals_the_published_operator(name: str) -> None:
    case = manifest("ops")[name]
    de, kernels = double(name, "features").requires_grad_(), double(name, "masks").requires_grad_()
    out = reassemble(de, kernels, case["kernel_size"], case["group_size"])
    out.backward(double(name, "grad_out"))
    check_sums(out, array("ops", f"{name}/out"), "out")
    check_sums(de.grad, array("ops", f"{name}/grad_features"), "grad_features")
    check_sums(kernels.grad, array("ops", f"{name}/grad_masks"), "grad_masks")


@pytest.mark.parametrize("name", SIMILARITY_CASES)
def test_local_similarity_equals_sapa(name: str) -> None:
    case = manifest("ops")[name]
    query = double(name, "query").permute(0, 3, 1, 2).requires_grad_()
    key = double(name, "key").permute(0, 3, 1, 2).requires_grad_()
    out = local_similarity(query, key, case["kernel_size"])
    grads = torch.autograd.grad(out, (query, key), double(name, "grad_out").permute(0, 3, 1, 2))
    for actual, expected in zip((out, *grads), ("out", "grad_query", "grad_key"), strict=True):
        check_sums(actual.permute(0, 2, 3, 1), array("ops", f"{name}/{expected}"), expected)


@pytest.mark.parametrize("name", ATTENTION_CASES)
def test_reassemble_equals_sapas_attention(name: str) -> None:
    case = manifest("ops")[name]
    kernels = double(name, "attn").permute(0, 3, 1, 2).requires_grad_()
    de = double(name, "value").permute(0, 3, 1, 2).requires_grad_()
    out = reassemble(de, kernels, case["kernel_size"])
    grads = torch.autograd.grad(out, (kernels, de), double(name, "grad_out").permute(0, 3, 1, 2))
    for actual, expected in zip((out, *grads), ("out", "grad_attn", "grad_value"), strict=True):
        check_sums(actual.permute(0, 2, 3, 1), array("ops", f"{name}/{expected}"), expected)


@pytest.mark.parametrize(("low", "high"), SIZES)
@pytest.mark.parametrize(("kernel_size", "groups"), [(3, 1), (5, 2), (1, 4)])
def test_any_size_equals_brute_force(
    low: tuple[int, int], high: tuple[int, int], kernel_size: int, groups: int
) -> None:
    torch.manual_seed(0)
    de = torch.randn(2, 8, *low, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(2, groups * kernel_size**2, *high, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(2, 8, *high, dtype=torch.float64)
    expected = unfolded(de, kernels, kernel_size, groups)
    actual = reassemble(de, kernels, kernel_size, groups)
    check_sums(actual, expected.detach(), "out")
    pairs = zip(*(torch.autograd.grad(out, (de, kernels), grad) for out in (actual, expected)), strict=True)
    for ours, theirs in pairs:
        check_sums(ours, theirs, "gradient")


def test_softmax_normalises_each_group() -> None:
    torch.manual_seed(0)
    de, logits = torch.randn(1, 4, 5, 5, dtype=torch.float64), torch.randn(1, 18, 10, 10, dtype=torch.float64)
    kernels = logits.unflatten(1, (2, 9)).softmax(2).flatten(1, 2)
    torch.testing.assert_close(reassemble(de, logits, 3, 2, normalize="softmax"), reassemble(de, kernels, 3, 2))


@pytest.mark.parametrize("operator", [reassemble, local_similarity])
def test_gradients_of_first_and_second_order(operator) -> None:
    torch.manual_seed(0)
    low = torch.randn(1, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    channels = 18 if operator is reassemble else 4
    high = torch.randn(1, channels, 5, 8, dtype=torch.float64, requires_grad=True)
    arguments = (low, high) if operator is reassemble else (high, low)
    assert torch.autograd.gradcheck(lambda a, b: operator(a, b, 3, 2), arguments)
    assert torch.autograd.gradgradcheck(lambda a, b: operator(a, b, 3, 2), arguments)


def test_compiles_without_a_graph_break() -> None:
    def f(de: Tensor, kernels: Tensor) -> Tensor:
        return reassemble(de, kernels, 3, normalize="softmax").sin()

    de, kernels = torch.randn(1, 4, 3, 5, requires_grad=True), torch.randn(1, 9, 6, 10, requires_grad=True)
    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(de, kernels), f(de, kernels))
    compiled(de, kernels).sum().backward()
    assert de.grad is not None


def test_nothing_but_the_inputs_is_kept_for_backward() -> None:
    kept: list[Tensor] = []
    de, kernels = torch.randn(1, 64, 8, 8, requires_grad=True), torch.randn(1, 25, 16, 16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        reassemble(de, kernels, 5)
    assert sum(t.numel() for t in kept) == de.numel() + kernels.numel()


def test_flop_counter_sees_the_operator() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        reassemble(torch.randn(2, 8, 4, 4), torch.randn(2, 25, 8, 8), 5)
    assert counter.get_total_flops() == 2 * 25 * 8 * 2 * 8 * 8


def test_autocast_gives_the_dtype_of_the_features() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        out = reassemble(torch.randn(1, 4, 3, 3).bfloat16(), torch.randn(1, 9, 6, 6), 3, normalize="softmax")
    assert out.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kernel_size": 4}, ["kernel_size is 4", "odd"]),
        ({"groups": 3}, ["groups is 3", "8 channels"]),
        ({"kernels": torch.randn(1, 8, 8, 8)}, ["kernels has shape [1, 8, 8, 8]", "[1, 9, H, W]"]),
        ({"kernels": torch.randn(1, 9, 2, 2)}, ["at least as large", "swapped"]),
        ({"output_size": (9, 9)}, ["output_size is (9, 9)", "(8, 8)"]),
        ({"normalize": "sigmoid"}, ["normalize is 'sigmoid'", "softmax"]),
        ({"backend": "cuda"}, ["backend 'cuda' is unknown", "reference"]),
        ({"de": torch.ones(1, 8, 4, 4, dtype=torch.int64)}, ["de is torch.int64", "floating"]),
    ],
)
def test_errors_name_the_argument(arguments: dict, words: list[str]) -> None:
    call = {"de": torch.randn(1, 8, 4, 4), "kernels": torch.randn(1, 9, 8, 8), "kernel_size": 3} | arguments
    with pytest.raises(ValueError, match=r".+") as error:
        reassemble(**call)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_backend_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    de, kernels = torch.randn(1, 4, 3, 3), torch.randn(1, 9, 6, 6)
    monkeypatch.setenv("DENSEUP_BACKEND", "nonsense")
    with pytest.raises(ValueError, match="nonsense"):
        reassemble(de, kernels, 3)
    with use_backend("reference"):
        reassemble(de, kernels, 3)
    with pytest.raises(ValueError, match="unknown"), use_backend("nonsense"):
        pass

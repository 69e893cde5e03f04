"""Bicubic interpolation by the kernels of reassembly equals torch's in float64; who else comes gets torch's own."""

from collections.abc import Callable

import pytest
import torch
from rounding import check_sums
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import bicubic as module
from denseup.ops.bicubic import FEWEST_CHANNELS, bicubic
from denseup.ops.reassembly import cpu

LAYOUTS = [torch.contiguous_format, torch.channels_last]
SIZES = [
    ((6, 7), (12, 14)),
    ((6, 7), (24, 56)),
    ((5, 7), (13, 9)),
    ((1, 1), (4, 3)),
    ((2, 1), (2, 5)),
    ((3, 3), (3, 3)),
    ((9, 40), (10, 41)),
]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The maps that have gone to reassembly."""
    seen = []

    def reassemble(x: Tensor, *arguments: object) -> Tensor:
        seen.append(x)
        return original(x, *arguments)  # type: ignore[arg-type]

    original = module.reassemble
    monkeypatch.setattr(module, "reassemble", reassemble)
    return seen


def a_map(low: tuple[int, int], channels: int = 16, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, *low)


def needs_kernels(x: Tensor) -> None:
    if reasons := cpu.unsupported_reasons(x, 5, 1):
        pytest.skip(f"no compiled kernels here: {'; '.join(reasons)}")


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(("low", "high"), SIZES)
def test_values_and_gradients(
    low: tuple[int, int], high: tuple[int, int], layout: torch.memory_format, served: list[Tensor]
) -> None:
    x = a_map(low).contiguous(memory_format=layout).requires_grad_()
    needs_kernels(x)
    exact = x.detach().double().requires_grad_()
    expected = F.interpolate(exact, high, mode="bicubic", align_corners=False)
    out = bicubic(x, high)
    assert len(served) == 1
    assert out.shape == expected.shape
    assert out.is_contiguous(memory_format=layout) or low == (1, 1)  # which has no layout
    check_sums(out, expected, "values")
    grad = torch.randn_like(expected)
    check_sums(
        torch.autograd.grad(out, x, grad.float())[0],
        torch.autograd.grad(expected, exact, grad.float().double())[0],
        "gradient",
    )


def test_gradients_of_gradients(served: list[Tensor]) -> None:
    """The interpolation is linear: the gradient of its gradient is itself."""
    x, grad = a_map((3, 4)).requires_grad_(), a_map((7, 8)).requires_grad_()
    needs_kernels(x)
    (back,) = torch.autograd.grad(bicubic(x, (7, 8)), x, grad, create_graph=True)
    tangent = torch.randn_like(back)
    (out,) = torch.autograd.grad(back, grad, tangent)
    check_sums(out, F.interpolate(tangent.double(), (7, 8), mode="bicubic"), "second gradient")
    assert len(served) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: x.double(), id="float64"),
        pytest.param(lambda x: x.bfloat16(), id="half precision rounds the weights"),
        pytest.param(lambda x: x[:, : FEWEST_CHANNELS - 1], id="few channels"),
        pytest.param(lambda x: x[:0], id="no images"),
        pytest.param(lambda x: F.pad(x, (0, 9)), id="smaller in one direction"),
        pytest.param(lambda x: x.index_fill(3, torch.tensor([2]), torch.nan), id="NaN, which no zero may meet"),
        pytest.param(lambda x: x.index_fill(3, torch.tensor([2]), -torch.inf), id="infinity"),
    ],
)
def test_others_are_torchs(change: Callable[[Tensor], Tensor], served: list[Tensor]) -> None:
    x = change(a_map((5, 6)))
    expected = F.interpolate(x, (11, 13), mode="bicubic", align_corners=False)
    torch.testing.assert_close(bicubic(x, (11, 13)), expected, rtol=0, atol=0, equal_nan=True)
    assert served == []


def test_graphs_are_torchs(served: list[Tensor]) -> None:
    x = a_map((5, 6))
    program = torch.export.export(Module(), (x,))
    assert any("upsample_bicubic2d" in str(node.target) for node in program.graph.nodes)
    assert served == []


class Module(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """Twice the size."""
        return bicubic(x, (10, 12))

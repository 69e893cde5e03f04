"""Which pixel is nearest, and the sum over the pixels that share one."""

import itertools

import pytest
import torch

from denseup.ops import resize_nearest
from denseup.ops.geometry import Size, phase_slots, source_index
from denseup.ops.nearest import functional, sum_of_cells

SIZES = [((3, 4), (7, 5)), ((5, 3), (15, 9)), ((4, 6), (8, 12)), ((5, 7), (3, 7))]


@pytest.mark.parametrize(("length", "output"), itertools.product([1, 3, 7, 64, 67], [67, 128, 133, 256, 201]))
def test_phase_slots_place_every_output_in_its_source(length: int, output: int) -> None:
    factor, slots = phase_slots(length, output)
    assert (slots.diff() > 0).all()
    assert slots[-1] < factor * length
    assert torch.equal(slots // factor, source_index(length, output))


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 7, 41])
def test_resize_nearest_equals_the_integer_rule(factor: int) -> None:
    x = torch.randn(1, 2, 5, 13)
    rows, columns = source_index(5, 5 * factor), source_index(13, 13 * factor)
    assert torch.equal(resize_nearest(x, (5 * factor, 13 * factor)), x[:, :, rows][:, :, :, columns])
    rows = source_index(5, 7)
    assert torch.equal(resize_nearest(x, (7, 13)), x[:, :, rows])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_any_pair_of_sizes_by_the_integer_rule(layout: torch.memory_format, dtype: torch.dtype) -> None:
    """Also those that go torch's way, whose index has a floating-point scale."""
    channels = 3
    for length, output in [*itertools.product(range(1, 26), repeat=2), (1021, 2041), (2039, 1024), (14, 46), (22, 66)]:
        x = torch.randint(0, 100, (1, channels, length, 2)).to(dtype).contiguous(memory_format=layout).requires_grad_()
        grad = torch.randint(0, 3, (1, channels, output, 3)).to(dtype).contiguous(memory_format=layout)
        out = resize_nearest(x, (output, 3))
        rows, columns = source_index(length, output), source_index(2, 3)
        assert torch.equal(out, x[:, :, rows][..., columns]), (length, output)
        (found,) = torch.autograd.grad(out, x, grad)
        of_rows = torch.zeros(1, channels, length, 3, dtype=dtype).index_add_(2, rows, grad)
        expected = torch.zeros_like(x).index_add_(3, columns, of_rows)
        assert torch.equal(found, expected), (length, output)


@pytest.mark.parametrize("size", [(7, 9), (9, 12), (6, 8), (2, 3), (3, 4)])
def test_results_and_gradients_have_the_layout_of_the_map(size: tuple[int, int]) -> None:
    """At odd sizes too, and at ratios that torch's index is not exact for."""
    x = torch.randn(2, 5, 3, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    out = resize_nearest(x, size)
    (grad,) = torch.autograd.grad(out, x, torch.randn_like(out))
    assert all(map_.is_contiguous(memory_format=torch.channels_last) for map_ in (out, grad))


def test_torch_is_called_where_its_index_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a map isn't doubled in an odd length, selecting its pixels and adding them up takes ten times as long."""
    selected: list[Size] = []
    monkeypatch.setattr(functional, "select", lambda x, size: selected.append(size) or x)
    for size in ((45, 60), (46, 60), (24, 31), (69, 90), (46, 45)):
        resize_nearest(torch.zeros(1, 1, 23, 30), size)
    assert selected == [(69, 90), (46, 45)]  # a factor of 3, a common divisor of 15


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("low", "high"), SIZES)
def test_the_sum_of_cells_is_the_gradient(
    low: tuple[int, int], high: tuple[int, int], layout: torch.memory_format
) -> None:
    x = torch.randn(2, 3, *low, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(2, 3, *high, dtype=torch.float64).contiguous(memory_format=layout)
    (expected,) = torch.autograd.grad(resize_nearest(x, high), x, grad)
    out = sum_of_cells(grad, low)
    assert out.is_contiguous(memory_format=layout)
    torch.testing.assert_close(out, expected)
    torch.library.opcheck(torch.ops.denseup.sum_of_cells, (grad.requires_grad_(), *low))
    assert torch.autograd.gradcheck(lambda grad: sum_of_cells(grad, low), grad)


def test_vmap_joins_the_batch() -> None:
    grads = torch.randn(4, 2, 3, 7, 5)
    mapped = torch.vmap(lambda grad: sum_of_cells(grad, (3, 4)), in_dims=1)(grads.transpose(0, 1))
    assert torch.equal(mapped, torch.stack([sum_of_cells(grad, (3, 4)) for grad in grads]))

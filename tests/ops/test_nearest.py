"""Which pixel is nearest, and the sum over the pixels that share one."""

import itertools

import pytest
import torch

from denseup.ops import resize_nearest
from denseup.ops.geometry import phase_slots, source_index
from denseup.ops.nearest import sum_of_cells

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

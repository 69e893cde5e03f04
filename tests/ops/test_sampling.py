"""Bilinear sampling: equal to torch's grid_sample, differentiable twice, exact in half precision."""

from contextlib import nullcontext

import pytest
import torch
from ops.registered import check
from rounding import check_sums
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import sample_bilinear, use_backend
from denseup.ops.geometry import layout as layout_of
from denseup.ops.geometry import pad_to_even, source_positions
from denseup.ops.sampling import cpu, decomposition
from denseup.ops.sampling import positions as positions_reference
from denseup.ops.sampling.arguments import PADDINGS
from denseup.ops.sampling.backends import BACKENDS
from denseup.ops.sampling.operators import sample


def arguments(groups: int = 2, width: int = 5) -> tuple[Tensor, Tensor]:
    """A map and positions within it and a little beyond."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 3, width, dtype=torch.float64, requires_grad=True)
    positions = torch.rand(2, 2 * groups, 4, 6, dtype=torch.float64) * (width + 2) - 1
    return x, positions.requires_grad_()


def bilinear_positions(low: tuple[int, int], high: tuple[int, int], dtype: torch.dtype) -> Tensor:
    rows, columns = (source_positions(a, b, dtype) for a, b in zip(low, high, strict=True))
    return torch.stack([columns.expand(high), rows[:, None].expand(high)])[None]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_reads_each_group_at_its_positions(groups: int, padding: str) -> None:
    x, positions = arguments(groups)
    columns, rows = positions.unflatten(1, (2, groups)).unbind(1)
    expected = []
    for group in range(groups):
        grid = torch.stack([(2 * columns[:, group] + 1) / 5 - 1, (2 * rows[:, group] + 1) / 3 - 1], -1)
        part = x.unflatten(1, (groups, -1))[:, group]
        expected.append(F.grid_sample(part, grid, padding_mode=padding, align_corners=False))
    check_sums(sample_bilinear(x, positions, groups, padding), torch.cat(expected, 1).detach(), "out")


@pytest.mark.parametrize("high", [(6, 10), (9, 15), (5, 7), (3, 5)])
def test_positions_of_the_pixel_centres_give_bilinear_interpolation(high: tuple[int, int]) -> None:
    x, _ = arguments()
    positions = bilinear_positions((3, 5), high, torch.float64).expand(2, -1, -1, -1)
    expected = F.interpolate(x, size=high, mode="bilinear", align_corners=False)
    check_sums(sample_bilinear(x, positions), expected.detach(), "out")


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("width", [1, 5])
def test_the_plain_form_equals_torchs_kernel(width: int, padding: str) -> None:
    """Which has its own words of the padding, and its own gradients."""
    x, _ = arguments(width=width)
    grid = (torch.rand(2, 4, 6, 2, dtype=torch.float64) * 4 - 2).requires_grad_()
    grad = torch.randn(2, 4, 4, 6, dtype=torch.float64)

    def torchs(x: Tensor, grid: Tensor, padding: str) -> Tensor:
        return F.grid_sample(x, grid, padding_mode=padding, align_corners=False)

    functions = (decomposition.sample, sample, torchs)
    outs = [function(x, grid, padding) for function in functions]
    of_formula = decomposition.sample_backward(grad, x.detach(), grid.detach(), padding)
    *ours, theirs = (torch.autograd.grad(out, (x, grid), grad) for out in outs)
    for out in outs[:2]:
        check_sums(out, outs[2].detach(), "out")
    for found in (*ours, of_formula):
        for gradient, torchs_gradient in zip(found, theirs, strict=True):
            check_sums(gradient, torchs_gradient, "gradient")


@pytest.mark.parametrize("padding", PADDINGS)
def test_gradients_of_first_and_second_order(padding: str) -> None:
    x, positions = (t[:1].detach().requires_grad_() for t in arguments())
    assert torch.autograd.gradcheck(lambda a, b: sample_bilinear(a, b, 2, padding), (x, positions))
    assert torch.autograd.gradgradcheck(lambda a, b: sample_bilinear(a, b, 2, padding), (x, positions))


def test_zeros_are_read_from_a_pixel_outside_on() -> None:
    """Half a pixel outside of the border pixel, one pixel and more outside nothing, at sides and in corners."""
    x = torch.ones(1, 1, 3, 5, dtype=torch.float64)
    outside = torch.tensor([0, -0.25, -0.5, -1, -1.5, -3, -torch.inf], dtype=torch.float64)
    shares = (1 + outside).clamp(0)
    inside = torch.zeros_like(outside)
    for columns, rows, expected in (
        (outside, inside, shares),
        (4 - outside, inside, shares),
        (inside, outside, shares),
        (inside, 2 - outside, shares),
        (outside, 2 - outside, shares**2),
    ):
        positions = torch.stack([columns, rows])[None, :, None]
        check_sums(sample_bilinear(x, positions, padding="zeros").flatten(), expected, "out")


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_opcheck(layout: torch.memory_format, padding: str) -> None:
    """Of the gradients, which are of torch's operators, one program for each padding, each in another layout."""
    traced = (layout is torch.channels_last) == (padding == "zeros")
    x = arguments()[0].detach().to(memory_format=layout).requires_grad_()
    grid = torch.rand(2, 4, 6, 2, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(2, 4, 4, 6, dtype=torch.float64, requires_grad=True)
    check(torch.ops.denseup.sample_bilinear.default, (x, grid, padding))
    check(torch.ops.denseup.sample_bilinear_backward.default, (grad, x, grid, padding), traced=traced)
    positions = arguments()[1].detach().requires_grad_()
    check(torch.ops.denseup.sample_positions.default, (x, positions, 2, padding))
    check(torch.ops.denseup.sample_positions_backward.default, (grad, x, positions, 2, padding), traced=traced)


TOLERANCE = 4e-6
"""Of the largest value, 34 eps, as for the other operators in float32: see `TOLERANCES` of test_backends.py."""
SHAPES = [  # batch, channels, groups, size of the map, of the result
    (1, 64, 4, (6, 7), (12, 14)),
    (2, 17, 1, (5, 3), (7, 70)),
    (1, 96, 2, (4, 9), (3, 130)),
    (3, 6, 3, (1, 1), (4, 5)),
    (1, 40, 1, (8, 1), (1, 1)),
]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kernels_in_c(
    instructions: str, shape: tuple, padding: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output and gradients in every layout against float64; at a pixel itself there are two slopes."""
    monkeypatch.setattr(cpu.native, "threads", lambda: threads)
    batch, channels, groups, low, high = shape
    generator = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(batch, channels, *size, generator=generator) for size in (low, high))
    spans = torch.tensor([low[1], low[0]]).repeat_interleave(groups)[:, None, None]
    positions = torch.rand(batch, 2 * groups, *high, generator=generator) * (spans + 4) - 2.5
    positions = ((positions * 64).round() + 0.5) / 64  # on no pixel, and the same number in both precisions
    exact = [t.double().requires_grad_() for t in (x, positions)]
    truth = sample_bilinear(*exact, groups, padding)
    truths = torch.autograd.grad(truth, exact, grad.double())
    for layout in (torch.contiguous_format, torch.channels_last):
        maps = [t.contiguous(memory_format=layout) for t in (x, positions, grad)]
        assert cpu.unsupported_reasons(*maps[:2], groups) == []
        found = cpu.sample(*maps[:2], groups, padding), *cpu.sample_backward(maps[2], *maps[:2], groups, padding)
        assert found[0].is_contiguous(memory_format=layout_of(maps[0]))
        for ours, true in zip(found, (truth, *truths), strict=True):
            assert (ours.double() - true).abs().max() <= TOLERANCE * true.abs().max()


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_kernels_and_torchs_know_nowhere_alike(instructions: str, padding: str) -> None:
    """Positions that are not finite, and values of the map that are not, where they are read and where they are not."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 18, 4, 5, generator=generator)
    x[0, ::3, 0, 0], x[0, 1, 3, 4], x[0, 17, 2, 2] = torch.inf, torch.nan, -torch.inf
    positions = torch.rand(1, 4, 6, 40, generator=generator) * 8 - 2.25
    for k, value in enumerate((torch.nan, torch.inf, -torch.inf, 3e38, -1e30)):
        positions[0, 0, k, 3] = positions[0, 3, k, 4] = positions[0, 1, k, 5] = positions[0, 2, k, 6] = value
    grad = torch.randn(1, 18, 6, 40, generator=generator)
    ours = cpu.sample(x, positions, 2, padding), *cpu.sample_backward(grad, x, positions, 2, padding)
    theirs = (
        positions_reference.sample(x, positions, 2, padding),
        *positions_reference.sample_backward(grad, x, positions, 2, padding),
    )
    for found, expected in zip(ours[:2], theirs[:2], strict=True):
        assert torch.equal(found.isnan(), expected.isnan())
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, equal_nan=True)
    assert torch.equal(ours[2].isnan(), theirs[2].isnan())


def test_the_kernels_serve_float32_on_the_cpu() -> None:
    if cpu.MISSING:
        pytest.skip(cpu.MISSING)
    x, positions = (t.detach() for t in arguments())
    assert BACKENDS.choose(None, x.float(), positions.float(), 2) == "cpu"
    assert BACKENDS.choose(None, x, positions, 2) == "reference"
    assert BACKENDS.choose(None, x[:0].float(), positions[:0].float(), 2) == "reference"
    with use_backend("reference"):
        assert BACKENDS.choose(None, x.float(), positions.float(), 2) == "reference"
    with pytest.raises(ValueError, match=r"dtype is torch\.float64"):
        torch.ops.denseup.sample_positions(x, positions, 2, "border", "cpu")


@pytest.mark.parametrize("padding", PADDINGS)
def test_second_derivatives_in_float32(padding: str) -> None:
    """Through the operator of the kernels, against float64."""
    x, positions = (t.detach() for t in arguments())
    results = []
    for dtype in (torch.float32, torch.float64):
        leaves = [t.to(dtype).requires_grad_() for t in (x, positions)]
        first = torch.autograd.grad(sample_bilinear(*leaves, 2, padding).square().sum(), leaves, create_graph=True)
        results.append(torch.autograd.grad(sum(g.square().sum() for g in first), leaves))
    for ours, true in zip(*results, strict=True):
        assert (ours.double() - true).abs().max() <= 10 * TOLERANCE * true.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_read_at_exact_positions(dtype: torch.dtype) -> None:
    """A ramp of 0, 1, … would show every error of position; bfloat16 positions would be off by a pixel here."""
    ramp = torch.arange(250.0).expand(1, 1, 2, 250).to(dtype)
    positions = bilinear_positions((2, 250), (4, 500), torch.float32)
    out = sample_bilinear(ramp, positions)
    exact = F.interpolate(ramp.double(), size=(4, 500), mode="bilinear")
    assert out.dtype == dtype
    assert ((out.double() - exact).abs() <= torch.finfo(dtype).eps / 2 * exact + 1e-4).all()


def test_compiles_without_a_graph_break() -> None:
    x, positions = arguments()
    compiled = torch.compile(lambda a, b: sample_bilinear(a, b, 2).sin(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, positions), sample_bilinear(x, positions, 2).sin())
    compiled(x, positions).sum().backward()
    assert positions.grad is not None


def test_flop_counter_sees_the_operator() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    x, positions = arguments()
    with FlopCounterMode(display=False) as counter:
        out = sample_bilinear(x, positions, 2)
    assert counter.get_total_flops() == 2 * 4 * out.numel()
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 4 * out.numel()


def test_errors_name_the_argument() -> None:
    x, positions = arguments()
    with pytest.raises(ValueError, match=r"x is \[2, 4, 3, 5\], expected .* multiple of groups, 3"):
        sample_bilinear(x, positions, 3)
    with pytest.raises(ValueError, match=r"positions is \[2, 4, 4, 6\], expected \[2, 2, H, W\]"):
        sample_bilinear(x, positions)
    with pytest.raises(ValueError, match="padding is 'reflection', valid: 'border', 'zeros'"):
        sample_bilinear(x, positions, 2, padding="reflection")


@pytest.mark.parametrize(("size", "expected"), [((4, 6), (4, 6)), ((3, 6), (4, 6)), ((3, 5), (4, 6)), ((1, 1), (2, 2))])
def test_pad_to_even_repeats_the_last_row_and_column(size: tuple[int, int], expected: tuple[int, int]) -> None:
    x = torch.randn(1, 2, *size)
    right, below = expected[1] - size[1], expected[0] - size[0]
    assert torch.equal(pad_to_even(x), F.pad(x, (0, right, 0, below), mode="replicate"))


def slope_to_the_right(line: Tensor, place: int, padding: str) -> float:
    """Of a map of one row, by the definition: towards the next pixel, none where a border is repeated."""
    length = len(line)
    if padding == "border":
        return 0.0 if place <= 0 or place >= length - 1 else float(line[place + 1] - line[place])
    padded = [0.0, 0.0, *line.tolist(), 0.0, 0.0]
    return padded[place + 3] - padded[place + 2]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", ["chosen", "reference", "torch.func"])
def test_the_slope_at_whole_positions_is_that_of_the_next_pixel(way: str, dtype: torch.dtype, padding: str) -> None:
    """Torch's coordinates come back as pixels beside the whole number, on either side, as roundings fall."""
    for length in range(1, 40):
        line = torch.randn(length, generator=torch.Generator().manual_seed(length)).to(dtype)
        places = torch.arange(-1, length + 1)
        across = torch.stack([places, torch.zeros_like(places)])[None, :, None].to(dtype)
        for axis in (0, 1):  # along rows, along columns
            x = line[None, None, None] if axis == 0 else line[None, None, :, None]
            positions = across.flip(1) if axis else across

            def total(positions: Tensor, x: Tensor = x) -> Tensor:
                return sample_bilinear(x, positions, 1, padding).sum()

            if way == "torch.func":
                found = torch.func.grad(total)(positions)
            else:
                at = positions.clone().requires_grad_()
                with use_backend("reference") if way == "reference" else nullcontext():
                    (found,) = torch.autograd.grad(total(at), at)
            slopes = [slope_to_the_right(line, int(place), padding) for place in places]
            error = 1e-9 if dtype == torch.float64 else 1e-4
            torch.testing.assert_close(found[0, axis, 0].tolist(), slopes, rtol=error, atol=error)


@pytest.mark.parametrize("padding", PADDINGS)
def test_positions_beside_whole_ones_keep_their_slope(padding: str) -> None:
    """The numbers before and after a whole one lie within a rounding of the conversions from it."""
    for length in (3, 7, 38, 255):
        line = torch.randn(length, generator=torch.Generator().manual_seed(length))
        places = torch.arange(1, length - 1) if padding == "border" else torch.arange(length)
        for towards, shift in ((torch.inf, 0), (-torch.inf, -1)):
            beside = torch.nextafter(places.float(), torch.tensor(towards))
            positions = torch.stack([beside, torch.zeros_like(beside)])[None, :, None].requires_grad_()
            with use_backend("reference"):
                out = sample_bilinear(line[None, None, None], positions, 1, padding)
            (found,) = torch.autograd.grad(out.sum(), positions)
            slopes = [slope_to_the_right(line, int(place) + shift, "zeros") for place in places]
            torch.testing.assert_close(found[0, 0, 0].tolist(), slopes, rtol=1e-3, atol=1e-3)

"""NaN, infinite and huge values through every operator: all kernels make of them what the reference does."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from denseup import native
from denseup.ops import (
    local_similarity,
    neighbourhood_attention,
    reassemble,
    reassemble_gated,
    sample_bilinear,
    use_backend,
)
from denseup.ops.encoding import cpu as cpu_encoding
from denseup.ops.encoding.reference import encode as composed
from denseup.ops.pointwise import cpu as cpu_pointwise

VALUES = [torch.nan, torch.inf, -torch.inf, 1e30, -1e30]
FUNCTIONS: dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]] = {
    "reassemble": (lambda k, g, *maps: reassemble(*maps, k, g), ("de", "logits")),
    "softmax": (lambda k, g, *maps: reassemble(*maps, k, g, normalize="softmax"), ("de", "logits")),
    "gated": (lambda k, g, *maps: reassemble_gated(*maps, k, g), ("de", "logits", "en", "gate")),
    "similarity": (lambda k, g, *maps: local_similarity(*maps, k, g), ("en", "de")),
    "attention": (lambda k, g, *maps: neighbourhood_attention(*maps, k, g), ("en", "de", "value")),
}
SHAPES = [
    ((4, 5), (8, 10), 16, 1, 3),
    ((3, 4), (6, 8), 18, 2, 5),
    ((5, 3), (7, 8), 20, 1, 5),
    ((7, 9), (7, 9), 8, 2, 3),
]


def results(function: Callable[..., Tensor], maps: Sequence[Tensor]) -> list[Tensor]:
    """Output and gradients."""
    leaves = [x.detach().clone().requires_grad_() for x in maps]
    out = function(*leaves)
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return [out, *torch.autograd.grad(out, leaves, grad)]


def assert_alike(found: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float) -> None:
    """NaN and infinite in the same places, and close elsewhere: to the largest finite value of each image."""
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.isnan(), theirs.isnan())
        assert torch.equal(ours.isinf(), theirs.isinf())
        ours, theirs = (x.double().masked_fill(~x.isfinite(), 0) for x in (ours, theirs))
        assert ((ours - theirs).abs() <= tolerance * theirs.abs().amax((1, 2, 3), keepdim=True)).all()


def maps_of(shape: tuple, dtype: torch.dtype, batch: int) -> dict[str, Tensor]:
    low, high, channels, groups, kernel_size = shape
    generator = torch.Generator().manual_seed(0)
    channels_of = {"de": channels, "logits": groups * kernel_size**2, "en": channels, "gate": 1, "value": channels}
    shapes = {k: (batch, n, *(low if k in ("de", "gate", "value") else high)) for k, n in channels_of.items()}
    made = {k: torch.randn(size, generator=generator).to(dtype) for k, size in shapes.items()}
    return made | {"gate": made["gate"].sigmoid()}


def check(backend: str, name: str, shape: tuple, dtype: torch.dtype, values: Sequence[float], tolerance: float) -> None:
    function, keys = FUNCTIONS[name]
    spots = [(value, row, column) for value in values for row, column in ((0, 0), (1, 2))]  # one an image
    for key in keys:
        maps = maps_of(shape, dtype, len(spots))
        for image, (value, row, column) in enumerate(spots):
            maps[key][image, 0, row, column] = value
        given = [maps[k].contiguous(memory_format=torch.channels_last) for k in keys]
        found = []
        for each in (backend, "reference"):
            with use_backend(each):
                found.append(results(lambda *maps: function(shape[4], shape[3], *maps), given))
        assert_alike(*found, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-6)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_c_kernels(instructions: str, name: str, shape: tuple, dtype: torch.dtype, tolerance: float) -> None:
    check("cpu", name, shape, dtype, VALUES, tolerance)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tritons_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    pytest.importorskip("triton")
    check("triton", name, ((2, 3), (4, 6), 4, 1, 3), torch.float32, [torch.nan, torch.inf], 1e-5)


@pytest.mark.parametrize("taps", [9, 25])
def test_softmax_of_extremes(instructions: str, taps: int) -> None:
    """A NaN, or only infinite values, make NaN; masked taps have no weight at all, whatever they would read."""
    de = torch.full((1, 16, 5, 5), 3e38).contiguous(memory_format=torch.channels_last)
    de[:, :, 2, 2] = 1.0
    size = int(taps**0.5)
    for fill in (-torch.inf, -3e38, -1e31, -200.0):
        logits = torch.full((1, taps, 5, 5), fill)
        logits[:, taps // 2] = 0
        out = reassemble(de, logits, size, normalize="softmax", backend="cpu")
        assert torch.equal(out[..., 2, 2], torch.ones(1, 16))
    for fill in (-torch.inf, torch.inf, torch.nan):
        out = reassemble(de, torch.full((1, taps, 5, 5), fill), size, normalize="softmax", backend="cpu")
        assert out.isnan().all()
    assert reassemble(0 * de, torch.full((1, taps, 5, 5), -3e38), size, normalize="softmax", backend="cpu").eq(0).all()


@pytest.mark.skipif(native.library() is None, reason=str(native.why_missing()))
@pytest.mark.parametrize("value", VALUES)
def test_convolutions_in_c(instructions: str, value: float) -> None:
    """Not finite, forward and for the maps, exactly where torch's are not."""
    torch.manual_seed(0)
    last = torch.channels_last
    for place in range(2):
        high, low = (torch.randn(1, 16, n, n + 1).contiguous(memory_format=last) for n in (8, 4))
        weight, bias, grad = torch.randn(17, 16, 3, 3), torch.randn(17), torch.randn(1, 17, 8, 9)
        (high, low)[place][0, 3, 2, 3] = value
        out = cpu_encoding.encode(high, low, weight, bias)
        expected = composed(high, low, weight, bias)
        assert torch.equal(out.isfinite(), expected.isfinite())
        grad[0, 5, 4, 4] = value
        found = cpu_encoding.encode_backward(grad.contiguous(memory_format=last), high, low, weight, [True] * 4)
        leaves = [x.requires_grad_() for x in (high, low, weight, bias)]
        theirs = torch.autograd.grad(composed(*leaves), leaves, grad)
        for ours, true in zip(found, theirs, strict=True):
            assert not (ours.isfinite() & ~true.isfinite()).any()
        for k in (0, 1):
            assert torch.equal(found[k].isfinite(), theirs[k].isfinite())
        flat = weight[:, :, 1, 1, None, None].detach()
        x = high.detach()
        ours, true = cpu_pointwise.convolve(x, flat, bias.detach()), torch.conv2d(x, flat, bias.detach())
        assert torch.equal(ours.isfinite(), true.isfinite())


@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_positions_that_are_nowhere(dtype: torch.dtype, padding: str) -> None:
    """NaN there and in the position's gradient; all else, and what the map gets, is as without them."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 6).to(dtype).requires_grad_()
    clean = (torch.rand(2, 4, 9, 40) * 7 - 1).requires_grad_()
    positions = clean.detach().clone()
    positions[0, 0, 2, 3] = positions[1, 3, 8, 39] = positions[0, 2, 0, 0] = torch.nan
    positions.requires_grad_()
    nowhere = torch.zeros(2, 2, 9, 40, dtype=torch.bool)
    nowhere[0, 0, 2, 3] = nowhere[1, 1, 8, 39] = nowhere[0, 0, 0, 0] = True
    out, expected = (sample_bilinear(x, p, 2, padding) for p in (positions, clean))
    of_channels = nowhere.repeat_interleave(2, 1)
    assert torch.equal(out.isnan(), of_channels)
    assert torch.equal(out[~of_channels], expected[~of_channels])
    of_map, of_positions = torch.autograd.grad(out.float().sum(), (x, positions))
    truth = torch.autograd.grad((expected.float() * ~of_channels).sum(), (x, clean))
    torch.testing.assert_close(of_map, truth[0])
    assert torch.equal(of_positions.isnan(), nowhere.repeat(1, 2, 1, 1))
    torch.testing.assert_close(of_positions.nan_to_num(0), truth[1])
    plain = torch.vmap(lambda a, b: sample_bilinear(a[None], b[None], 2, padding)[0])(x, positions)
    assert torch.equal(plain.isnan(), of_channels)


def test_zeros_far_away() -> None:
    """Nothing is read there and nothing has a gradient, in all ways, also where the border is not finite."""
    x = torch.full((1, 2, 4, 5), torch.inf, requires_grad=True)
    for value in (torch.inf, -torch.inf, 1e30, -3e38, 7.0, -3.0):
        for row in (value, 1.0):
            positions = torch.full((1, 2, 3, 3), value)
            positions[:, 1] = row
            positions.requires_grad_()

            def sampled(x: Tensor, positions: Tensor) -> Tensor:
                return sample_bilinear(x, positions, padding="zeros")

            out = sampled(x, positions)
            plain, tangent = torch.func.jvp(sampled, (x, positions), (torch.ones_like(x), torch.ones_like(positions)))
            first = torch.autograd.grad(out.sum(), (x, positions), create_graph=True)
            assert all(not g.count_nonzero() for g in (out, plain, tangent, *first))
            second = torch.autograd.grad(first[1].sum(), (x, positions), allow_unused=True)
            assert all(g is None or not g.count_nonzero() for g in second)


def test_positions_far_away_read_the_border() -> None:
    x = torch.randn(1, 2, 4, 5, requires_grad=True)
    for value, column in ((torch.inf, -1), (1e30, -1), (3e38, -1), (-torch.inf, 0), (-3e38, 0)):
        positions = torch.full((1, 2, 3, 3), value, requires_grad=True)
        out = sample_bilinear(x, positions)
        assert torch.equal(out, x[..., column, column][..., None, None].expand(1, 2, 3, 3))
        grads = torch.autograd.grad(out.sum(), (x, positions))
        assert all(g.isfinite().all() for g in grads)


def test_a_position_between_pixels_has_one_slope_at_a_pixel() -> None:
    """The second derivative takes the plain way, whose first derivative there is torch's."""
    x = torch.randn(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    positions = torch.tensor([2.0, 1.0], dtype=torch.float64).reshape(1, 2, 1, 1)
    slopes = torch.func.jacfwd(lambda p: sample_bilinear(x, p).sum())(positions).flatten()
    truth = torch.stack([x[0, 0, 1, 3] - x[0, 0, 1, 2], x[0, 0, 2, 2] - x[0, 0, 1, 2]])
    torch.testing.assert_close(slopes, truth)
    grid = torch.stack([(2 * positions[:, 0] + 1) / 5 - 1, (2 * positions[:, 1] + 1) / 4 - 1], -1)
    assert F.grid_sample(x, grid, padding_mode="border", align_corners=False).isclose(x[0, 0, 1, 2]).all()

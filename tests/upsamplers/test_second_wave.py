"""What the operators published since FADE promise beyond the contract and their authors' vectors.

Where the published code is wrong, the right behaviour is tested, with the reason.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden import manifest
from torch import Tensor
from torch.nn import functional as F

from denseup.checkpoints import load_official
from denseup.networks import SegFormerHead
from denseup.ops.attention import centres, residues
from denseup.ops.geometry import reflected
from denseup.ops.pooling import adaptive_average
from denseup.upsamplers import (
    DLU,
    FRFU,
    JBU,
    LDAAQU,
    NAF,
    SAPAD,
    FreqFusion,
    JBUStack,
    create_upsampler,
    freqfusion,
    jbu,
)
from denseup.upsamplers.drawing import ChannelDropout

SMALL_NAF: dict[str, Any] = {"embed_channels": 32, "heads": 2, "rotary_heads": 2, "kernel_size": 3}
"""Of NAF, so that a test takes no time."""


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def ones(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.float64)


PARAMETERS: dict[tuple[str, str], Callable[[int], torch.nn.Module]] = {
    ("freqfusion", "compressed 64"): lambda c: FreqFusion(c),
    ("freqfusion", "compressed (C_en+C)//8"): lambda c: FreqFusion(c, embed_channels=c // 4),
    ("freqfusion", "compressed 64, feature_resample"): lambda c: FreqFusion(c, resample=True),
    ("freqfusion", "compressed (C_en+C)//8, feature_resample"): lambda c: FreqFusion(
        c, embed_channels=c // 4, resample=True
    ),
    ("freqfusion", "compressed (C_en+C)//8, feature_resample, no norm"): lambda c: FreqFusion(
        c, embed_channels=c // 4, resample=True, resample_norm=False
    ),
    ("freqfusion", "compressed (C_en+C)//4, feature_resample, direction sim"): lambda c: FreqFusion(
        c, embed_channels=c // 2, resample=True, directions="similarity"
    ),
    ("dlu", "default"): lambda c: DLU(c),
    ("sapa_d", "default"): lambda c: SAPAD(c),
    ("sapa_d", "norm"): lambda c: SAPAD(c, norm=True),
    ("jbu", "one stage, radius 3, key 32"): lambda c: JBU(c),
    ("jbu_stack", "default"): lambda c: JBUStack(c),
    ("lda_aqu", "default"): lambda c: LDAAQU(c),
    ("naf", "default"): lambda c: NAF(c),
    ("frfu", "default"): lambda c: FRFU(c),
}


def test_parameters_are_as_many_as_published() -> None:
    published = {key: kinds for key, kinds in manifest("second_wave_params").items() if key != "comment"}
    cases = {(name, kind): counts for name, kinds in published.items() for kind, counts in kinds.items()}
    assert set(cases) == set(PARAMETERS)
    for case, counts in cases.items():
        for channels, expected in counts.items():
            module = PARAMETERS[case](int(channels))
            assert sum(p.numel() for p in module.parameters()) == expected, (case, channels)


def test_dlu_shares_the_kernel_of_the_source_pixel_at_its_start() -> None:
    """Without offsets all output pixels of a source pixel read its kernel, not one between it and the next."""
    torch.manual_seed(0)
    module = DLU(6, kernel_size=3).double()
    torch.nn.init.normal_(module.encode.weight)
    kernels = module.kernels(random(1, 6, 4, 5), (8, 10))
    assert torch.equal(kernels[..., ::2, ::2], kernels[..., 1::2, 1::2])
    torch.testing.assert_close(kernels.sum(1), ones(1, 8, 10))


def test_dlu_of_one_pixel() -> None:
    """The authors divide by the number of pixels less one, and crash in the backward pass."""
    module = DLU(4).double()
    torch.nn.init.normal_(module.offset.weight)
    for size in ((1, 1), (1, 5), (5, 1)):
        de = random(2, 4, *size).requires_grad_()
        out = module(de)
        assert out.isfinite().all()
        out.square().sum().backward()
        assert all(p.grad.isfinite().all() for p in (de, *module.parameters()))


def test_dlu_reads_kernels_by_groups() -> None:
    """Kernels and offsets of a group are next to each other; the authors' code fails for more than one."""
    torch.manual_seed(0)
    module, parts = DLU(8, groups=2).double(), [DLU(4).double() for _ in range(2)]
    de = random(1, 8, 4, 5)
    torch.nn.init.normal_(module.offset.weight, std=0.1)
    torch.nn.init.normal_(module.encode.weight, std=0.1)
    kernels = module.kernels(de, (8, 10)).chunk(2, 1)
    for group, part in enumerate(parts):
        for name in ("encode", "offset"):
            for kind in ("weight", "bias"):
                whole = getattr(getattr(module, name), kind)
                getattr(getattr(part, name), kind).data = whole.data.chunk(2)[group]
        part.compress = module.compress
        torch.testing.assert_close(part.kernels(de, (8, 10)), kernels[group])


def test_frfu_starts_as_bilinear_interpolation_and_a_box() -> None:
    module = FRFU(8).double()
    for name in ("offset", "encode"):
        torch.nn.init.zeros_(getattr(module, name).weight)
    out = module(ones(1, 8, 5, 6))
    assert out[0, 0, 0, 0].item() == pytest.approx(4 / 9)
    assert out[0, 0, 0, 5].item() == pytest.approx(6 / 9)
    assert out[0, 0, 5, 5].item() == pytest.approx(1)
    de = random(1, 8, 4, 6)
    up = F.interpolate(de, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(module(de), F.avg_pool2d(up, 3, 1, 1))


@pytest.mark.parametrize("kind", [FRFU, DLU])
def test_positions_are_exact_in_half_precision(kind: type) -> None:
    """The authors' have the dtype of the features, or of the first call: bfloat16 has no halves from column 128 on."""
    torch.manual_seed(0)
    module = kind(8)
    torch.nn.init.normal_(module.offset.weight, std=0.2)
    torch.nn.init.normal_(module.encode.weight, std=0.2)
    module, de = module.bfloat16(), random(1, 8, 3, 320, dtype=torch.bfloat16)
    exact = module.double()(de.double())
    out = module.bfloat16()(de)
    assert (out.double() - exact).abs().mean() <= 2 * torch.finfo(torch.bfloat16).eps * exact.abs().mean()


def test_sapa_d_loses_mass_at_borders() -> None:
    """A point beyond the map is 0 and keeps its share, as published."""
    module = SAPAD(4, groups=1, points=2).double()
    for conv in (module.embed_query, module.offset):
        torch.nn.init.zeros_(conv.weight)
    offsets = torch.zeros(2, 2, 4, dtype=torch.float64)  # point, axis, sub-position
    offsets[0, 0], offsets[1, 1] = -1, 0.5  # one point a column to the left, one half a row down
    module.offset.bias.data = offsets.flatten()
    out = module(ones(1, 4, 3, 4), random(1, 4, 6, 8))
    assert out[0, 0, 2, 4].item() == pytest.approx(1)
    assert out[0, 0, 2, 0].item() == pytest.approx(0.5)
    assert out[0, 0, 4, 4].item() == pytest.approx(0.75)


def test_lda_aqu_starts_with_the_grid_of_taps_and_loses_mass_at_borders() -> None:
    """At its start a corner keeps 0.72 of a constant map; the bare module of the authors starts with random offsets."""
    torch.manual_seed(0)
    module = LDAAQU(16).double()
    torch.nn.init.zeros_(module.embed_query.weight)
    out = module(ones(1, 16, 6, 7))
    assert out[0, 0, 0, 0].item() == pytest.approx(0.72, abs=0.005)
    assert out[0, 0, 6, 7].item() == pytest.approx(1)
    step, taps = 5 / 11, torch.tensor([-1.0, 0, 1]).double().repeat_interleave(3)
    positions = module.positions(random(1, 4, 12, 14), (6, 7))
    torch.testing.assert_close(positions[0, :, 1, 0, 5, 5], (5 + taps) * step)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1)])
def test_lda_aqu_to_a_single_row_or_column(size: tuple[int, int]) -> None:
    """The authors divide by the number of output pixels less one."""
    module = LDAAQU(16).double()
    de = random(1, 16, *(min(n, 3) for n in size)).requires_grad_()
    out = module(de, output_size=size)
    assert out.isfinite().all()
    out.sum().backward()
    assert de.grad.isfinite().all()


@pytest.mark.parametrize("length", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("edge", [1, 3, 5])
def test_reflection_folds_as_often_as_it_takes(length: int, edge: int) -> None:
    found = reflected(length, edge).tolist()
    expected = []
    for at in range(-edge, length + edge):
        while not 0 <= at < length:
            at = 0 if length == 1 else -at if at < 0 else 2 * (length - 1) - at
        expected.append(at)
    assert found == expected


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 9)])
def test_jbu_of_maps_smaller_than_its_radius(size: tuple[int, int]) -> None:
    """Where reflecting once does not reach: the authors fail."""
    module = JBU(2).double().eval()
    de = random(1, 2, 1, *size[1:]).requires_grad_()
    out = module(de, output_size=size, image=random(1, 3, *size))
    assert out.isfinite().all()
    out.sum().backward()
    assert de.grad.isfinite().all()


def test_jbu_without_a_width_is_its_centre() -> None:
    """ς = 0 divides by zero in the authors' code; the Gaussian's limit is its centre alone."""
    module = JBU(4).double().eval()
    module.step.start_neutral()
    torch.nn.init.zeros_(module.step.sigma)
    de, image = random(1, 4, 3, 4), random(1, 3, 6, 8)
    expected = F.interpolate(de, (6, 8), mode="bicubic", align_corners=False)
    torch.testing.assert_close(module(de, image=image), expected)


def test_jbus_kernels_are_normalised_but_for_their_correction() -> None:
    torch.manual_seed(0)
    module = JBU(4).double().eval()
    kernels = module.step.kernels(random(2, 3, 6, 8))
    torch.testing.assert_close(kernels.sum(1), ones(2, 6, 8))
    de = ones(1, 4, 3, 4)
    assert (module(de, image=random(1, 3, 6, 8)) - 1).abs().max() > 1e-3


def test_jbu_takes_the_image_at_its_own_size() -> None:
    torch.manual_seed(0)
    module, de, image = JBU(4).double().eval(), random(1, 4, 3, 4), random(1, 3, 13, 17)
    pooled = F.adaptive_avg_pool2d(image, (6, 8))
    assert torch.equal(module(de, image=image), module(de, image=pooled))
    with pytest.raises(ValueError, match=r"JBU: image is \[1, 4, 6, 8\], expected a tensor \[B, 3, H, W\]"):
        module(de, image=random(1, 4, 6, 8))


@pytest.mark.parametrize(
    ("factor", "size", "sizes"),
    [
        (16, (48, 64), [(6, 8), (12, 16), (24, 32), (48, 64)]),
        (16, (10, 64), [(6, 8), (10, 16), (10, 32), (10, 64)]),
        (4, (7, 9), [(6, 8), (7, 9)]),
        (3, (40, 40), [(6, 8), (40, 40)]),
        (2, (6, 8), [(6, 8)]),
    ],
)
def test_the_stack_doubles_until_the_output(factor: int, size: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    module = JBUStack(2, scale_factor=factor).eval()
    found = []
    for step in module.steps:
        step.register_forward_hook(lambda _module, _inputs, output: found.append(tuple(output.shape[2:])))
    module(random(1, 2, 3, 4, dtype=torch.float32), output_size=size, image=torch.rand(1, 3, 64, 64))
    assert found == sizes
    with pytest.raises(ValueError, match="scale_factor is 1, expected 2 to 256"):
        JBUStack(2, scale_factor=1)


@pytest.mark.parametrize("temperature", [0.0, 4.0])
@pytest.mark.parametrize("sigma", [1.0, 0.1, 0.0])
def test_jbus_kernels_by_one_softmax_and_by_their_definition(
    temperature: float, sigma: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of the two it takes goes by the values: so does the least sum, which then does not matter."""
    torch.manual_seed(0)
    step = JBU(4).double().eval().step
    with torch.no_grad():
        step.temperature.fill_(temperature)
        step.sigma.fill_(sigma)
    guide, found = random(2, 3, 9, 8), []
    for forced in (jbu._sums_are_large, lambda alike: False):
        monkeypatch.setattr(jbu, "_sums_are_large", forced)
        kernels = step.kernels(guide)
        grads = torch.autograd.grad(kernels, [*step.embed.parameters(), step.sigma], random(*kernels.shape))
        found.append([kernels, *grads])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_jbus_least_sum() -> None:
    """Where a neighbour is so much more alike than the centre that Σ ργ vanishes, the two forms differ."""
    alike = torch.zeros(1, 1, 1, 49)
    assert jbu._sums_are_large(alike)
    alike[..., 0] = 12.0  # ρ of the centre is at least exp(-12) / 49, 1.25e-7
    assert jbu._sums_are_large(alike)
    alike[..., 0] = 12.3
    assert not jbu._sums_are_large(alike)
    assert not jbu._sums_are_large(alike * torch.nan)


@pytest.mark.parametrize(("low", "high"), [((5, 6), (10, 12)), ((3, 4), (9, 16)), ((2, 5), (10, 5)), ((4, 4), (4, 4))])
def test_nafs_neighbours_are_one_thing_at_whole_ratios(low: tuple[int, int], high: tuple[int, int]) -> None:
    torch.manual_seed(0)
    published = NAF(4, **SMALL_NAF).double().eval()
    regular = NAF(4, **SMALL_NAF, neighbours="regular").double().eval()
    regular.load_state_dict(published.state_dict())
    de, image = random(1, 4, *low), random(1, 3, *high)
    expected = regular(de, output_size=high, image=image)
    torch.testing.assert_close(published(de, output_size=high, image=image), expected)


@pytest.mark.parametrize(("low", "high"), [((5, 6), (11, 13)), ((3, 4), (10, 6)), ((4, 7), (9, 20)), ((2, 2), (7, 3))])
@pytest.mark.parametrize("kernel_size", [3, 4, 9])
def test_nafs_two_ways_to_its_neighbours(low: tuple[int, int], high: tuple[int, int], kernel_size: int) -> None:
    """By residue classes, as networks run, and by tables, as graphs for any size do."""
    query, key, value = random(2, 8, *high), random(2, 8, *low), random(2, 4, *low)
    one, other = (
        way(query, key, value, kernel_size, 2) for way in (residues.attend_by_residue, residues.attend_by_index)
    )
    torch.testing.assert_close(one, other)


def test_naf_draws_its_scale_anew_in_training_and_never_in_evaluation() -> None:
    """The authors draw it once for each size of map and keep it, in evaluation too."""
    torch.manual_seed(0)
    module, de, image = NAF(4, **SMALL_NAF), random(1, 4, 3, 4, dtype=torch.float32), torch.rand(1, 3, 6, 8)
    trained = [module(de, image=image) for _ in range(3)]
    assert not any(torch.equal(one, other) for one, other in itertools.pairwise(trained))
    module.eval()
    assert torch.equal(module(de, image=image), module(de, image=image))
    fresh = NAF(4, **SMALL_NAF).eval()
    fresh.load_state_dict(module.state_dict())
    assert torch.equal(fresh(de, image=image), module(de, image=image))


def test_naf_does_not_squeeze_large_images() -> None:
    """The authors limit both sides by both: of a wide output they make a square image."""
    sizes = []
    module = NAF(4, **SMALL_NAF, largest_image=2).eval()
    module.branches[0].register_forward_pre_hook(lambda _module, inputs: sizes.append(tuple(inputs[0].shape[2:])))
    de = torch.rand(1, 4, 2, 8)
    for image, expected in (((40, 160), (8, 32)), ((5, 160), (5, 32)), ((6, 20), (6, 20))):
        module(de, output_size=(4, 16), image=torch.rand(1, 3, *image))
        assert sizes.pop() == expected


@pytest.mark.parametrize(("low", "high"), [((1, 1), (1, 1)), ((1, 1), (3, 4)), ((1, 5), (2, 10))])
def test_naf_of_maps_smaller_than_its_window(low: tuple[int, int], high: tuple[int, int]) -> None:
    """Images of one pixel, and windows that are the whole map: the authors fail."""
    torch.manual_seed(0)
    module = NAF(4, **SMALL_NAF | {"kernel_size": 9}).eval()
    de = torch.rand(1, 4, *low, requires_grad=True)
    out = module(de, output_size=high, image=torch.rand(1, 3, *high))
    assert out.isfinite().all()
    out.sum().backward()
    torch.testing.assert_close(de.grad.sum(), torch.tensor(float(out.numel())))


def test_freqfusions_window_weighs_a_softmax() -> None:
    logits, window = random(1, 25, 3, 4), freqfusion._window(5).double()
    weighed = logits.softmax(1) * window[:, None, None]
    expected = weighed / weighed.sum(1, keepdim=True)
    torch.testing.assert_close(freqfusion._weighted(logits, window).softmax(1), expected)
    assert freqfusion._window(1).tolist() == [1]


@pytest.mark.parametrize("options", [{}, {"refine": False}, {"semi_conv": False}, {"resample": True}])
@pytest.mark.parametrize(("low", "high"), [((3, 4), (6, 8)), ((3, 4), (5, 7)), ((1, 1), (2, 3)), ((2, 3), (9, 7))])
def test_freqfusion_at_any_size_and_with_few_channels(
    options: dict[str, Any], low: tuple[int, int], high: tuple[int, int]
) -> None:
    """Fewer than eight compressed channels have one group in the norm, where the authors divide by none."""
    torch.manual_seed(0)
    module = FreqFusion(8, 6, embed_channels=4, **options).double()
    de, en = random(1, 8, *low).requires_grad_(), random(1, 6, *high).requires_grad_()
    out, changed = module(de, en, return_en=True)
    assert out.shape == (1, 8, *high)
    assert changed.shape == en.shape
    (out.sum() + changed.square().sum()).backward()
    assert all(x.grad.isfinite().all() for x in (de, en, *module.parameters()))


def test_freqfusion_reads_zeros_beyond_the_map() -> None:
    """As the authors do on a GPU: a constant map loses mass at its border, where their way without one reflects."""
    module = FreqFusion(4, hamming=False).double()
    for conv in (module.encode, module.encode_high):
        torch.nn.init.zeros_(conv.weight)
    out, changed = module(ones(1, 4, 6, 6), ones(1, 4, 12, 12), return_en=True)
    assert out[0, 0, 0, 0].item() == pytest.approx(9 / 25)
    assert out[0, 0, 6, 6].item() == pytest.approx(1)
    assert changed[0, 0, 0, 0].item() == pytest.approx(2 - 4 / 9)
    assert changed[0, 0, 5, 5].item() == pytest.approx(1)


def test_freqfusions_neighbours_are_two_pixels_away() -> None:
    x = random(1, 5, 6, 7)
    found = freqfusion.neighbour_cosines(x)
    moves = [(i, j) for i in (-2, 0, 2) for j in (-2, 0, 2) if (i, j) != (0, 0)]
    for tap, (down, right) in enumerate(moves):
        here, there = x[0, :, 3, 3], x[0, :, 3 + down, 3 + right]
        assert found[0, tap, 3, 3].item() == pytest.approx(F.cosine_similarity(here, there, 0).item())
    assert (found[0, :3, :2] == 0).all()


@pytest.mark.parametrize(("size", "to"), [((7, 9), (3, 4)), ((8, 6), (8, 6)), ((5, 5), (2, 5)), ((3, 3), (5, 7))])
def test_adaptive_pooling_in_graphs_for_any_size(size: tuple[int, int], to: tuple[int, int]) -> None:
    x = random(2, 3, *size)
    expected = F.adaptive_avg_pool2d(x, to)
    torch.testing.assert_close(adaptive_average(x, to), expected)
    traced = torch.jit.trace(lambda x: adaptive_average(x, to), x)
    assert "adaptive" not in str(traced.graph)
    torch.testing.assert_close(traced(x), expected)


def test_dropout_draws_from_a_stream_of_its_own() -> None:
    torch.manual_seed(0)
    module, x = ChannelDropout(0.25), torch.ones(64, 32, 2, 2)
    before = torch.get_rng_state()
    out = module(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert out.unique().tolist() == [0, pytest.approx(1 / 0.75)]
    assert ((out == 0).flatten(2).all(2) | (out != 0).flatten(2).all(2)).all()
    share, deviation = (out == 0).double().mean().item(), math.sqrt(0.25 * 0.75 / 2048)
    assert abs(share - 0.25) < 5 * deviation
    assert not torch.equal(module(x), out)
    assert torch.equal(module.eval()(x), x)


def test_dropout_goes_on_where_its_state_says() -> None:
    """As a run does that was stopped: the third batch has the mask that it would have had."""
    torch.manual_seed(0)
    whole, x = ChannelDropout(0.5), torch.ones(8, 16, 1, 1)
    masks = [whole(x) for _ in range(3)]
    torch.manual_seed(0)
    resumed = ChannelDropout(0.5)
    for _ in range(2):
        resumed(x)
    state = resumed.state_dict()
    torch.manual_seed(0)
    again = ChannelDropout(0.5)
    again.load_state_dict(state)
    assert torch.equal(again(x), masks[2])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DLU(8, kernel_size=4), "kernel_size is 4, expected an odd number"),
        (lambda: FRFU(6), "groups is 4, expected a divisor of de_channels, 6"),
        (lambda: SAPAD(6), "groups is 4, expected a divisor of de_channels, 6"),
        (lambda: SAPAD(64, 48, norm=True), "en_channels is 48, expected a multiple of 32 with norm"),
        (lambda: LDAAQU(12), "de_channels is 12, expected a multiple of reduction times groups, 8"),
        (lambda: NAF(6), "heads is 4, expected a divisor of de_channels, 6"),
        (
            lambda: NAF(8, embed_channels=40),
            "embed_channels is 40, expected a multiple of twice the groups",
        ),
        (lambda: NAF(8, neighbours="all"), "neighbours is 'all', valid: 'published', 'regular'"),
        (lambda: FreqFusion(8, high_pass=False), "high_pass is False, expected True with refine and semi_conv"),
        (lambda: FreqFusion(6, resample=True), "resample_groups is 4, expected a divisor of de_channels, 6"),
        (lambda: FreqFusion(8, resample=True, embed_channels=17), "embed_channels is 17, expected a multiple of 2"),
        (
            lambda: FreqFusion(8, resample=True, directions="all"),
            "directions is 'all', valid: 'features'",
        ),
    ],
)
def test_constructor_errors_name_the_argument(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_what_the_authors_save_beside_weights_is_no_state() -> None:
    constants = {
        "freqfusion": ["hamming_lowpass", "hamming_highpass", "dysampler.init_pos"],
        "naf": ["image_encoder.rope.periods"],
    }
    for name, keys in constants.items():
        report = load_official(create_upsampler(name, de_channels=64), dict.fromkeys(keys, torch.zeros(1)))
        assert report.constants == keys
        assert report.unexpected == []


ALTERED: list[tuple[str, dict[str, Any], dict[str, Tensor]]] = [
    ("freqfusion", {}, {"hamming_lowpass": torch.ones(1)}),
    ("freqfusion", {}, {"hamming_highpass": torch.ones(1, 1, 3, 3)}),
    ("freqfusion", {"hamming": False}, {"hamming_lowpass": torch.full((1, 1, 5, 5), 0.5)}),
    ("freqfusion", {"resample": True}, {"dysampler.init_pos": torch.zeros(1, 32, 1, 1)}),
    ("dysample", {}, {"init_pos": torch.full((1, 32, 1, 1), 0.25)}),
    ("naf", {}, {"image_encoder.rope.periods": torch.arange(1.0, 17.0)}),
    ("naf", {}, {"image_encoder.rope.periods": torch.full((16,), torch.nan)}),
    ("naf", {}, {"image_encoder.rope.periods": torch.ones(16, dtype=torch.int64)}),
]


@pytest.mark.parametrize(("name", "options", "constants"), ALTERED)
def test_constants_of_other_options_are_told(name: str, options: dict[str, Any], constants: dict[str, Tensor]) -> None:
    """Weights that were trained beside another window or other periods would load, and compute something else."""
    (key,) = constants
    report = load_official(create_upsampler(name, de_channels=64, **options), constants)
    assert list(report.altered) == report.constants == [key]
    assert f"1 altered: {key}" in str(report)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_constants_in_another_precision_are_the_same(dtype: torch.dtype) -> None:
    names = ("freqfusion_resample", "naf", "dysample")
    for module in (FreqFusion(64, hamming=False), *(create_upsampler(name, de_channels=64) for name in names)):
        report = load_official(module, {key: value.to(dtype) for key, value in module.official_constants().items()})
        assert (report.altered, report.unexpected) == ({}, [])
        assert report.constants


def test_constants_on_the_meta_device_say_nothing() -> None:
    with torch.device("meta"):
        report = load_official(create_upsampler("dysample", de_channels=64), {"init_pos": torch.zeros(1, 32, 1, 1)})
    assert (report.constants, report.altered) == (["init_pos"], {})


def test_a_constant_of_other_options_within_a_network() -> None:
    head = SegFormerHead([8, 12, 16, 20], 5, "freqfusion", embed_dim=16)
    report = load_official(head, {"upsamplers.2.hamming_lowpass": torch.ones(1)})
    assert list(report.altered) == ["upsamplers.2.hamming_lowpass"]


def test_weights_are_not_turned_to_fit() -> None:
    """One channel in and eight out is not eight in and one out."""
    module = DLU(1, embed_channels=8)
    report = load_official(module, {"channel_compressor.weight": torch.zeros(1, 8, 1, 1)})
    assert list(report.mismatched) == ["channel_compressor.weight"]
    assert not (module.compress.weight == 0).any()
    assert not load_official(module, {"channel_compressor.weight": torch.zeros(8, 1)}).mismatched  # a linear layer's


def test_what_a_file_says_twice_is_told() -> None:
    """An old and a new name of one weight, or the authors' and ours; the same values twice are no matter."""
    module = create_upsampler("sapa", de_channels=8)
    first, second = torch.zeros_like(module.embed_query.weight), torch.ones_like(module.embed_query.weight)
    ours = {"embed_query.weight": first, "q.weight": second}
    report = load_official(module, ours)
    assert report.repeated == {"q.weight": "another value of embed_query.weight than an earlier key has"}
    assert torch.equal(module.embed_query.weight, first)
    assert not load_official(module, {"embed_query.weight": first, "q.weight": first.clone()}).repeated


def test_a_vector_is_not_turned_to_fit() -> None:
    module = create_upsampler("fade", de_channels=8)
    report = load_official(module, {"gate_generator.conv.weight": torch.zeros(8, 1)})  # for [1, 8, 1, 1]
    assert list(report.mismatched) == ["gate_generator.conv.weight"]
    assert not load_official(module, {"gate_generator.conv.weight": torch.zeros(1, 8)}).mismatched


def test_freqfusions_window_is_made_anew_wherever_the_module_goes() -> None:
    with torch.device("meta"):
        module = FreqFusion(8)
        assert module.window.is_meta
        module.to_empty(device="cpu")
    assert torch.equal(module.window, FreqFusion(8).window)


def test_freqfusions_window_stays_single_precision() -> None:
    module = FreqFusion(8).bfloat16().double()
    assert torch.equal(module.window, FreqFusion(8).window)
    with torch.no_grad():
        for encode in (module.encode, module.encode_high):
            for parameter in encode.parameters():
                parameter.zero_()
    kernels = module.kernels(random(1, 8, 3, 4), random(1, 8, 6, 8))
    window = FreqFusion(8).window.double()
    torch.testing.assert_close(kernels, (window / window.sum())[:, None, None].expand_as(kernels))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_freqfusions_logits_are_single_precision(dtype: torch.dtype) -> None:
    """Rounded to the features' dtype the logarithms of the window would be off by a percent."""
    module = FreqFusion(8)
    with torch.no_grad():
        for parameter in module.encode.parameters():
            parameter.zero_()
    kernels = module.to(dtype).kernels(random(1, 8, 3, 4, dtype=dtype), random(1, 8, 6, 8, dtype=dtype))
    window = FreqFusion(8).window
    assert kernels.dtype == torch.float32
    torch.testing.assert_close(kernels, (window / window.sum())[:, None, None].expand_as(kernels))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_cosines_of_nothing_are_nothing(dtype: torch.dtype) -> None:
    """The least length, 1e-8, is none in float16."""
    cosines = freqfusion.neighbour_cosines(torch.zeros(1, 4, 5, 6, dtype=dtype))
    assert (cosines.dtype, cosines.abs().max()) == (dtype, 0)


@pytest.mark.parametrize("resample", [False, True])
def test_freqfusions_directions_are_checked(resample: bool) -> None:
    with pytest.raises(ValueError, match="directions is 'sim', valid: "):
        FreqFusion(8, resample=resample, directions="sim")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sapa_ds_logits_are_single_precision(dtype: torch.dtype) -> None:
    """Logits in the hundreds, whose roundings in half precision weigh points by other shares."""
    module = SAPAD(8, scale_factor=1, points=3, groups=1, embed_channels=8)
    with torch.no_grad():
        for conv in (module.embed_query, module.embed_key):
            conv.weight.copy_(torch.eye(8)[:, :, None, None])
        module.offset.weight.zero_()
        module.offset.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, 1.0]))
    base, noise = torch.full((1, 8, 6, 7), 5.5), random(1, 8, 6, 7, dtype=torch.float32)
    de = (base + noise.clamp(-1, 1) / 2).to(dtype)
    exact = module.double()(de.double(), de.double())
    out = module.to(dtype)(de, de)
    inner = (..., slice(0, 5), slice(0, 6))  # beyond the map all is 0
    assert (out.double() - exact)[inner].abs().max() <= torch.finfo(dtype).eps / 2 * exact.abs().max() * 1.01


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_lda_aqus_logits_are_single_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = LDAAQU(16)
    query, key = 8 * random(1, 8, 6, 8, dtype=torch.float32), 8 * random(1, 8, 3, 4, dtype=torch.float32)
    query, key = (x[:, : module.embed_query.out_channels].to(dtype) for x in (query, key))
    positions = module.positions(query.float(), (3, 4)).detach()
    exact = module.double().logits(query.double(), key.double(), positions.double())
    found = module.to(dtype).logits(query, key, positions)
    assert found.dtype == torch.float32
    bias = exact.abs().max() * torch.finfo(torch.float32).eps * 64
    if module.bias is not None:
        bias = bias + torch.finfo(dtype).eps * module.bias.detach().double().abs().sum() * query.double().abs().max()
    assert (found.double() - exact).abs().max() <= bias


def test_jbus_temperature_beyond_its_bounds_has_no_gradient() -> None:
    for beyond in (100.0, -100.0):
        step = JBU(4).step
        torch.nn.init.constant_(step.temperature, beyond)
        guide = random(1, 3, 6, 8, dtype=torch.float32)
        (grad,) = torch.autograd.grad(step.kernels(guide)[:, 0].sum(), step.temperature)
        assert grad == 0


def test_dropout_divides_in_the_features_precision() -> None:
    module = ChannelDropout(0.1)
    out = module(ones(8, 16, 1, 1))
    assert set(out.flatten().tolist()) == {0.0, 1 / 0.9}


@pytest.mark.parametrize(("low", "high"), [((5, 7), (11, 13)), ((5, 5), (11, 12)), ((3, 4), (10, 6)), ((1, 2), (3, 3))])
@pytest.mark.parametrize("kernel_size", [2, 3, 9])
def test_nafs_regular_neighbours_lie_around_the_pixels_centre(
    low: tuple[int, int], high: tuple[int, int], kernel_size: int
) -> None:
    query, key, value = random(2, 8, *high), random(2, 8, *low), random(2, 4, *low)
    found = centres.attend_at_centres(query, key, value, kernel_size, 2)

    def window(place: int, axis: int) -> slice:
        parent = math.floor((place + 0.5) * low[axis] / high[axis])
        first = min(max(parent - kernel_size // 2, 0), max(low[axis] - kernel_size, 0))
        return slice(first, first + kernel_size)

    for y, x in itertools.product(*map(range, high)):
        seen = (..., window(y, 0), window(x, 1))
        keys, values = (a[seen].flatten(2).unflatten(1, (2, -1)) for a in (key, value))
        logits = torch.einsum("bnd,bndt->bnt", query[..., y, x].unflatten(1, (2, -1)), keys) / 2
        expected = torch.einsum("bnt,bnct->bnc", logits.softmax(-1), values).flatten(1)
        torch.testing.assert_close(found[..., y, x], expected)


@pytest.mark.parametrize("size", [pytest.param((15, 20), marks=pytest.mark.slow), (14, 18)])
def test_naf_compiles_for_sizes_that_are_symbols(size: tuple[int, int]) -> None:
    """Ratios that are no whole numbers, an image that is averaged: neither goes by what symbols can't say.

    By day such a ratio is exported, with less of the same (`test_onnx.py`).
    """
    torch.manual_seed(0)
    module = create_upsampler("naf", de_channels=8, heads=2, blocks=1).eval()
    de, en, image = (torch.randn(1, 8, 7, 9), torch.randn(1, 8, *size), torch.randn(1, 3, size[0] + 3, size[1] + 5))
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(de, en, image=image), module(de, en, image=image), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")  # of torch.export's own
def test_nafs_regular_neighbours_are_exported_for_any_size() -> None:
    class Raising(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.naf = NAF(4, **SMALL_NAF, blocks=1, neighbours="regular").eval()

        def forward(self, de: Tensor, image: Tensor) -> Tensor:
            return self.naf(de, image=image, output_size=image.shape[2:])

    def maps(low: tuple[int, int], high: tuple[int, int]) -> tuple[Tensor, Tensor]:
        return random(2, 4, *low, dtype=torch.float32), random(2, 3, *high, dtype=torch.float32)

    torch.manual_seed(0)
    module, any_size = Raising(), dict.fromkeys((2, 3), torch.export.Dim.AUTO)
    program = torch.export.export(module, maps((5, 6), (11, 14)), dynamic_shapes=(any_size, any_size)).module()
    for sizes in (((7, 9), (15, 20)), ((4, 4), (8, 12)), ((5, 6), (11, 14))):
        torch.testing.assert_close(program(*maps(*sizes)), module(*maps(*sizes)))

"""Each step of the matting recipe against its definition written down plainly, and at its edges."""

import cv2
import numpy as np
import pytest
from data.recipe_facts import COMPOSITION_1K, PHOTOGRAPHS
from data.sample_folders import disc, noise

from denseup.data.transforms.compositing import over, premultiply, straight
from denseup.data.transforms.geometry import Flip, random_background, unit
from denseup.data.transforms.matting import MattingAugmentation, composite_steps, photograph_steps
from denseup.data.transforms.matting.colours import Composite, JitterColours, moved_colours
from denseup.data.transforms.matting.shapes import Affine, Combine, ResizeForeground
from denseup.data.transforms.matting.windows import CropForeground, CropPhotograph, DrawTrimap, unknown_window
from denseup.data.transforms.streams import Streams

SMALL = MattingAugmentation.scaled(64)
ROUNDING = 2**-22
"""Of a float32 in [0, 1] that a few operations have gone over."""


def layer(seed=0, height=60, width=80):
    return premultiply(np.dstack([noise(seed, height, width), disc(height, width)]))


def rng(seed=0):
    return np.random.default_rng(seed)


def pixel(alpha):
    """A foreground of one pixel."""
    return np.full((1, 1, 4), alpha, np.float32)


def steps(how=SMALL, another=None, background=None):
    return composite_steps(
        how, another or (lambda rng: layer(7, 30, 90)), background or (lambda rng: noise(9, 100, 120))
    )


def test_the_recipe_has_the_published_steps_in_the_published_order():
    pipeline = steps(MattingAugmentation())
    assert pipeline.names == tuple(name for name, _ in COMPOSITION_1K)
    for step, (name, numbers) in zip(pipeline.steps, COMPOSITION_1K, strict=True):
        assert {key: getattr(step, key) for key in numbers} == numbers, name


def test_photographs_have_those_steps_that_need_no_colours():
    pipeline, whole = photograph_steps(MattingAugmentation()), steps(MattingAugmentation())
    assert pipeline.names == PHOTOGRAPHS
    ours = {step.name: step for step in whole.steps}
    for step in pipeline.steps:
        assert vars(step) == vars(ours[step.name])


def test_another_crop_size_scales_every_length():
    lengths = {"crop_size": 128, "crop_sizes": (128, 160, 200), "resize_to": 160, "trimap_scale": 0.25}
    assert MattingAugmentation.scaled(128) == MattingAugmentation(**lengths)
    assert MattingAugmentation.scaled(512) == MattingAugmentation()


@pytest.mark.parametrize("seed", range(8))
def test_the_sample_holds_the_composite_equation(seed):
    arrays = steps()({"layer": layer(seed)}, Streams(seed, 0, 0))
    alpha, trimap = arrays["alpha"], arrays["trimap"]
    assert arrays["image"].shape == (64, 64, 3)
    mixed = alpha[..., None] * arrays["foreground"] + (1 - alpha[..., None]) * arrays["background"]
    assert np.allclose(arrays["image"], mixed, rtol=0, atol=ROUNDING)
    assert (alpha[trimap == 0] == 0).all()
    assert (alpha[trimap == 255] == 1).all()
    assert (trimap == 128).any()
    assert all(array.dtype == np.float32 for name, array in arrays.items() if name != "trimap")


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("crop_size", [1, 16])
def test_a_foreground_of_one_pixel(alpha, crop_size):
    """Empty, soft and opaque, so with no unknown pixel too."""
    pipeline = steps(MattingAugmentation.scaled(crop_size), lambda rng: pixel(0.2), lambda rng: noise(0, 1, 1))
    for seed in range(8):
        arrays = pipeline({"layer": pixel(alpha)}, Streams(seed, 0, 0))
        assert all(array.shape[:2] == (crop_size, crop_size) for array in arrays.values())
        assert all(np.isfinite(array).all() for array in arrays.values())


def test_combine_puts_the_other_behind():
    back = layer(1, 30, 90)
    both = Combine(1, lambda rng: back)({"layer": layer()}, rng())["layer"]
    assert np.array_equal(both, over(layer(), cv2.resize(back, (80, 60), interpolation=cv2.INTER_LINEAR)))
    alpha, other = layer()[..., 3], cv2.resize(back, (80, 60))[..., 3]
    assert np.allclose(both[..., 3], 1 - (1 - alpha) * (1 - other), atol=ROUNDING)
    assert Combine(0, lambda rng: pytest.fail("nothing is to be drawn"))({"layer": back}, rng())["layer"] is back


@pytest.mark.parametrize("probability", [0.25, 0.5])
def test_steps_happen_as_often_as_they_should(probability):
    """Of 4000 draws; a fair step is further off than five deviations once in two millions."""
    wide = {"layer": np.zeros((1, 2, 4), np.float32)}
    wide["layer"][:, 1] = 1
    changed = {
        "combine": Combine(probability, lambda rng: pixel(0.5)),
        "resize": ResizeForeground(probability, 3),
        "flip": Flip(probability),
    }
    for name, step in changed.items():
        times = sum(step(wide, Streams(0, 0, i)(name))["layer"] is not wide["layer"] for i in range(4000))
        assert abs(times - 4000 * probability) < 5 * np.sqrt(4000 * probability * (1 - probability)), name


def test_resize_makes_a_square():
    resized = ResizeForeground(1, 32)({"layer": layer()}, rng())["layer"]
    assert np.array_equal(resized, cv2.resize(layer(), (32, 32), interpolation=cv2.INTER_LINEAR))


def test_affine_makes_room_for_the_crop():
    assert Affine(least=64)({"layer": layer(0, 20, 300)}, rng())["layer"].shape == (64, 300, 4)


def test_an_affine_map_without_strength_changes_nothing():
    still = Affine(rotation=0, scale=(1, 1), shear=0, flip=0, least=8)
    assert np.allclose(still({"layer": layer()}, rng())["layer"], layer(), atol=1e-6)


def test_affine_turns_about_the_centre():
    """Mirroring both axes is half a turn, which the array itself can do."""
    turned = Affine(rotation=0, scale=(1, 1), shear=0, flip=1, least=8)({"layer": layer()}, rng())["layer"]
    assert np.allclose(turned, layer()[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_affine_stays_within_its_numbers(seed):
    """Angles and factors read off the matrix: M = R(angle)·[[1, tan shear], [0, 1]]·diag(sx, sy)."""
    matrix = Affine()._matrix(rng(seed))
    factors = np.array([np.hypot(*matrix[:, 0]), abs(np.linalg.det(matrix)) / np.hypot(*matrix[:, 0])])
    assert ((factors > 0.8 - 1e-9) & (factors < 1.25 + 1e-9)).all()
    angle = np.rad2deg(np.arctan(matrix[1, 0] / matrix[0, 0]))
    assert abs(angle) <= 30
    cosine = matrix[:, 0] @ matrix[:, 1] / np.prod([np.hypot(*column) for column in matrix.T])
    assert abs(np.rad2deg(np.arctan(cosine / np.sqrt(1 - cosine**2)))) <= 10 + 1e-9


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 4), (5, 6)])
def test_flip_mirrors_all_that_a_sample_has(size):
    sample = {"image": noise(0, *size), "label": noise(1, *size)[..., 0], "layer": layer(0, *size)}
    flipped = Flip(1)(sample, rng())
    for name, array in sample.items():
        assert np.array_equal(flipped[name], array[:, ::-1])
        assert flipped[name].flags.c_contiguous
    assert Flip(0)(sample, rng()) == sample


def test_trimap_widths_take_every_value_once_in_a_while():
    """All 29 of each side, for alpha that is a straight edge: as many unknown columns as the widths say."""
    alpha = np.zeros((3, 80), np.uint8)
    alpha[:, 40:] = 255
    found = set()
    for seed in range(600):
        row = DrawTrimap()({"alpha": alpha}, rng(seed))["trimap"][1]
        found.add((int((row[:40] == 128).sum()), int((row[40:] == 128).sum())))
    for side in zip(*found, strict=True):
        assert set(side) == {width // 2 for width in range(1, 30)}


@pytest.mark.parametrize("name", ["layer", "alpha"])
def test_trimap_of_a_layer_and_of_a_matte(name):
    sample = {"layer": layer()} if name == "layer" else {"alpha": disc()}
    trimap = DrawTrimap(scale=0.2)(sample, rng())["trimap"]
    assert np.array_equal(trimap, DrawTrimap(scale=0.2)({"alpha": disc()}, rng())["trimap"])


def test_window_holds_an_unknown_pixel_and_stays_inside():
    trimap = np.zeros((60, 80), np.uint8)
    trimap[5, 70] = 128
    for seed in range(20):
        top, left, side = unknown_window(trimap, (16, 40, 200), rng(seed))
        assert side in (16, 40, 60)
        assert 0 <= top <= 5 < top + side <= 60
        assert 0 <= left <= 70 < left + side <= 80


def test_window_is_centred_where_there_is_room():
    trimap = np.zeros((60, 80), np.uint8)
    trimap[30, 40] = 128
    assert unknown_window(trimap, (20,), rng()) == (20, 30, 20)


def test_window_without_unknown_pixels():
    tops = {unknown_window(np.zeros((60, 80), np.uint8), (16,), rng(seed))[0] for seed in range(30)}
    assert len(tops) > 10


@pytest.mark.parametrize("side", [16, 24])
def test_crop_is_the_window_and_never_contradicts_alpha(side):
    trimap = DrawTrimap(scale=0.3)({"alpha": disc()}, rng(1))["trimap"]
    crop = CropForeground((side,), 16)({"layer": layer(), "trimap": trimap}, rng(2))
    top, left, _ = unknown_window(trimap, (side,), rng(2))
    piece = np.ascontiguousarray(layer()[top : top + side, left : left + side])
    foreground, alpha = straight(cv2.resize(piece, (16, 16)) if side != 16 else piece)
    assert np.array_equal(crop["foreground"], foreground)
    assert np.array_equal(crop["alpha"], alpha)
    assert set(crop) == {"foreground", "alpha", "trimap"}
    assert (alpha[crop["trimap"] == 0] == 0).all()
    assert (alpha[crop["trimap"] == 255] == 1).all()


def test_photographs_keep_image_and_alpha_aligned():
    alpha = disc()
    arrays = photograph_steps(SMALL)({"image": np.dstack([alpha] * 3), "alpha": alpha}, Streams(3, 0, 0))
    assert np.allclose(arrays["image"][..., 0], arrays["alpha"], atol=1 / 255)
    assert (arrays["alpha"][arrays["trimap"] == 0] == 0).all()
    names = (CropForeground.name, CropPhotograph.name)
    assert names == ("crop", "crop")


@pytest.mark.parametrize(("turn", "moves"), [(0, (0, 0)), (40, (0.1, -0.1)), (-40, (-0.1, 0.1)), (-1, (0.02, 0.0))])
def test_colours_move_as_defined(turn, moves):
    """Pixel by pixel, hue modulo 360, in float64 after the conversion to HSV."""
    foreground, alpha = straight(layer())
    hsv = cv2.cvtColor(foreground, cv2.COLOR_RGB2HSV).astype(np.float64)
    hsv[..., 0] = (hsv[..., 0] + turn) % 360
    for channel, move in zip((1, 2), moves, strict=True):
        mean = hsv[..., channel][alpha > 0].mean()
        hsv[..., channel] = np.clip(hsv[..., channel] + move * (1.1 - mean), 0, 1)
    expected = cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2RGB)
    # hues are up to 720 in float32, of which 60 make a sixth of the circle; seven more roundings of numbers up to 1
    tolerance = 720 * 2**-24 / 60 + 8 * 2**-24
    assert np.allclose(moved_colours(foreground, alpha, turn, moves), expected, rtol=0, atol=4 * tolerance)


def test_jitter_without_strength_changes_nothing():
    foreground, alpha = straight(layer())
    sample = {"foreground": foreground, "alpha": alpha}
    assert np.allclose(JitterColours(0, 0)(sample, rng())["foreground"], foreground, atol=1e-4)
    assert not np.allclose(JitterColours()(sample, rng())["foreground"], foreground, atol=1e-2)


def test_jitter_of_a_foreground_that_is_nowhere_seen():
    foreground = unit(noise(0))
    sample = {"foreground": foreground, "alpha": np.zeros((60, 80), np.float32)}
    assert np.isfinite(JitterColours()(sample, rng())["foreground"]).all()


def test_background_smaller_than_the_crop_is_enlarged():
    assert random_background(noise(0, 20, 30), 64, rng()).shape == (64, 64, 3)


@pytest.mark.parametrize("seed", range(6))
def test_background_is_a_square_of_the_photograph(seed):
    """At its own size, found again in the photograph or its mirror image."""
    photograph = noise(0, 20, 23)
    found = np.rint(random_background(photograph, 20, rng(seed)) * 255).astype(np.uint8)
    windows = [photograph[:, left : left + 20] for left in range(4)]
    assert any(np.array_equal(found, w) or np.array_equal(found[:, ::-1], w) for w in windows)


def test_composite_keeps_what_it_is_made_of():
    foreground, alpha = straight(layer(0, 64, 64))
    sample = Composite(64, lambda rng: noise(9, 100, 120))({"foreground": foreground, "alpha": alpha}, rng())
    mixed = alpha[..., None] * foreground + (1 - alpha[..., None]) * sample["background"]
    assert np.allclose(sample["image"], mixed, rtol=0, atol=ROUNDING)

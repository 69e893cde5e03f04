"""The bootstrap over images is that of a loop, and intervals hold what they promise where the truth is known."""

import numpy as np
import pytest
from scipy import stats

from denseup.statistics import Difference, ImageParts, Spread, detectable, difference, holm, resamples

IMAGES, CLASSES = 13, 4


def counted(seed: int) -> ImageParts:
    """Intersections and unions; a class that only one image has, and one that none has."""
    rng = np.random.default_rng(seed)
    wholes = rng.integers(1, 200, (IMAGES, CLASSES)).astype(float)
    wholes[1:, 2], wholes[:, 3] = 0, 0
    return ImageParts(np.floor(wholes * rng.uniform(0.3, 1, wholes.shape)), wholes)


def by_hand(parts: ImageParts, images: list[int]) -> float:
    ratios = []
    for c in range(CLASSES):
        part, whole = (sum(array[i, c] for i in images) for array in (parts.parts, parts.wholes))
        if whole:
            ratios.append(part / whole)
    return sum(ratios) / len(ratios)


def test_it_is_a_loop_over_the_drawn_images() -> None:
    one, other, times = counted(0), counted(1), resamples(IMAGES, number=40, seed=7)
    rng = np.random.default_rng(7)
    drawn = [np.repeat(range(IMAGES), rng.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES))) for _ in range(40)]
    assert all(len(images) == IMAGES for images in drawn)
    expected = [by_hand(one, images) - by_hand(other, images) for images in drawn]
    found = one.resampled(times) - other.resampled(times)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert one.value == pytest.approx(by_hand(one, list(range(IMAGES))), rel=1e-12)
    pair = difference({3: one.value}, {3: other.value}, {3: found}, IMAGES)
    assert pair is not None
    assert pair.over_images == pytest.approx(np.percentile(expected, [2.5, 97.5]), rel=1e-12)


def test_an_image_without_a_value_is_in_no_mean() -> None:
    values = np.array([1.0, np.nan, 4.0])
    parts = ImageParts.of_values(values)
    assert parts.value == 2.5
    np.testing.assert_array_equal(parts.resampled(np.array([[1.0, 2, 0], [1, 0, 2], [0, 3, 0]])), [1, 3, np.nan])


def test_the_error_of_a_mean_is_the_textbooks() -> None:
    """Variance of the bootstrap, its bias taken away: that of a mean."""
    values = np.random.default_rng(0).normal(2, 1, 60)
    found = difference({0: values.mean()}, {0: 0.0}, {0: ImageParts.of_values(values).resampled(resamples(60))}, 60)
    assert found is not None
    assert found.of_images_alone
    textbook = 2.001 * values.std(ddof=1) / np.sqrt(60)
    assert found.both.half_width == pytest.approx(textbook, rel=0.04)  # 2000 draws: a variance good to 3 %
    assert found.spread is None


def _run(rng: np.random.Generator, seeds: int, images: int, seed: float, image: float, rest: float) -> np.ndarray:
    own = seed * rng.normal(size=(seeds, 1)) + rest * rng.normal(size=(seeds, images))
    return own + image * rng.normal(size=images)


def simulated(
    rng: np.random.Generator, seeds: int, images: int, seed: float, image: float, rest: float, truth: float = 0
) -> Difference:
    """A difference with these standard deviations: of a seed, of an image, of one in the other."""
    values = truth + _run(rng, seeds, images, seed, image, rest)
    drawn = values @ (resamples(images, 300) / images).T
    means = dict(enumerate(values.mean(1)))
    found = difference(means, dict.fromkeys(means, 0.0), dict(enumerate(drawn)), images)
    assert found is not None
    return found


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("parts", [(0.3, 0.0, 1.0), (0.1, 1.0, 1.0), (0.3, 3.0, 1.0), (0.0, 1.0, 1.0), (0.3, 1.0, 3.0)])
def test_nineteen_of_twenty_intervals_of_both_hold_the_truth(seeds: int, parts: tuple[float, float, float]) -> None:
    """Of 400, to three standard errors below; above it may be cautious."""
    rng = np.random.default_rng(seeds)
    found = [simulated(rng, seeds, 40, *parts) for _ in range(400)]
    assert np.mean([not one.both.excludes_zero for one in found]) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 400)
    for one in found:
        assert one.p is not None
        assert one.both.half_width is not None
        assert one.over_seeds.half_width is not None
        assert one.both.half_width >= one.over_seeds.half_width
        assert (one.p <= 0.05) is one.both.excludes_zero


@pytest.mark.parametrize("parts", [(0.3, 0.0, 1.0), (0.1, 1.0, 1.0)])
def test_intervals_of_five_seeds_are_no_wider_than_they_have_to_be(parts: tuple[float, float, float]) -> None:
    """On average within a quarter of those whose variances are known."""
    rng = np.random.default_rng(0)
    widths = [simulated(rng, 5, 40, *parts).both.half_width for _ in range(200)]
    seed, image, rest = (part**2 for part in parts)
    variance = Spread(seed + rest / 40, image / 40, 40)
    known = stats.t.ppf(0.975, variance.freedom(5)) * np.sqrt(variance.variance(5))
    assert np.mean(widths) == pytest.approx(known, rel=0.25)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("parts", [(0.3, 0.0, 1.0), (0.2, 1.0, 0.3)])
def test_one_column_in_twenty_has_a_false_mark(seeds: int, parts: tuple[float, float, float]) -> None:
    """Of 200 columns of seven upsamplers without a difference, to three standard errors, also where seeds decide."""
    rng, marked = np.random.default_rng(seeds), 0
    times = resamples(30, 200) / 30
    for _ in range(200):
        runs = [_run(rng, seeds, 30, *parts) for _ in range(8)]
        values, drawn = [dict(enumerate(run.mean(1))) for run in runs], [run @ times.T for run in runs]
        found = [difference(values[i], values[0], dict(enumerate(drawn[i] - drawn[0])), 30) for i in range(1, 8)]
        marked += min(holm([one.p for one in found if one is not None and one.p is not None])) <= 0.05
    assert marked / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize("parts", [(0.3, 0.0, 1.0), (0.1, 1.0, 1.0)])
def test_what_is_detectable_is_detected(parts: tuple[float, float, float]) -> None:
    """In four of five comparisons, to a tenth: their variances have to be estimated, in two tests at once."""
    rng = np.random.default_rng(0)
    spread = Spread(parts[0] ** 2 + parts[2] ** 2 / 40, parts[1] ** 2 / 40, 40)
    found = [simulated(rng, 5, 40, *parts, truth=detectable(spread, 5)) for _ in range(400)]
    assert np.mean([one.p is not None and one.p <= 0.05 for one in found]) == pytest.approx(0.8, abs=0.08)


def test_intervals_of_a_ratio_of_sums_hold_the_truth_too() -> None:
    """A mean IoU whose classes differ in size by a factor of a hundred, and in how many images have them."""
    rng, hits = np.random.default_rng(0), []
    sizes, share = np.array([1e4, 1e4, 3e3, 300, 100]), np.array([1, 1, 0.8, 0.5, 0.3])
    for _ in range(200):
        wholes = sizes * rng.lognormal(0, 0.7, (50, 5)) * (rng.uniform(size=(50, 5)) < share)
        alike = 0.1 * rng.normal(size=(50, 5))
        runs = [ImageParts(wholes * np.clip(0.5 + alike + noise, 0, 1), wholes) for noise in _noise(rng, 8)]
        drawn = [run.resampled(resamples(50, 300)) for run in runs]
        values = [dict(enumerate(run.value for run in part)) for part in (runs[:4], runs[4:])]
        found = difference(*values, {seed: drawn[seed] - drawn[seed + 4] for seed in range(4)}, 50)
        assert found is not None
        hits.append(not found.both.excludes_zero)
    assert np.mean(hits) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 200)


def _noise(rng: np.random.Generator, runs: int) -> np.ndarray:
    """Of a run as a whole, of its classes, and of each image."""
    return sum(0.02 * rng.normal(size=(runs, *shape)) for shape in ((1, 1), (1, 5), (50, 5)))


def test_seeds_alone_or_images_alone_promise_too_much() -> None:
    """Where the images decide, seeds do not tell of them; and the other way round."""
    rng = np.random.default_rng(0)
    found = [simulated(rng, 5, 40, 0.1, 1.0, 1.0) for _ in range(200)]
    assert np.mean([not one.over_seeds.excludes_zero for one in found]) < 0.85
    found = [simulated(rng, 5, 40, 0.3, 0.0, 1.0) for _ in range(200)]
    ends = [one.over_images for one in found]
    assert np.mean([ends[0] <= 0 <= ends[1] for ends in ends if ends is not None]) < 0.75


def test_without_images_the_interval_is_that_over_seeds() -> None:
    values, reference = {0: 1.0, 1: 1.4, 2: 1.1}, {0: 0.5, 1: 0.7, 2: 0.9}
    drawn = {seed: np.zeros(5) for seed in (0, 1)}  # not of every seed
    for resampled in (None, drawn):
        found = difference(values, reference, resampled, 9)
        assert found is not None
        assert (found.both, found.over_images) == (found.over_seeds, None)
    assert difference(values, {7: 1.0}) is None


def test_what_does_not_differ_has_no_width_and_no_evidence() -> None:
    same, drawn = {0: 1.0, 1: 2.0}, {seed: np.zeros(50) for seed in (0, 1)}
    found = difference(same, same, drawn, 9)
    assert found is not None
    assert (found.both.mean, found.both.half_width, found.p) == (0, 0, 1)
    other = difference({0: 2.0, 1: 3.0}, same, drawn, 9)
    assert other is not None
    assert other.p == 0


def test_a_difference_turns_round() -> None:
    found = simulated(np.random.default_rng(0), 3, 20, 0.1, 1, 1)
    turned = found.scaled(-100)
    assert found.over_images is not None
    assert turned.over_images == (-100 * found.over_images[1], -100 * found.over_images[0])
    assert turned.both.half_width == pytest.approx(100 * (found.both.half_width or 0))
    assert turned.p == found.p


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"parts and wholes are \[3, 2\] and \[3\]"):
        ImageParts(np.zeros((3, 2)), np.zeros(3))

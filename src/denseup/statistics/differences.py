"""The difference of two upsamplers at equal seeds on the same images, with its intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from denseup.statistics.images import Float64
from denseup.statistics.power import Spread, satterthwaite
from denseup.statistics.seeds import CONFIDENCE, Estimate, estimate, paired_values, t_quantile


@dataclass(frozen=True)
class Difference:
    """A mean difference, and how far off it may be.

    Args:
        both: mean over seeds, with the interval for other seeds and other images, never shorter than `over_seeds`; for
            other images alone of a single seed, for other seeds alone where nothing is known of images.
        over_seeds: the same mean, with the interval for other seeds on these images.
        over_images: ends of the interval for other images with these seeds, by the bootstrap; None without images.
        p: of the two-sided t test that goes with `both`; None where that has no interval.
        spread: where the variance comes from; None with fewer than two seeds.
    """

    both: Estimate
    over_seeds: Estimate
    over_images: tuple[float, float] | None = None
    p: float | None = None
    spread: Spread | None = None

    @property
    def of_images_alone(self) -> bool:
        """Whether `both` knows of no other seed."""
        return self.over_seeds.half_width is None and self.both.half_width is not None

    def scaled(self, factor: float) -> "Difference":
        """The same in another unit; a negative factor turns it round."""
        ends = None if self.over_images is None else sorted(end * factor for end in self.over_images)
        spread = self.spread and Spread(
            self.spread.per_seed * factor**2, self.spread.of_images * factor**2, self.spread.images
        )
        images = None if ends is None else (ends[0], ends[1])
        return Difference(self.both.scaled(factor), self.over_seeds.scaled(factor), images, self.p, spread)


def difference(
    values: Mapping[int, float | None],
    reference: Mapping[int, float | None],
    resampled: Mapping[int, Float64] | None = None,
    images: int = 0,
    confidence: float = CONFIDENCE,
) -> Difference | None:
    """The difference to a reference; None without a seed that both have.

    Args:
        values, reference: seed → value.
        resampled: seed → difference on drawn sets of images, `[sets]`; it counts if it has every seed of both.
        images: how many there are in a set.
        confidence: of the intervals.
    """
    found = paired_values(values, reference)
    over_seeds = estimate(found.values(), confidence)
    if over_seeds is None:
        return None
    if resampled is None or images < 2 or not found.keys() <= resampled.keys():
        return _over_seeds_alone(over_seeds, list(found.values()), confidence)
    drawn = np.stack([resampled[seed] for seed in found])
    drawn = drawn[:, np.isfinite(drawn).all(0)]
    if drawn.shape[1] < 2:
        return _over_seeds_alone(over_seeds, list(found.values()), confidence)
    low, high = np.quantile(drawn.mean(0), [(1 - confidence) / 2, (1 + confidence) / 2])
    variance, freedom, spread = _components(np.array(list(found.values())), drawn, images)
    both, p = _tested(over_seeds, variance, freedom, confidence)
    if over_seeds.n > 1:
        both, p = _at_least(both, p, _over_seeds_alone(over_seeds, list(found.values()), confidence))
    return Difference(both, over_seeds, (float(low), float(high)), p, spread)


def _over_seeds_alone(over_seeds: Estimate, values: list[float], confidence: float) -> Difference:
    if over_seeds.n < 2:
        return Difference(over_seeds, over_seeds)
    spread = Spread(float(np.var(values, ddof=1)))
    _, p = _tested(over_seeds, spread.variance(over_seeds.n), over_seeds.n - 1, confidence)
    return Difference(over_seeds, over_seeds, None, p, spread)


def _at_least(both: Estimate, p: float, alone: Difference) -> tuple[Estimate, float]:
    """The wider interval and the larger p-value.

    Few seeds can agree by chance. Then nearly all of the variance seems to come from the images, with their many
    degrees of freedom, and a false finding would be likelier than it says. The test over seeds has few of them always.
    """
    assert both.half_width is not None
    assert alone.p is not None
    width = max(both.half_width, alone.both.half_width or 0.0)
    return Estimate(both.mean, width, both.n), max(p, alone.p)


def _components(values: Float64, drawn: Float64, images: int) -> tuple[float, float, Spread | None]:
    """Variance of the mean over seeds for other seeds and images, its degrees of freedom, and its parts.

    d(s, i) = δ + a(s) + b(i) + e(s, i): the variance over seeds has a and e in it, that over images b and e. Their sum
    counts e twice, so it is subtracted once. No part can be negative, so the sum is at least either.

    Args:
        values: difference of each seed, `[seeds]`.
        drawn: the same on drawn sets of images, `[seeds, sets]`.
        images: in a set.
    """
    seeds = len(values)
    unbiased = images / (images - 1)  # a drawn set varies around these images, which vary around all
    over_images = unbiased * float(drawn.mean(0).var(ddof=1))
    if seeds < 2:
        return over_images, images - 1, None
    over_seeds = float(values.var(ddof=1)) / seeds
    at_one_seed = unbiased * float(drawn.var(1, ddof=1).mean())
    shared = max(0.0, at_one_seed - over_images) / (seeds - 1)
    variance = max(over_seeds + over_images - shared, over_seeds, over_images)
    parts = [(over_seeds, seeds - 1.0), (over_images, images - 1.0), (shared, (seeds - 1.0) * (images - 1))]
    spread = Spread(over_seeds * seeds, variance - over_seeds, images)
    return variance, satterthwaite(variance, parts), spread


def _tested(mean: Estimate, variance: float, freedom: float, confidence: float) -> tuple[Estimate, float]:
    """The mean with the interval of a variance, and the p-value of zero."""
    error = math.sqrt(variance)
    both = Estimate(mean.mean, t_quantile(freedom, confidence) * error, mean.n)
    if not error:
        return both, float(mean.mean == 0)
    return both, 2 * float(stdtr(freedom, -abs(mean.mean) / error))

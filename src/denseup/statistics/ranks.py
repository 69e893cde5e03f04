"""Ranks with their uncertainty, by a bootstrap over seeds and images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from denseup.statistics.images import GENERATOR_SEED, RESAMPLES, Float64
from denseup.statistics.seeds import CONFIDENCE


@dataclass(frozen=True)
class Rank:
    """A place among others, 1 for the best; equal values share the better place.

    Args:
        place: of the mean over seeds.
        low, high: the interval of places; None where neither seeds nor images can be drawn again.
    """

    place: int
    low: int | None = None
    high: int | None = None


def ranks(
    values: Mapping[str, Float64],
    resampled: Mapping[str, Float64] | None,
    higher_is_better: bool,
    confidence: float = CONFIDENCE,
) -> dict[str, Rank]:
    """Name → rank.

    All names share the drawn seeds and images. Of S seeds S - 1 are drawn, with replacement: the mean of S would vary
    too little, by a factor of (S - 1)/S in its variance (J. N. K. Rao and C. F. J. Wu, JASA 83, 1988).

    Args:
        values: name → value of each seed, `[seeds]`, the same seeds for all.
        resampled: name → value of each seed on drawn sets of images, `[seeds, sets]`, the same sets for all; None
            where only seeds can be drawn.
        higher_is_better: direction of the values.
        confidence: of the intervals.
    """
    names = list(values)
    observed = np.stack([values[name] for name in names])
    places = _places(observed.mean(1)[:, None], higher_is_better)[:, 0]
    seeds = observed.shape[1]
    if seeds < 2 and resampled is None:
        return {name: Rank(int(place)) for name, place in zip(names, places, strict=True)}
    every = observed[:, :, None]
    if resampled is not None:
        drawn = np.stack([resampled[name] for name in names])
        every = drawn[..., np.isfinite(drawn).all((0, 1))]  # a set may have no image with a value
    found = _places(_means_of_drawn_seeds(every, seeds), higher_is_better)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(found, tails, axis=1, method="inverted_cdf").astype(int)
    return {name: Rank(*map(int, row)) for name, *row in zip(names, places, low, high, strict=True)}


def _means_of_drawn_seeds(values: Float64, seeds: int) -> Float64:
    """[names, seeds, sets or 1] → means over drawn seeds, [names, sets]."""
    sets = values.shape[2] if values.shape[2] > 1 else RESAMPLES
    draws = max(seeds - 1, 1)
    times = np.random.default_rng(GENERATOR_SEED).multinomial(draws, np.full(seeds, 1 / seeds), sets)
    means: Float64 = np.einsum("bs,nsb->nb", times / draws, np.broadcast_to(values, (*values.shape[:2], sets)))
    return means


def _places(means: Float64, higher_is_better: bool) -> np.ndarray:
    """[names, sets] → places of the same shape."""
    order = -means if higher_is_better else means
    return 1 + (order[None] < order[:, None]).sum(1)

"""All that is said of one metric: upsamplers against a reference, corrected for their number, and their ranks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from denseup.statistics.correction import holm
from denseup.statistics.differences import Difference, difference
from denseup.statistics.images import Float64, ImageParts, resamples
from denseup.statistics.power import Spread, detectable, seeds_needed
from denseup.statistics.ranks import Rank, ranks

SIGNIFICANT = 0.05

Values = Mapping[str, Mapping[int, float | None]]
"""Name of the upsampler → seed → value."""


@dataclass(frozen=True)
class Limit:
    """What a comparison could have seen.

    Args:
        difference: the smallest that is found with a chance of 80 %, even as the only one.
        comparisons: how many share the error.
        seeds: of each upsampler.
        images: in the validation data; 0 where nothing is known of them.
        for_half: seeds with which half of it would be found; None where no number of them is enough.
    """

    difference: float
    comparisons: int
    seeds: int
    images: int
    for_half: int | None


class Comparison:
    """One metric of several upsamplers.

    Args:
        values: name → seed → value.
        images: name → seed → what each image adds to it, of the same images everywhere; what is not known is left out.
        reference: the name that others are compared with; None for none.
        higher_is_better: None where it is not known, and nothing is ranked.
    """

    def __init__(
        self,
        values: Values,
        images: Mapping[str, Mapping[int, ImageParts]] | None = None,
        reference: str | None = None,
        higher_is_better: bool | None = None,
    ) -> None:
        self.values, self.reference, self.higher_is_better = values, reference, higher_is_better
        self._parts = images or {}
        counts = {len(parts) for by_seed in self._parts.values() for parts in by_seed.values()}
        assert len(counts) < 2, "the images are the same everywhere"
        self.images = next(iter(counts), 0)
        """How many; 0 where nothing is known of them."""

    @cached_property
    def differences(self) -> dict[str, Difference]:
        """To the reference; of each name that shares a seed with it."""
        if self.reference is None:
            return {}
        found = {name: self.between(name, self.reference) for name in self.values if name != self.reference}
        return {name: one for name, one in found.items() if one is not None}

    def between(self, name: str, other: str) -> Difference | None:
        """Value of `name` - value of `other`; None without a seed that both have."""
        mine, theirs = self._resampled[name], self._resampled[other]
        drawn = {seed: mine[seed] - theirs[seed] for seed in mine.keys() & theirs.keys()}
        return difference(self.values[name], self.values[other], drawn, self.images)

    @cached_property
    def adjusted(self) -> dict[str, float]:
        """Holm's p-values of the differences that have one."""
        known = {name: found.p for name, found in self.differences.items() if found.p is not None}
        return dict(zip(known, holm(list(known.values())), strict=True))

    def holds(self, name: str) -> bool:
        """Whether the difference of `name` to the reference stays after correction; never that of a single seed."""
        found = self.differences.get(name)
        return found is not None and not found.of_images_alone and self.adjusted.get(name, 1.0) <= SIGNIFICANT

    @cached_property
    def ranks(self) -> dict[str, Rank]:
        """At the seeds that all names have; {} without such a seed or a direction."""
        if self.higher_is_better is None or len(self.values) < 2 or not self._common_seeds:
            return {}
        seeds = self._common_seeds
        observed = {name: np.array([by_seed[seed] for seed in seeds], float) for name, by_seed in self.values.items()}
        drawn = None
        if all(seed in self._resampled[name] for name in self.values for seed in seeds):
            drawn = {name: np.stack([self._resampled[name][seed] for seed in seeds]) for name in self.values}
        return ranks(observed, drawn, self.higher_is_better)

    @cached_property
    def limit(self) -> Limit | None:
        """Of all differences with two seeds or more, at the mean of their spreads; None without any."""
        known = {name: found for name, found in self.differences.items() if found.spread is not None}
        if not known:
            return None
        seeds = min(found.both.n for found in known.values())
        spreads = [found.spread for found in known.values() if found.spread is not None]
        spread = Spread(
            float(np.mean([one.per_seed for one in spreads])),
            float(np.mean([one.of_images for one in spreads])),
            max(one.images for one in spreads),
        )
        return self._limit(spread, seeds)

    def limit_of(self, name: str) -> Limit | None:
        """Of the difference of `name` alone; None where its seeds are fewer than two."""
        found = self.differences.get(name)
        return None if found is None or found.spread is None else self._limit(found.spread, found.both.n)

    def _limit(self, spread: Spread, seeds: int) -> Limit:
        comparisons = len(self.adjusted)
        smallest = detectable(spread, seeds, comparisons)
        return Limit(smallest, comparisons, seeds, spread.images, seeds_needed(spread, smallest / 2, comparisons))

    @cached_property
    def _common_seeds(self) -> list[int]:
        known = [{seed for seed, value in by_seed.items() if value is not None} for by_seed in self.values.values()]
        return sorted(set.intersection(*known))

    @cached_property
    def _resampled(self) -> dict[str, dict[int, Float64]]:
        """Name → seed → value on each drawn set of images."""
        times = resamples(self.images) if self.images > 1 else np.empty((0, self.images))
        return {
            name: {seed: parts.resampled(times) for seed, parts in self._parts.get(name, {}).items() if len(times)}
            for name in self.values
        }

"""What a comparison could have seen: the smallest detectable difference, and the seeds that a smaller one needs."""

import math
from bisect import bisect_left
from dataclasses import dataclass

# scipy.stats would say the same, and takes a second to import.
from scipy.special import nctdtrinc

from denseup.statistics.seeds import CONFIDENCE, t_quantile

POWER = 0.8
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Spread:
    """Where the variance of a difference comes from.

    Args:
        per_seed: variance from one seed to another; seeds take it away.
        of_images: variance from one set of so many images to another; it stays, however many seeds there are.
        images: how many; 0 where nothing is known of them.
    """

    per_seed: float
    of_images: float = 0.0
    images: int = 0

    def variance(self, seeds: int) -> float:
        """Of the mean difference over so many seeds."""
        return self.per_seed / seeds + self.of_images

    def freedom(self, seeds: int) -> float:
        """Degrees of freedom of that variance, after Satterthwaite."""
        parts = [(self.per_seed / seeds, seeds - 1), (self.of_images, self.images - 1)]
        return satterthwaite(self.variance(seeds), [(part, free) for part, free in parts if free > 0])


def satterthwaite(variance: float, parts: list[tuple[float, float]]) -> float:
    """Degrees of freedom of a variance that is a sum or difference of (estimate, its degrees of freedom); at least 1.

    F. E. Satterthwaite, Biometrics Bulletin 2 (1946).
    """
    spread = sum(part**2 / free for part, free in parts)
    return max(1.0, variance**2 / spread) if spread else max(free for _, free in parts)


def detectable(
    spread: Spread, seeds: int, comparisons: int = 1, confidence: float = CONFIDENCE, power: float = POWER
) -> float:
    """The difference that is found with probability `power`, by two-sided paired t tests.

    `difference` asks the test over seeds and images and that over seeds alone; what passes the harder one of them
    passes nearly always the other.

    Args:
        spread: of the difference.
        seeds: of each upsampler, at least 2.
        comparisons: how many share the error, as in Holm's first step.
        confidence: 1 - the probability of a finding without a difference.
        power: between 0 and 1.

    Raises:
        ValueError: another value of seeds, comparisons or power.
    """
    if seeds < 2 or comparisons < 1:
        raise ValueError(f"seeds is {seeds} and comparisons {comparisons}, expected at least 2 and at least 1")
    if not 0 < power < 1:
        raise ValueError(f"power is {power}, expected a number between 0 and 1")
    tests = [(spread.variance(seeds), spread.freedom(seeds)), (spread.per_seed / seeds, seeds - 1)]
    error = (1 - confidence) / comparisons
    return max(_seen(variance, freedom, error, power) for variance, freedom in tests)


def _seen(variance: float, freedom: float, error: float, power: float) -> float:
    """Of a t test; its other side, where a difference is found with the wrong sign, has a millionth of the power."""
    return float(nctdtrinc(freedom, 1 - power, t_quantile(freedom, 1 - error))) * math.sqrt(variance)


def seeds_needed(
    spread: Spread, difference: float, comparisons: int = 1, confidence: float = CONFIDENCE, power: float = POWER
) -> int | None:
    """The least number of seeds with which `difference` is detectable; None where MOST_SEEDS are too few.

    Arguments as in `detectable`.
    """
    counts = range(2, MOST_SEEDS + 1)
    place = bisect_left(
        counts, True, key=lambda seeds: detectable(spread, seeds, comparisons, confidence, power) <= abs(difference)
    )
    return counts[place] if place < len(counts) else None

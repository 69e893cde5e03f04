"""Means over seeds with their intervals, by Student's t."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# scipy.stats would say the same, and takes a second to import.
from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean, and how far off it may be.

    Args:
        mean: of the values.
        half_width: of the interval around it; None for a single value, which tells nothing about its spread.
        n: how many values.
    """

    mean: float
    half_width: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; never for a single value."""
        return self.half_width is not None and abs(self.mean) > self.half_width

    def scaled(self, factor: float) -> "Estimate":
        """The same in another unit; a negative factor turns it round."""
        return Estimate(self.mean * factor, None if self.half_width is None else self.half_width * abs(factor), self.n)


def estimate(values: Iterable[float | None], confidence: float = CONFIDENCE) -> Estimate | None:
    """Mean and interval of independent values; missing ones do not count, and None is what is left of none."""
    kept = [value for value in values if value is not None and math.isfinite(value)]
    n = len(kept)
    if n == 0:
        return None
    mean = statistics.fmean(kept)
    if n == 1:
        return Estimate(mean, None, 1)
    return Estimate(mean, t_quantile(n - 1, confidence) * statistics.stdev(kept) / math.sqrt(n), n)


def paired(
    values: Mapping[int, float | None], reference: Mapping[int, float | None], confidence: float = CONFIDENCE
) -> Estimate | None:
    """Mean difference to the reference at equal seeds, with its interval.

    Args:
        values, reference: seed → value; a seed that either lacks does not count.
        confidence: of the interval.
    """
    return estimate(paired_values(values, reference).values(), confidence)


def paired_values(values: Mapping[int, float | None], reference: Mapping[int, float | None]) -> dict[int, float]:
    """Seed → difference to the reference, in the order of the seeds; of those at which both have a finite value."""
    found = {}
    for seed in sorted(values.keys() & reference.keys()):
        mine, theirs = values[seed], reference[seed]
        if mine is not None and theirs is not None and math.isfinite(mine - theirs):
            found[seed] = mine - theirs
    return found


def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The t with which Student's distribution has `confidence` of its mass in -t..t.

    Args:
        freedom: degrees of freedom.
        confidence: between 0 and 1.

    Raises:
        ValueError: for another value of either.
    """
    if not freedom >= 1:
        raise ValueError(f"freedom is {freedom}, expected at least 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, expected a number between 0 and 1")
    return float(stdtrit(freedom, (1 + confidence) / 2))

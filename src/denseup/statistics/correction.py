"""Correction of p-values for their number."""

from collections.abc import Sequence


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: S. Holm, Scandinavian Journal of Statistics 6 (1979).

    Who calls a difference real where the adjusted value is at most 0.05 errs in any of them with a probability of at
    most 5 %, however the values depend on each other.

    Raises:
        ValueError: a value is no probability.
    """
    if wrong := [value for value in values if not 0 <= value <= 1]:
        raise ValueError(f"values has {wrong[0]}, expected probabilities between 0 and 1")
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, i in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[i]))
        adjusted[i] = largest
    return adjusted

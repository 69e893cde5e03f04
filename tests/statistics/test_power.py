"""The smallest detectable difference is found as often as promised, and the seeds for a smaller one are enough."""

import numpy as np
import pytest
from scipy import stats

from denseup.statistics import Spread, detectable, seeds_needed
from denseup.statistics.power import MOST_SEEDS, satterthwaite


@pytest.mark.parametrize(("seeds", "comparisons"), [(3, 1), (5, 1), (5, 7), (12, 3)])
def test_four_in_five_comparisons_find_it(seeds: int, comparisons: int) -> None:
    """By scipy's own test on 4000 simulated comparisons, to three standard errors."""
    found = detectable(Spread(per_seed=0.7**2), seeds, comparisons)
    values = np.random.default_rng(0).normal(found, 0.7, (4000, seeds))
    p = stats.ttest_1samp(values, 0, axis=1).pvalue
    assert np.mean(p <= 0.05 / comparisons) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("power", [0.5, 0.9])
def test_the_power_is_that_of_scipys_distribution(power: float) -> None:
    found = detectable(Spread(per_seed=4.0), 6, power=power)
    assert stats.nct.sf(stats.t.ppf(0.975, 5), 5, found / np.sqrt(4 / 6)) == pytest.approx(power, rel=1e-6)


def test_more_seeds_find_less_until_the_images_end_it() -> None:
    spread = Spread(per_seed=1.0, of_images=0.01, images=101)
    by_seeds = [detectable(spread, seeds) for seeds in (2, 3, 5, 10, 100, 1000)]
    assert by_seeds == sorted(by_seeds, reverse=True)
    assert by_seeds[-1] == pytest.approx(2.83 * np.sqrt(0.011), rel=0.01)
    needed = seeds_needed(spread, 0.5)
    assert needed is not None
    assert detectable(spread, needed) <= 0.5 < detectable(spread, needed - 1)
    assert seeds_needed(spread, -0.5) == needed
    assert seeds_needed(spread, 0.1) is None  # whatever MOST_SEEDS
    assert seeds_needed(Spread(1.0), 0.09) is not None
    assert MOST_SEEDS >= 1000


def test_as_many_seeds_as_images_are_two_parts() -> None:
    """Degrees of freedom after Satterthwaite, by hand: two equal parts with 4 each are 8."""
    assert Spread(per_seed=5.0, of_images=1.0, images=5).freedom(5) == pytest.approx(8)
    assert satterthwaite(2.0, [(1.0, 4), (1.0, 4)]) == pytest.approx(8)
    assert satterthwaite(2.0, [(1.5, 4), (0.5, 100)]) == pytest.approx(4 / (2.25 / 4 + 0.25 / 100))


def test_nothing_varies_and_all_is_seen() -> None:
    assert detectable(Spread(0.0), 3) == 0
    assert seeds_needed(Spread(0.0), 0.1) == 2


@pytest.mark.parametrize("wrong", [{"seeds": 1}, {"comparisons": 0}, {"power": 1.0}, {"confidence": 0.0}])
def test_a_wrong_argument_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))} (is )?{next(iter(wrong.values()))}"):
        detectable(Spread(1.0), **{"seeds": 3, **wrong})  # type: ignore[arg-type]

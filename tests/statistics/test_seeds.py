"""Means and intervals agree with scipy's."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import denseup.statistics
from denseup.statistics import estimate, paired, t_quantile


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.9999])
@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 9, 30, 101, 1000, 10**6])
def test_the_quantile_is_that_of_scipy(freedom: int, confidence: float) -> None:
    expected = stats.t.ppf((1 + confidence) / 2, freedom)
    assert t_quantile(freedom, confidence) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_interval_of_a_mean(n: int) -> None:
    values = np.random.default_rng(n).normal(4, 0.1, n)
    found = estimate(values)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert found is not None
    assert found.half_width is not None
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high), rel=1e-9)
    assert found.n == n


def test_the_interval_of_paired_differences() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(0, 1, 4)
    one, other = common + 4 + rng.normal(0, 0.1, 4), common + 3.5
    found = paired(dict(enumerate(one)), dict(enumerate(other)) | {9: 0.0})
    interval = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert found is not None
    assert found.half_width is not None
    assert found.mean - found.half_width == pytest.approx(interval.low, rel=1e-9)
    assert found.mean + found.half_width == pytest.approx(interval.high, rel=1e-9)
    assert (found.n, found.excludes_zero) == (4, True)


def test_one_value_has_no_interval_and_none_no_estimate() -> None:
    found = estimate([3.0, None, float("nan")])
    assert found is not None
    assert (found.mean, found.half_width, found.n, found.excludes_zero) == (3.0, None, 1, False)
    assert estimate([None]) is None
    assert paired({0: 1.0}, {1: 2.0}) is None


@pytest.mark.parametrize(("freedom", "confidence"), [(0, 0.95), (3, 0.0), (3, 1.0), (math.nan, 0.95), (3, math.nan)])
def test_a_wrong_argument_is_named(freedom: float, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"freedom is (0|nan)|confidence is"):
        t_quantile(freedom, confidence)


def test_nothing_here_waits_for_scipy_stats() -> None:
    """It takes a second to import, and a sweep would pay for it with every report."""
    for file in Path(denseup.statistics.__file__).parent.glob("*.py"):
        assert not re.search(r"^\s*(from|import) scipy(\.stats| import stats)", file.read_text(), re.MULTILINE), file

"""Holm's correction, computed by hand, and its promise."""

import numpy as np
import pytest

from denseup.statistics import holm


def test_by_hand() -> None:
    # sorted: .005 × 4 = .02, .01 × 3 = .03, .03 × 2 = .06, .04 × 1 = .04, which may not be less than .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_one_table_in_twenty_has_a_false_finding() -> None:
    """Of 2000 tables of 8 comparisons without a difference, to three standard errors; uncorrected one in three."""
    values = np.random.default_rng(0).uniform(size=(2000, 8))
    assert np.mean([min(holm(list(row))) <= 0.05 for row in values]) == pytest.approx(0.05, abs=0.015)
    assert np.mean(values.min(1) <= 0.05) > 0.3


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_named(wrong: float) -> None:
    with pytest.raises(ValueError, match=rf"values has {wrong}"):
        holm([0.5, wrong])

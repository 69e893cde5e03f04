"""A planted difference is found, none is where there is none, and ranks are as sure as the data."""

import numpy as np
import pytest

from denseup.statistics import Comparison, ImageParts

GAINS = {"bilinear": 0.0, "same": 0.0, "better": 0.5, "best": 2.0}
SEEDS, IMAGES = range(5), 60


def compared(
    gains: dict[str, float] = GAINS, seeds: range = SEEDS, images: bool = True, rng_seed: int = 0
) -> Comparison:
    """Means over images; a seed and an image move all upsamplers alike, and each a little by itself."""
    rng = np.random.default_rng(rng_seed)
    common = 3 * rng.normal(size=(len(seeds), 1)) + 3 * rng.normal(size=IMAGES)
    drawn = {
        name: common + gain + 0.2 * rng.normal(size=(len(seeds), 1)) + rng.normal(size=common.shape)
        for name, gain in gains.items()
    }
    values = {name: dict(zip(seeds, map(float, found.mean(1)), strict=True)) for name, found in drawn.items()}
    parts = {n: dict(zip(seeds, map(ImageParts.of_values, found), strict=True)) for n, found in drawn.items()}
    return Comparison(values, parts if images else None, "bilinear", higher_is_better=True)


def test_a_planted_difference_is_found_and_no_other() -> None:
    found = compared()
    assert [name for name in found.values if found.holds(name)] == ["better", "best"]
    assert found.differences["best"].both.mean == pytest.approx(2, abs=found.differences["best"].both.half_width)
    assert set(found.differences) == set(GAINS) - {"bilinear"}
    limit = found.limit
    assert limit is not None
    assert (limit.comparisons, limit.seeds, limit.images) == (3, 5, 60)
    assert limit.difference < 1
    own = found.limit_of("best")
    assert own is not None
    assert own.comparisons == 3
    assert found.limit_of("bilinear") is None


def test_none_is_found_where_there_is_none() -> None:
    """In 60 tables of seven comparisons: one in twenty has a finding, so at most 8 at three standard errors."""
    none = dict.fromkeys(["bilinear", *"abcdefg"], 0.0)
    tables = [compared(none, rng_seed=seed) for seed in range(60)]
    assert sum(any(table.holds(name) for name in table.values) for table in tables) <= 8


def test_one_seed_has_the_images() -> None:
    found = compared(seeds=range(1))
    assert found.differences["best"].of_images_alone
    assert found.adjusted["best"] < 0.001
    assert not found.holds("best")  # for nothing is known of another seed
    assert found.limit is None
    assert found.ranks["best"].high == 1
    without = compared(seeds=range(1), images=False)
    assert without.differences["best"].p is None
    assert without.adjusted == {}
    assert (without.ranks["best"].place, without.ranks["best"].low) == (1, None)


def test_ranks_are_as_sure_as_the_data() -> None:
    for images in (True, False):
        found = compared(images=images).ranks
        assert (found["best"].place, found["best"].low, found["best"].high) == (1, 1, 1)
        assert (found["better"].low, found["better"].high) == (2, 2)
        assert {found["same"].low, found["bilinear"].low} == {3}
        assert {found["same"].high, found["bilinear"].high} == {4}


def test_ranks_by_a_loop() -> None:
    """Draws of S - 1 seeds, one at a time; both are draws, so shares are compared."""
    found = compared({"bilinear": 0.0, "a": 0.1, "b": 0.15}, images=False)
    values = np.array([list(by_seed.values()) for by_seed in found.values.values()])
    rng = np.random.default_rng(5)
    places = []
    for _ in range(4000):
        means = values[:, rng.integers(0, 5, 4)].mean(1)
        places.append([1 + sum(other > mine for other in means) for mine in means])
    for name, mine in zip(found.values, np.array(places).T, strict=True):
        rank = found.ranks[name]
        assert rank.low is not None
        assert rank.high is not None
        assert np.mean(mine < rank.low) <= 0.025 + 0.02
        assert np.mean(mine > rank.high) <= 0.025 + 0.02
        assert rank.low <= rank.place <= rank.high


def test_a_set_of_images_without_a_value_ranks_nobody() -> None:
    """Two images of which one has no value: a quarter of the drawn sets has none at all."""
    values = {name: {0: value} for name, value in (("a", 2.0), ("b", 1.0))}
    parts = {name: {0: ImageParts.of_values([by_seed[0], np.nan])} for name, by_seed in values.items()}
    found = Comparison(values, parts, "b", higher_is_better=True)
    assert {name: (rank.low, rank.high) for name, rank in found.ranks.items()} == {"a": (1, 1), "b": (2, 2)}
    assert found.differences["a"].over_images == (1, 1)


def test_a_lower_value_can_be_better_and_an_unknown_direction_has_no_ranks() -> None:
    values = {"a": {0: 1.0, 1: 1.1}, "b": {0: 2.0, 1: 2.2}, "c": {0: None, 1: 3.0}}
    assert {n: r.place for n, r in Comparison(values, higher_is_better=False).ranks.items()} == {"a": 1, "b": 2, "c": 3}
    assert Comparison(values).ranks == {}
    assert Comparison(values).differences == {}
    assert Comparison({"a": {0: 1.0}, "b": {1: 1.0}}, higher_is_better=True).ranks == {}

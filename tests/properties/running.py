"""How many cases a property is tried on: some by day, always the same; many by night, new ones each time.

`pytest tests/properties` runs the day's, `pytest tests/properties -m slow` the night's. DENSEUP_NIGHT is how many cases
of each property a night has (a hundredth, where each is tried in a hundred ways), DENSEUP_DAY how many hundredths of a
day's number the day takes.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

DAY = int(os.environ.get("DENSEUP_DAY", "100"))
NIGHT = int(os.environ.get("DENSEUP_NIGHT", "10000"))


class Cases(NamedTuple):
    """How many, and whether they are new ones each time."""

    number: int
    new: bool


def by_day_and_night(cases: int, ways: int = 1) -> Any:
    """The argument `cases` of a test, for `run`: each of them is tried in so many ways."""
    day, night = Cases(max(1, cases * DAY // 100), False), Cases(max(1, NIGHT // ways), True)
    return pytest.mark.parametrize("cases", [day, pytest.param(night, marks=pytest.mark.slow)], ids=["day", "night"])


def run(cases: Cases, check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    """`check` on cases of the strategy, which no machine's speed or memory of earlier runs has a say in."""
    profile = settings(
        max_examples=cases.number,
        derandomize=not cases.new,
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    profile(given(strategy)(lambda case: check(case)))()

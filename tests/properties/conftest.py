from collections.abc import Iterator

import pytest
from fresh_memory import poisoned


@pytest.fixture(autouse=True)
def _fresh_memory_is_not_a_number() -> Iterator[None]:
    with poisoned():
        yield

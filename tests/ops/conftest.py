from collections.abc import Iterator

import pytest
from fresh_memory import poisoned

from denseup import native

AS_THEY_ARE = {"test_compiled", "test_transforms", "test_large_maps"}
"""Of compilers, whose code depends on the mode that fills memory; and of maps that are filled slowly."""


@pytest.fixture(autouse=True)
def _fresh_memory_is_not_a_number(request: pytest.FixtureRequest) -> Iterator[None]:
    """A kernel that reads what nobody has written gives NaN."""
    if request.path.stem in AS_THEY_ARE:
        yield
        return
    with poisoned():
        yield


@pytest.fixture(params=["portable", "avx2", "avx512"])
def instructions(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of the C kernels that this processor has."""
    found = native.library()
    if found is None:
        pytest.skip(str(native.why_missing()))
    if found.denseup_force_instructions(request.param.encode()):
        pytest.skip(f"this processor has no {request.param}")
    yield request.param
    found.denseup_force_instructions(b"")

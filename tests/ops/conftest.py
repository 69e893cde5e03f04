from collections.abc import Iterator

import pytest

from denseup import native


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

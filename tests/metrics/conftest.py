import pytest

from denseup import native


@pytest.fixture(params=["compiled", "python"])
def way(request, monkeypatch):
    """The two ways to compute a metric: by the C kernels, and as where these were not built."""
    if request.param == "python":
        monkeypatch.setattr(native, "library", lambda: None)
    elif native.library() is None:
        pytest.skip(native.why_missing())
    return request.param

"""Finding and loading the compiled kernels, and doing without them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import denseup
from denseup import native

SOURCES = Path(denseup.__file__).parent / "native"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for the library starts anew, and is forgotten afterwards."""
    monkeypatch.setattr(native, "_load", native._load.__wrapped__)


@pytest.mark.usefixtures("fresh")
def test_a_missing_library_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "NAME", "_nothing")
    assert "were not built" in str(native.why_missing())


@pytest.mark.usefixtures("fresh")
def test_a_library_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if native.library() is None:
        pytest.skip(str(native.why_missing()))
    monkeypatch.setattr(native, "ABI", native.ABI + 1)
    assert "another version" in str(native.why_missing())


def test_without_the_library_everything_works() -> None:
    """A process that finds no library: the reference serves, and the metrics take their other way."""
    code = (
        "import numpy as np, torch, denseup\n"
        "from denseup.metrics.functional import boundary_iou, conn\n"
        "out = denseup.FADE(8)(torch.randn(1, 8, 3, 3), torch.randn(1, 8, 6, 6))\n"
        "label = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3\n"
        "alpha = label * 100; trimap = np.full_like(label, 128)\n"
        "print(tuple(out.shape), boundary_iou(label, label, 3), conn(alpha, alpha, trimap))"
    )
    # `import denseup` loads the library before NAME can change: the module is put in place by hand
    first = (
        "import sys, types; p = types.ModuleType('denseup'); p.__path__ = [sys.argv[1]]; sys.modules['denseup'] = p\n"
    )
    first += "import denseup.native as n; n.NAME = '_nothing'; del sys.modules['denseup']\n"
    done = subprocess.run(
        [sys.executable, "-c", first + code, str(SOURCES.parent)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 8, 6, 6) 1.0 0.0"


def test_threads_are_torchs() -> None:
    assert native.threads() == torch.get_num_threads()


def test_the_openmp_runtime_of_torch_is_found() -> None:
    if not sys.platform.startswith("linux") or "OpenMP" not in torch.__config__.parallel_info():
        pytest.skip("the search reads /proc/self/maps")
    assert native._gomp_parallel() is not None


def test_kernels_compile_without_warnings(tmp_path: Path) -> None:
    compiler = subprocess.run(["sh", "-c", "command -v cc"], capture_output=True, text=True).stdout.strip()
    if not compiler:
        pytest.skip("no C compiler")
    for source in SOURCES.glob("*/*.c"):
        options = ["-Wall", "-Wextra", "-O1", "-std=gnu11", f"-I{SOURCES}"]
        command = [compiler, *options, "-c", str(source), "-o", str(tmp_path / "x.o")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", done.stderr

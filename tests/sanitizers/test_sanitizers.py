"""The C kernels under the address, undefined-behaviour and thread sanitizers, on the cases of the property tests."""

from pathlib import Path

import pytest
from sanitizers import building

FAULTS = r"""
#include <pthread.h>
float beyond(const float *x, long n) { return x[n]; }
int shifted(int by) { return 1 << by; }
int overflown(int x) { return x + 1; }
float unaligned(const char *x) { return *(const float *)(x + 1); }
static long sum;
static void *add(void *x) { (void)x; for (int k = 0; k < 1000; k++) sum++; return 0; }
void race(void) {
    pthread_t other;
    pthread_create(&other, 0, add, 0);
    add(0);
    pthread_join(other, 0);
}
"""
CALLS = {
    "beyond": ("library.beyond(x, ctypes.c_long(4))", "heap-buffer-overflow"),
    "shifted": ("library.shifted(40)", "shift exponent 40 is too large"),
    "overflown": ("library.overflown(2**31 - 1)", "signed integer overflow"),
    "unaligned": ("library.unaligned(x)", "misaligned address"),
    "race": ("library.race()", "data race"),
}


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """Where libraries are kept from one session to the next."""
    return request.config.cache.mkdir("sanitizers")


def require(kind: str) -> None:
    reason = building.why_not(kind)
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize("name", CALLS)
def test_planted_faults_are_found(name: str, tmp_path: Path) -> None:
    kind = "thread" if name == "race" else "address"
    require(kind)
    source = tmp_path / "faults.c"
    source.write_text(FAULTS)
    library = building.compiled(kind, [source], tmp_path)
    call, report = CALLS[name]
    code = f"import ctypes; library = ctypes.CDLL({str(library)!r}); allocate = ctypes.CDLL(None).malloc; "
    code += "allocate.restype = ctypes.c_void_p; x = ctypes.c_void_p(allocate(ctypes.c_size_t(16))); "
    harmless = building.run(kind, ["-c", code + "library.shifted(3)"])
    assert harmless.returncode == 0, harmless.stderr
    done = building.run(kind, ["-c", code + call])
    assert done.returncode != 0
    assert report in done.stderr


def test_scratch_memory_of_the_kernels_is_not_a_number(tmp_path: Path) -> None:
    """What `malloc` gives under the address sanitizer: NaN to whoever reads it before it is written."""
    require("address")
    code = "import ctypes, math; allocate = ctypes.CDLL(None).malloc; allocate.restype = ctypes.c_void_p; "
    code += "x = allocate(ctypes.c_size_t(4096)); print(all(map(math.isnan, (ctypes.c_float * 1024).from_address(x))))"
    assert building.run("address", ["-c", code]).stdout.strip() == "True"


def watched(kind: str, folder: Path, site: Path, tests: list[str], flags: list[str], **env: str) -> None:
    require(kind)
    building.copied_package(kind, folder, site, *flags)
    arguments = ["-m", "pytest", "-o", "addopts=--import-mode=importlib", "-m", "not slow", "-n", "0"]
    arguments += ["--capture=no", "-p", "sanitizers.plugin", "-p", "no:cacheprovider"]
    done = building.run(kind, [*arguments, *tests], site, DENSEUP_WATCHED=str(site), **env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert " passed" in done.stdout


PROPERTIES = ["tests/properties/test_ops.py", "tests/properties/test_metrics.py"]
BACK_ENDS = ["not_a_number", "attention", "points", "sampling", "pointwise", "encoding", "depthwise", "turning"]
KERNELS = [f"tests/ops/test_{name}.py" for name in BACK_ENDS] + ["tests/ops/test_backends.py"]
CPU = ["-k", "(cpu or instructions or portable or avx2 or avx512 or kernels or in_c) and not triton"]


def test_addresses_and_undefined_behaviour(folder: Path, tmp_path: Path) -> None:
    watched("address", folder, tmp_path, PROPERTIES, [building.PORTABLE], DENSEUP_DAY="25")


@pytest.mark.slow
def test_addresses_and_undefined_behaviour_in_all_kernels(folder: Path, tmp_path: Path) -> None:
    watched("address", folder, tmp_path, [*PROPERTIES, "tests/properties/test_upsamplers.py"], [], DENSEUP_DAY="500")


@pytest.mark.slow
def test_addresses_and_undefined_behaviour_in_the_tests_of_kernels(folder: Path, tmp_path: Path) -> None:
    watched("address", folder, tmp_path, [*KERNELS, *CPU], [])


@pytest.mark.slow
def test_races(folder: Path, tmp_path: Path) -> None:
    watched("thread", folder, tmp_path, PROPERTIES, [], DENSEUP_DAY="200")


@pytest.mark.slow
def test_races_in_the_tests_of_kernels(folder: Path, tmp_path: Path) -> None:
    watched("thread", folder, tmp_path, [*KERNELS, *CPU], [])

"""The compiled C kernels: a plain shared library without Python or torch headers, called on data pointers.

It is built when the package is installed, if there is a C compiler (`setup.py`); without one everything works by the
pure-Python ways. Kernels run on torch's own threads: see `common/parallel.c`.
"""

import ctypes
from functools import cache
from pathlib import Path

import torch

NAME = "_kernels"
ABI = 7
"""What `denseup_abi` (common/abi.c) of a library that fits this code returns."""


@cache
def library() -> ctypes.CDLL | None:
    """The loaded library; None where it was not built or does not load (`why_missing` says which)."""
    loaded, _ = _load()
    return loaded


def why_missing() -> str | None:
    """Why `library()` is None; None if it is there."""
    _, reason = _load()
    return reason


def instructions() -> str | None:
    """The instruction set that the kernels use on this processor; None without the library."""
    loaded = library()
    return None if loaded is None else loaded.denseup_instructions().decode()


def threads() -> int:
    """How many threads a kernel may use: as many as torch."""
    return torch.get_num_threads()


@cache
def _load() -> tuple[ctypes.CDLL | None, str | None]:
    folder = Path(__file__).parent
    files = sorted(path for path in folder.glob(f"{NAME}*") if path.suffix in (".so", ".dylib"))
    if not files:
        return None, "the C kernels were not built: no C compiler worked when denseup was installed"
    try:
        loaded = ctypes.CDLL(str(files[-1]))
    except OSError as error:
        return None, f"the C kernels do not load: {error}"
    if not hasattr(loaded, "denseup_abi") or loaded.denseup_abi() != ABI:
        return None, "the C kernels are of another version of denseup: install it again"
    loaded.denseup_instructions.restype = ctypes.c_char_p
    loaded.denseup_use_openmp.argtypes = [ctypes.c_void_p]
    loaded.denseup_use_openmp(_gomp_parallel())
    return loaded, None


def _gomp_parallel() -> ctypes.c_void_p | None:
    """GOMP_parallel of the OpenMP runtime that torch has loaded into this process, None if it cannot be found."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    paths = {line.split(maxsplit=5)[5] for line in lines if "omp" in line and ".so" in line}
    for path in sorted(paths, key=lambda path: "torch" not in path):
        if Path(path).name.startswith(("libgomp", "libomp", "libiomp")):
            try:
                return ctypes.cast(ctypes.CDLL(path).GOMP_parallel, ctypes.c_void_p)
            except (OSError, AttributeError):
                continue
    return None

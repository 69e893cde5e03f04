"""A copy of the package whose C kernels a sanitizer of gcc watches, and processes that run with it.

Python and torch themselves are not watched. The sanitizer's run-time has to be there first, by LD_PRELOAD; what it
gives out as fresh memory is filled with NaN, the kernels' own scratch memory too.
"""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import denseup

ROOT = Path(__file__).parents[2]
PACKAGE = Path(denseup.__file__).parent
SOURCES = PACKAGE / "native"
FLAGS = {
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
    "thread": ["-fsanitize=thread"],
}
RUNTIME = {"address": "libasan.so", "thread": "libtsan.so"}
OPTIONS = {
    "ASAN_OPTIONS": f"detect_leaks=0:max_malloc_fill_size={2**30}:malloc_fill_byte=255",
    "TSAN_OPTIONS": "halt_on_error=1:ignore_noninstrumented_modules=1",
}
LIKE_A_DEBUGGER = ["-O1", "-g1", "-fno-omit-frame-pointer"]
PORTABLE = "-DDENSEUP_PORTABLE"
"""Kernels of one instruction set of three: a third of the time to compile."""


def setup_flags() -> list[str]:
    """Of setup.py, which cannot be imported."""
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        if isinstance(node, ast.keyword) and node.arg == "extra_compile_args":
            return list(ast.literal_eval(node.value))
    raise AssertionError("setup.py has no extra_compile_args")


@cache
def why_not(kind: str) -> str | None:
    """Why no process can run under a sanitizer here; None if one can."""
    if not sys.platform.startswith("linux"):
        return "sanitizers are preloaded on Linux only"
    compiler = shutil.which("gcc")
    if compiler is None:
        return "no gcc"
    if runtime(RUNTIME[kind]) is None:
        return f"gcc has no {RUNTIME[kind]}"
    done = run(kind, ["-c", "import ctypes"])
    return None if done.returncode == 0 else f"Python does not run under {RUNTIME[kind]}: {done.stderr[-300:]}"


@cache
def runtime(name: str) -> str | None:
    found = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
    return found if Path(found).is_absolute() else None


def compiled(kind: str, sources: list[Path], folder: Path, *more: str) -> Path:
    """A library of the sources, once for all sessions: its name is of what it is made of."""
    flags = [*setup_flags(), *LIKE_A_DEBUGGER, *FLAGS[kind], *more, "-fPIC", "-pthread"]
    texts = [path.read_bytes() for path in sorted(SOURCES.glob("*/*.[ch]"))] + [path.read_bytes() for path in sources]
    name = hashlib.sha256(b"\0".join([*texts, " ".join(flags).encode()])).hexdigest()[:16]
    library = folder / f"{kind}_{name}.so"
    if library.exists():
        return library
    parts = folder / name
    parts.mkdir(exist_ok=True)

    def compile_one(source: Path) -> str:
        out = parts / f"{source.stem}.o"
        _checked(["gcc", *flags, f"-I{SOURCES}", "-c", str(source), "-o", str(out)])
        return str(out)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sources))
    _checked(["gcc", "-shared", *FLAGS[kind], "-pthread", *objects, "-o", str(parts / "all.so")])
    (parts / "all.so").rename(library)
    shutil.rmtree(parts)
    return library


def _checked(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def copied_package(kind: str, folder: Path, site: Path, *more: str) -> Path:
    """A folder for PYTHONPATH in which denseup has watched kernels; all else are links."""
    library = compiled(kind, sorted(SOURCES.glob("*/*.c")), folder, *more)
    package = site / "denseup"
    (package / "native").mkdir(parents=True)
    for path in PACKAGE.iterdir():
        if path.name not in ("native", "__pycache__"):
            (package / path.name).symlink_to(path)
    shutil.copy(SOURCES / "__init__.py", package / "native")
    (package / "native" / "_kernels.so").symlink_to(library)
    return site


def run(kind: str, arguments: list[str], site: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Python under a sanitizer."""
    preloaded = [found for name in (RUNTIME[kind], "libstdc++.so.6") if (found := runtime(name)) is not None]
    places = [*([str(site)] if site else []), str(ROOT / "tests"), str(ROOT)]
    if site is None:
        places.append(str(PACKAGE.parent))
    env = {
        **os.environ,
        **OPTIONS,
        "LD_PRELOAD": " ".join(preloaded),
        "PYTHONPATH": os.pathsep.join(places),
        "OMP_NUM_THREADS": "1",
        **env,
    }
    fixed = ["setarch", "-R"] if kind == "thread" and shutil.which("setarch") else []  # it wants memory where it was
    command = [*fixed, sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT)

"""A version of this repository as a folder: a clone somewhere, or a commit, laid out for a while with kernels built."""

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def checkout(version: str) -> Iterator[tuple[Path, str]]:
    """The folder of a version, and what to call it.

    Args:
        version: path of a clone, taken as it is; or a commit of this one ("HEAD~1", a tag, a hash).

    Raises:
        ValueError: neither.
    """
    folder = Path(version)
    if (folder / "src" / "denseup").is_dir():
        yield folder.resolve(), _described(folder)
        return
    found = _git("rev-parse", "--verify", "--quiet", f"{version}^{{commit}}")
    if found.returncode:
        raise ValueError(f"{version!r} is neither a clone of this repository nor a commit of it")
    commit = found.stdout.decode().strip()
    with tempfile.TemporaryDirectory(prefix="denseup_version_") as name:
        content = _git("archive", "--format=tar", commit, "src", "setup.py", "pyproject.toml", "conf", "README.md")
        with tarfile.open(fileobj=BytesIO(content.stdout)) as tar:
            tar.extractall(name, filter="data")
        build(Path(name))
        yield Path(name), commit[:12]


def build(folder: Path) -> None:
    """Build the C kernels in place; without a compiler there are none, which the comparison says."""
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, check=False)


def _described(folder: Path) -> str:
    found = _git("describe", "--always", "--dirty", "--abbrev=12", folder=folder)
    return found.stdout.decode().strip() or str(folder)


def _git(*arguments: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)

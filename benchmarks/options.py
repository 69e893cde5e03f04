"""Command-line options that all benchmarks share."""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.bandwidth import copy_bandwidth
from benchmarks.cases import Settings

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
OUTPUT = Path("runs/benchmarks")
QUICK_COPY_BYTES = 2**24


def parser(what: str, description: str | None) -> argparse.ArgumentParser:
    """The shared options; a benchmark adds its own."""
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{what}", description=description)
    options.add_argument("--quick", action="store_true", help="tiny sizes, two rounds: to see that all works")
    options.add_argument("--device", default="auto", help="cpu, cuda, or auto: the GPU where there is one")
    options.add_argument("--rounds", type=int, help="rounds that count, after one of warm-up (default: 7)")
    options.add_argument(
        "--repeats", type=float, metavar="SECONDS", help="a round repeats a shorter call for so long (default: 0.05)"
    )
    options.add_argument("--case", default="", help="only cases whose name contains this")
    options.add_argument("--only", default="", help="only entrants whose name contains one of these, comma-separated")
    options.add_argument("--no-memory", action="store_true", help="leave out peak memory")
    options.add_argument(
        "--output", type=Path, default=OUTPUT, help=f"JSON file, or a folder for it (default: {OUTPUT}/)"
    )
    return options


def names(text: str) -> list[str]:
    """The parts of a comma-separated option."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text: str, count: int) -> tuple[int, ...]:
    """`count` positive whole numbers written as 1x256x64x64; an error that argparse prints."""
    try:
        found = tuple(int(part) for part in text.replace("×", "x").split("x"))
    except ValueError:
        found = ()
    if len(found) != count or min(found) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {count} positive whole numbers separated by 'x'")
    return found


def missing(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed."""
    return [package for package in packages if find_spec(package) is None]


def dtypes(options: argparse.Namespace, default: Sequence[str]) -> list[torch.dtype]:
    """The precisions asked for.

    Raises:
        ValueError: one of them is unknown.
    """
    chosen = names(options.dtype) or default
    unknown = [name for name in chosen if name not in DTYPES]
    if unknown:
        raise ValueError(f"--dtype is {', '.join(unknown)}, valid: {', '.join(DTYPES)}")
    return [DTYPES[name] for name in chosen]


def device(options: argparse.Namespace) -> torch.device:
    """The device asked for; ValueError for a GPU that is not there."""
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(options.device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device is {options.device}, but torch sees no GPU; valid here: cpu")
    return chosen


def settings(options: argparse.Namespace) -> Settings:
    """How to measure; measures this machine's memory bandwidth.

    TensorFloat-32 is switched off: what is called float32 in the results is float32.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    where = device(options)
    rounds = options.rounds or (2 if options.quick else 7)
    least = options.repeats if options.repeats is not None else (0.0 if options.quick else 0.05)
    bandwidth = copy_bandwidth(where, QUICK_COPY_BYTES if options.quick else None)
    return Settings(where, rounds, least, bandwidth, not options.no_memory)

"""Reassembly and FADE, forward and with gradients, against bilinear interpolation and formulations without denseup.

With `--upsamplers NAMES`, or `all`, registered upsamplers instead, each as a whole: time, ratio to bilinear and peak
memory in both layouts, in one table. Needs torch and denseup only.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks import upsamplers
from benchmarks.cases import Settings
from benchmarks.fade import fade_case
from benchmarks.options import DTYPES, dtypes, names, numbers
from benchmarks.options import parser as common_parser
from benchmarks.reassembly import Problem, reassembly_case
from benchmarks.running import MakeCase, run

Size = tuple[int, int, int, int]
"""B, C, h, w."""

SIZES: dict[str, dict[str, list[Size]]] = {
    "cpu": {"reassembly": [(1, 256, 64, 64), (1, 256, 120, 120)], "FADE": [(1, 256, 64, 64)]},
    "cuda": {"reassembly": [(16, 256, 64, 64)], "FADE": [(16, 256, 64, 64)]},
}
QUICK: list[Size] = [(1, 16, 8, 12)]
PRECISIONS = {"cpu": ["float32"], "cuda": ["bfloat16", "float16", "float32"]}
CASES = {"reassembly": reassembly_case, "FADE": fade_case}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.upsamplers:
        return run("operators", options, lambda how: _cases(options, how))
    if options.dtype or options.backends:
        parser.error("--dtype and --backends are for reassembly and FADE, without --upsamplers")
    return run("upsamplers", options, lambda how: _whole(options, how), summary=upsamplers.table)


def _parser() -> argparse.ArgumentParser:
    options = common_parser("operators", __doc__)
    options.add_argument("--dtype", default="", help=f"comma-separated: {', '.join(DTYPES)}")
    options.add_argument("--sizes", type=_sizes, help="B×C×h×w of the small map, as 1x256x64x64, comma-separated")
    options.add_argument("--scale", type=int, default=2, help="whole factor")
    options.add_argument("--kernel-size", type=int, default=5, help="K, odd")
    options.add_argument("--backends", default="", help="of denseup, comma-separated (default: all)")
    options.add_argument(
        "--upsamplers", default="", help="whole upsamplers in their place, in float32 ×2: comma-separated names, or all"
    )
    options.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes long")
    return options


def _sizes(text: str) -> list[Size]:
    return [(b, c, h, w) for b, c, h, w in (numbers(part, 4) for part in names(text))]


def _whole(options: argparse.Namespace, how: Settings) -> Iterator[tuple[str, MakeCase]]:
    kind = "cuda" if how.device.type == "cuda" else "cpu"
    for size in options.sizes or ([upsamplers.QUICK_SIZE] if options.quick else [upsamplers.SIZES[kind]]):
        yield from upsamplers.cases_of(options.upsamplers, size, how)


def _cases(options: argparse.Namespace, how: Settings) -> Iterator[tuple[str, MakeCase]]:
    kind = "cuda" if how.device.type == "cuda" else "cpu"
    for operator, build in CASES.items():
        extra = {"compiled": not (options.no_compile or options.quick)} if build is reassembly_case else {}
        for b, c, h, w in options.sizes or (QUICK if options.quick else SIZES[kind][operator]):
            for dtype in dtypes(options, PRECISIONS[kind]):
                problem = Problem(b, c, h, w, dtype, how.device, options.scale, options.kernel_size)
                make = partial(build, problem, names(options.backends) or None, **extra)
                yield f"{operator} {problem.label}", make


if __name__ == "__main__":
    sys.exit(main())

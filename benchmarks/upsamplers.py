"""Every registered upsampler as a whole, forward and with all gradients, against bilinear interpolation.

Kernel generators, normalisation and gates are part of it. Needs torch and denseup only.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.cases import Case, Entrant, Row, Settings, Work
from benchmarks.checking import TOLERANCE, check_upsampler
from benchmarks.differentiable import BOTH, FORWARD, LAYOUTS, differentiable_work, leaf
from benchmarks.options import names, numbers, parser
from benchmarks.reporting import digits
from benchmarks.running import MakeCase, run
from denseup.upsamplers import create_upsampler, list_upsamplers

BASELINE = "bilinear"
SIZES = {"cpu": (1, 256, 64, 64), "cuda": (16, 256, 64, 64)}
QUICK_SIZE, QUICK_UPSAMPLERS = (1, 16, 8, 12), ["bilinear", "carafe", "max_unpool"]
HEADER = (
    "| upsampler | channels-last: forward, ms | × | forward + backward, ms | × | NCHW: forward, ms | × "
    "| forward + backward, ms | × |\n|---|" + "---:|" * 8
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    options = _parser().parse_args(arguments)
    return run("upsamplers", options, lambda how: _cases(options, how), summary=table)


def _parser() -> argparse.ArgumentParser:
    options = parser("upsamplers", __doc__)
    options.add_argument("--sizes", type=partial(numbers, count=4), help="B×C×h×w of the small map, as 1x256x64x64")
    options.add_argument("--upsamplers", default="", help="comma-separated (default: all registered)")
    return options


def _cases(options: argparse.Namespace, how: Settings) -> Iterator[tuple[str, MakeCase]]:
    kind = "cuda" if how.device.type == "cuda" else "cpu"
    size = options.sizes or (QUICK_SIZE if options.quick else SIZES[kind])
    chosen = names(options.upsamplers) or (QUICK_UPSAMPLERS if options.quick else list_upsamplers())
    ordered = [BASELINE, *(name for name in chosen if name != BASELINE)]
    for layout in reversed(LAYOUTS):
        yield _label(size, layout), partial(upsamplers_case, ordered, size, layout, how.device)


def _label(size: Sequence[int], layout: str) -> str:
    return f"upsamplers {'×'.join(map(str, size))} → ×2, float32, {layout}"


def upsamplers_case(upsamplers: Sequence[str], size: Sequence[int], layout: str, device: torch.device) -> Case:
    """Upsamplers with the options that their classes have by default, side by side, called as `upsampler(de, en)`.

    Args:
        upsamplers: names; ratios are told against the first.
        size: of the decoder feature, B, C, h, w; the encoder feature has as many channels.
        layout: one of `LAYOUTS`, of all maps and of the convolutions' weights.
        device: of all.
    """
    entrants = [Entrant(name, partial(_prepare, name, size, layout, device)) for name in upsamplers]
    return Case(_label(size, layout), entrants, upsamplers[0], TOLERANCE)


def _prepare(name: str, size: Sequence[int], layout: str, device: torch.device) -> Work:
    torch.manual_seed(0)
    batch, channels, height, width = size
    module = create_upsampler(name, de_channels=channels).to(device)
    module = module.to(memory_format=LAYOUTS[layout])  # type: ignore[call-overload]
    high = (batch, channels, 2 * height, 2 * width)
    de, en, grad = (leaf(torch.randn(*shape, device=device), LAYOUTS[layout]) for shape in (size, high, high))

    def compute() -> Tensor:
        out: Tensor = module(de, en)
        return out

    # What is not guided does not depend on `en`.
    possible = {"de": de, "en": en, **dict(module.named_parameters())}
    found = torch.autograd.grad(compute(), list(possible.values()), grad.detach(), allow_unused=True)
    wanted = {name: x for (name, x), gradient in zip(possible.items(), found, strict=True) if gradient is not None}
    maps = {name: wanted[name] for name in ("de", "en") if name in wanted}
    work = differentiable_work(compute, wanted, grad.detach(), maps, dict)
    return replace(work, check=partial(check_upsampler, module, device, layout=layout))


def table(rows: Sequence[Row]) -> str:
    """Upsampler by layout and kind of call, in Markdown: median and ratio to bilinear in the same layout."""
    keys = [(layout, kind) for layout in reversed(LAYOUTS) for kind in (FORWARD, BOTH)]
    timed = {(row.entrant, row.case.rpartition(", ")[2], row.kind): row for row in rows if row.timing is not None}
    lines = [HEADER]
    for name in dict.fromkeys(row.entrant for row in rows):
        cells = [cell for key in keys for cell in _cells(timed.get((name, *key)))]
        lines.append(f"| {' | '.join([f'`{name}`', *cells])} |")
    return "\n".join(lines) + "\n"


def _cells(row: Row | None) -> tuple[str, str]:
    if row is None or row.timing is None:
        return "", ""
    return digits(1000 * row.timing.median), "" if row.ratio is None else digits(row.ratio)


if __name__ == "__main__":
    sys.exit(main())

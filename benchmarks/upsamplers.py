"""Every registered upsampler as a whole, forward and with all gradients, against bilinear interpolation.

Kernel generators, normalisation and gates are part of it. Needs torch and denseup only. `python -m benchmarks.operators
--upsamplers all` is the same.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch

from benchmarks.cases import Case, Entrant, Row, Settings, Work
from benchmarks.checking import TOLERANCE, Outputs, check_upsampler, image_for, outputs_of
from benchmarks.differentiable import BOTH, FORWARD, LAYOUTS, differentiable_work, leaf
from benchmarks.options import names, numbers, parser
from benchmarks.reporting import digits
from benchmarks.running import MakeCase, run
from denseup.upsamplers import create_upsampler, list_upsamplers

BASELINE, ALL = "bilinear", "all"
SIZES = {"cpu": (1, 256, 64, 64), "cuda": (16, 256, 64, 64)}
QUICK_SIZE, QUICK_UPSAMPLERS = (1, 16, 8, 12), ["bilinear", "carafe", "max_unpool"]
KINDS = {FORWARD: "forward", BOTH: "forward + backward"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    options = _parser().parse_args(arguments)
    return run("upsamplers", options, lambda how: _cases(options, how), summary=table)


def _parser() -> argparse.ArgumentParser:
    options = parser("upsamplers", __doc__)
    options.add_argument("--sizes", type=partial(numbers, count=4), help="B×C×h×w of the small map, as 1x256x64x64")
    options.add_argument("--upsamplers", default="", help="comma-separated, or all (default)")
    return options


def _cases(options: argparse.Namespace, how: Settings) -> Iterator[tuple[str, MakeCase]]:
    kind = "cuda" if how.device.type == "cuda" else "cpu"
    size = options.sizes or (QUICK_SIZE if options.quick else SIZES[kind])
    yield from cases_of(options.upsamplers or (",".join(QUICK_UPSAMPLERS) if options.quick else ALL), size, how)


def cases_of(upsamplers: str, size: Sequence[int], how: Settings) -> Iterator[tuple[str, MakeCase]]:
    """A case for each layout.

    Args:
        upsamplers: names of registered ones, comma-separated, or `all`.
        size: of the decoder feature, B, C, h, w.
        how: of which the device is used.

    Raises:
        ValueError: a name is unknown.
    """
    chosen = list_upsamplers() if upsamplers == ALL else names(upsamplers)
    unknown = [name for name in chosen if name not in list_upsamplers()]
    if unknown:
        raise ValueError(f"--upsamplers is {', '.join(unknown)}, valid: {ALL}, {', '.join(list_upsamplers())}")
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

    image = image_for(module, en.detach())

    def compute() -> Outputs:
        return outputs_of(module, de, en, image)

    # What is not guided does not depend on `en`.
    possible = {"de": de, "en": en, **dict(module.named_parameters())}
    outs = compute()
    grads = [grad.detach(), *(torch.randn_like(x) for x in outs[1:])]
    found = torch.autograd.grad(outs, list(possible.values()), grads, allow_unused=True)
    wanted = {name: x for (name, x), gradient in zip(possible.items(), found, strict=True) if gradient is not None}
    maps = {name: wanted[name] for name in ("de", "en") if name in wanted}
    work = differentiable_work(compute, wanted, grads, maps, dict)
    return replace(work, check=partial(check_upsampler, module, device, layout=layout))


def table(rows: Sequence[Row]) -> str:
    """Upsampler by layout and kind of call, in Markdown: median, ratio to bilinear in the same layout, peak memory.

    Memory only where it was measured; of several sizes a table each, below the size.
    """
    by_size = {size: [row for row in rows if _size(row) == size] for size in dict.fromkeys(map(_size, rows))}
    if len(by_size) == 1:
        return _table(rows)
    return "\n".join(f"{size}\n\n{_table(of_size)}" for size, of_size in by_size.items())


def _table(rows: Sequence[Row]) -> str:
    keys = [(layout, kind) for layout in reversed(LAYOUTS) for kind in KINDS]
    timed = {(row.entrant, row.case.rpartition(", ")[2], row.kind): row for row in rows if row.timing is not None}
    memory = any(row.peak_bytes is not None for row in timed.values())
    lines = _header(memory)
    for name in dict.fromkeys(row.entrant for row in rows):
        cells = [cell for key in keys for cell in _cells(timed.get((name, *key)), memory)]
        lines.append(f"| {' | '.join([f'`{name}`', *cells])} |")
    return "\n".join(lines) + "\n"


def _size(row: Row) -> str:
    return row.case.rpartition(", ")[0]


def _header(memory: bool) -> list[str]:
    columns = ["upsampler"]
    for layout in reversed(LAYOUTS):
        words = f"{layout.replace('_', '-')}: "
        for kind in KINDS.values():
            columns += [f"{words}{kind}, ms", "×", *(["peak, MiB"] if memory else [])]
            words = ""
    return [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]


def _cells(row: Row | None, memory: bool) -> list[str]:
    if row is None or row.timing is None:
        return [""] * (3 if memory else 2)
    peak = "" if row.peak_bytes is None else digits(row.peak_bytes / 2**20)
    ratio = "" if row.ratio is None else digits(row.ratio)
    return [digits(1000 * row.timing.median), ratio, *([peak] if memory else [])]


if __name__ == "__main__":
    sys.exit(main())

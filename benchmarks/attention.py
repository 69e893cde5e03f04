"""Neighbourhood attention, forward and with gradients, against windows gathered at the output's size.

Needs torch and denseup only.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import cast

import torch
from torch import Tensor

from benchmarks.bandwidth import require_memory
from benchmarks.cases import Case, Entrant, Settings, SkipError, Work
from benchmarks.differentiable import FORWARD, LAYOUTS, differentiable_work, gradients, leaf
from benchmarks.options import DTYPES, dtypes, names, numbers, parser
from benchmarks.parity import TOLERANCES, Results, worst_error
from benchmarks.running import MakeCase, run
from denseup.ops import available_backends, neighbourhood_attention
from denseup.ops.attention.backends import BACKENDS
from denseup.ops.geometry import window_start

NAIVE = "windows"
NAMES = ("query", "key", "value")
Form = Callable[..., Tensor]
Size = tuple[int, int, int, int]
"""Channels of query and key, of value; side of the small maps, of the query."""
SIZES: list[Size] = [(256, 384, 32, 448), (256, 384, 32, 112), (64, 64, 128, 128)]
QUICK: list[Size] = [(8, 16, 6, 12)]


@dataclass(frozen=True)
class Problem:
    """Sizes and precision of one comparison, of one image."""

    size: Size
    dtype: torch.dtype
    device: torch.device
    kernel_size: int = 9
    heads: int = 4

    @property
    def label(self) -> str:
        """For the name of a case."""
        channels, of_value, low, high = self.size
        precision = str(self.dtype).removeprefix("torch.")
        sizes = f"1×{of_value}×{low}×{low} → {high}×{high}"
        return f"{sizes}, D={channels}, K={self.kernel_size}, N={self.heads}, {precision}"

    def inputs(self) -> list[Tensor]:
        """Query, key, value and the gradient of the output: normal numbers."""
        channels, of_value, low, high = self.size
        shapes = (channels, high), (channels, low), (of_value, low), (of_value, high)
        return [torch.randn(1, c, side, side, device=self.device).to(self.dtype) for c, side in shapes]

    def windows_bytes(self) -> int:
        """Of one head's windows of the values, at the output's size."""
        _, of_value, _, high = self.size
        return self.kernel_size**2 * of_value // self.heads * high**2 * self.dtype.itemsize


def by_windows(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int) -> Tensor:
    """As one would write it: of each head the windows of all output pixels, multiplied and added, around a softmax.

    By `torch.einsum` the same takes many times as long: it makes one small matrix product of every output pixel.
    """
    starts = [
        window_start(low, high, kernel_size, query.device)
        for low, high in zip(key.shape[2:], query.shape[2:], strict=True)
    ]
    sides = [min(kernel_size, length) for length in key.shape[2:]]
    rows, columns = (
        (start + torch.arange(side, device=query.device)[:, None]).flatten()
        for start, side in zip(starts, sides, strict=True)
    )

    def windows(x: Tensor) -> Tensor:
        found = x.index_select(2, rows).index_select(3, columns)
        apart = found.reshape(*x.shape[:2], sides[0], query.shape[2], sides[1], query.shape[3])
        return apart.transpose(3, 4).flatten(2, 3)  # [B, C/N, K², H, W]

    out = []
    for q, k, v in zip(query.chunk(heads, 1), key.chunk(heads, 1), value.chunk(heads, 1), strict=True):
        logits = (q[:, :, None] * windows(k)).sum(1) * q.shape[1] ** -0.5
        out.append((logits.softmax(1)[:, None] * windows(v)).sum(2))
    return torch.cat(out, 1)


def attention_case(problem: Problem, backends: Sequence[str] | None = None) -> Case:
    """Every way to attend, at one size; all get the same numbers. `backends`: of denseup; None means all there are."""
    torch.manual_seed(0)
    *maps, grad = problem.inputs()
    end = (problem.kernel_size, problem.heads)

    @cache
    def truth() -> Results:
        exact = [leaf(x, dtype=torch.float64) for x in maps]
        attend: Form = partial(neighbourhood_attention, backend="reference")
        return gradients(partial(attend, *exact, *end), dict(zip(NAMES, exact, strict=True)), grad.double())

    def prepare(compute: Form, layout: torch.memory_format) -> Work:
        leaves = [leaf(x, layout) for x in maps]
        wanted = dict(zip(NAMES, leaves, strict=True))
        laid_out = leaf(grad, layout).detach()
        return differentiable_work(partial(compute, *leaves, *end), wanted, laid_out, wanted, truth)

    def naive() -> Work:
        """With gradients only where there is memory for what autograd keeps, all windows of all heads."""
        needed = problem.windows_bytes()
        require_memory(3 * needed // 2, problem.device)
        work = prepare(by_windows, torch.contiguous_format)
        try:
            require_memory(4 * problem.heads * needed, problem.device)
        except SkipError:
            forward = work.calls[FORWARD]

            def check() -> tuple[float, str]:
                return worst_error({"output": cast(Tensor, forward())}, {"output": truth()["output"]})

            return Work({FORWARD: forward}, check, work.traffic)
        return work

    entrants = [Entrant(NAIVE, naive)]
    automatic = BACKENDS.choose(None, maps[0], *end)
    for backend in available_backends("attention") if backends is None else backends:
        compute: Form = partial(neighbourhood_attention, backend=backend)
        for layout, memory_format in LAYOUTS.items():
            name = f"denseup/{backend}" + ("" if layout == "channels_last" else f" {layout}")
            entrants.append(Entrant(name, partial(prepare, compute, memory_format), backend == automatic))
    return Case(f"attention {problem.label}", entrants, NAIVE, TOLERANCES[problem.dtype])


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    options = _parser().parse_args(arguments)
    return run("attention", options, lambda how: _cases(options, how))


def _parser() -> argparse.ArgumentParser:
    options = parser("attention", __doc__)
    options.add_argument("--dtype", default="", help=f"comma-separated: {', '.join(DTYPES)}")
    options.add_argument("--sizes", type=_sizes, help="D×C×h×H, of square maps, as 256x384x32x448, comma-separated")
    options.add_argument("--kernel-size", type=int, default=9, help="K")
    options.add_argument("--heads", type=int, default=4, help="N")
    options.add_argument("--backends", default="", help="of denseup, comma-separated (default: all)")
    return options


def _sizes(text: str) -> list[Size]:
    return [(d, c, low, high) for d, c, low, high in (numbers(part, 4) for part in names(text))]


def _cases(options: argparse.Namespace, how: Settings) -> Iterator[tuple[str, MakeCase]]:
    for size in options.sizes or (QUICK if options.quick else SIZES):
        for dtype in dtypes(options, ["float32"]):
            problem = Problem(size, dtype, how.device, options.kernel_size, options.heads)
            yield f"attention {problem.label}", partial(attention_case, problem, names(options.backends) or None)


if __name__ == "__main__":
    sys.exit(main())

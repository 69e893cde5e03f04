"""Cases of the reassembly operator alone, against bilinear interpolation and against other formulations of itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from benchmarks.bandwidth import require_memory
from benchmarks.cases import Case, Entrant, SkipError, Work, first_line
from benchmarks.differentiable import BASELINE, LAYOUTS, bilinear_entrant, differentiable_work, gradients, leaf
from benchmarks.forms import Form, by_einsum, by_gathering, by_unfolding, unfolding_bytes
from benchmarks.parity import TOLERANCES, Results
from denseup.ops import available_backends, reassemble
from denseup.ops.reassembly.backends import BACKENDS

Truth = Callable[[], Results]


@dataclass(frozen=True)
class Problem:
    """Sizes and precision of one comparison: `[B, C, h, w]` raised by a whole factor."""

    batch: int
    channels: int
    height: int
    width: int
    dtype: torch.dtype
    device: torch.device
    scale: int = 2
    kernel_size: int = 5

    @property
    def output_size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.scale * self.height, self.scale * self.width

    @property
    def label(self) -> str:
        """For the name of a case."""
        size = "×".join(map(str, (self.batch, self.channels, self.height, self.width)))
        return f"{size} → ×{self.scale}, K={self.kernel_size}, {str(self.dtype).removeprefix('torch.')}"

    def random(self, channels: int, size: tuple[int, int]) -> Tensor:
        """Normal numbers, `[B, channels, *size]`."""
        return torch.randn(self.batch, channels, *size, device=self.device).to(self.dtype)


@dataclass(frozen=True)
class Inputs:
    """Features, normalised kernels and the gradient of the output."""

    de: Tensor
    kernels: Tensor
    grad: Tensor

    def laid_out(self, layout: torch.memory_format, dtype: torch.dtype | None = None) -> "Inputs":
        """The same numbers, as leaves that take gradients."""
        return Inputs(leaf(self.de, layout, dtype), leaf(self.kernels, layout, dtype), leaf(self.grad, layout, dtype))


def reassembly_case(problem: Problem, backends: Sequence[str] | None = None, compiled: bool = True) -> Case:
    """Every way to reassemble, at one size and in one precision; all get the same numbers.

    Args:
        problem: sizes and precision.
        backends: of denseup; None means all there are.
        compiled: whether torch.compile takes part, which takes half a minute to compile.
    """
    torch.manual_seed(0)
    low, high = (problem.height, problem.width), problem.output_size
    kernels = problem.random(problem.kernel_size**2, high).float().softmax(1).to(problem.dtype)
    inputs = Inputs(problem.random(problem.channels, low), kernels, problem.random(problem.channels, high))

    @cache
    def truth() -> Results:
        exact = inputs.laid_out(torch.contiguous_format, torch.float64)
        return _gradients(_backend("reference"), exact, problem.kernel_size)

    entrants = [bilinear_entrant(layout, inputs.de, inputs.grad) for layout in LAYOUTS]
    forms: dict[str, Callable[[Inputs, Problem, Truth], Work]] = {
        "unfold": partial(_unfolding, by_unfolding),
        "unfold, einsum": partial(_unfolding, by_einsum),
        "gather, compiled": _compiled if compiled else _not_compiled,
    }
    entrants += [Entrant(name, partial(make, inputs, problem, truth)) for name, make in forms.items()]
    entrants += _of_denseup(inputs, problem, truth, backends)
    return Case(f"reassembly {problem.label}", entrants, BASELINE, TOLERANCES[problem.dtype])


def automatic_backend(de: Tensor, kernel_size: int) -> str:
    """The back end that serves a call for which nothing was chosen."""
    return BACKENDS.choose(None, de, kernel_size, 1)


def backend_entrant(backend: str, layout: str) -> str:
    """Name of a back end's row; channels_last, the layout that the networks run in, goes without saying."""
    return f"denseup/{backend}" + ("" if layout == "channels_last" else f" {layout}")


def _of_denseup(inputs: Inputs, problem: Problem, truth: Truth, backends: Sequence[str] | None) -> Iterator[Entrant]:
    for backend in available_backends() if backends is None else backends:
        for layout, memory_format in LAYOUTS.items():
            given = inputs.laid_out(memory_format)
            automatic = backend == automatic_backend(given.de, problem.kernel_size)

            def prepare(backend: str = backend, given: Inputs = given) -> Work:
                return _work(_backend(backend), given, problem.kernel_size, truth)

            yield Entrant(backend_entrant(backend, layout), prepare, automatic)


def _backend(name: str) -> Form:
    return lambda de, kernels, kernel_size: reassemble(de, kernels, kernel_size, backend=name)


def _unfolding(form: Form, inputs: Inputs, problem: Problem, truth: Truth) -> Work:
    require_memory(unfolding_bytes(inputs.de, inputs.kernels), problem.device)
    return _work(form, inputs.laid_out(torch.contiguous_format), problem.kernel_size, truth)


def _compiled(inputs: Inputs, problem: Problem, truth: Truth) -> Work:
    form: Form = torch.compile(by_gathering, dynamic=False)
    given = inputs.laid_out(torch.contiguous_format)
    try:
        _gradients(form, given, problem.kernel_size)
    except Exception as error:  # no C++ compiler, no Triton: whatever it was, the others do not depend on it
        raise SkipError(f"torch.compile: {first_line(error)}") from error
    return _work(form, given, problem.kernel_size, truth)


def _not_compiled(inputs: Inputs, problem: Problem, truth: Truth) -> Work:
    raise SkipError("left out by --no-compile or --quick")


def _work(form: Form, inputs: Inputs, kernel_size: int, truth: Truth) -> Work:
    maps = {"de": inputs.de, "kernels": inputs.kernels}
    call = partial(form, inputs.de, inputs.kernels, kernel_size)
    return differentiable_work(call, maps, inputs.grad.detach(), maps, truth)


def _gradients(form: Form, inputs: Inputs, kernel_size: int) -> Results:
    wanted = {"de": inputs.de, "kernels": inputs.kernels}
    return gradients(lambda: form(inputs.de, inputs.kernels, kernel_size), wanted, inputs.grad.detach())

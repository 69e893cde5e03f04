"""Cases of FADE as a whole, kernel generator and gate included, against formulations without our fused operators."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.bandwidth import require_memory
from benchmarks.cases import Case, Entrant, Work
from benchmarks.differentiable import BASELINE, LAYOUTS, bilinear_entrant, differentiable_work, gradients, leaf
from benchmarks.forms import Form, by_einsum, by_unfolding
from benchmarks.parity import TOLERANCES, Results
from benchmarks.reassembly import Problem, Truth, automatic_backend, backend_entrant
from denseup.ops import available_backends, reassemble, use_backend
from denseup.ops.geometry import Size
from denseup.upsamplers import FADE
from denseup.upsamplers.semishift import SemiShiftKernels

TOLERANCE_FACTOR = 10
"""On that of one operator: here two convolutions, a softmax and a gate lie on top of one another."""


def _plain_logits(kernels: SemiShiftKernels, de: Tensor, en: Tensor) -> Tensor:
    """The kernel generator from torch's operators alone."""
    high: Tensor = kernels.encode(kernels.embed_en(en))
    return high + F.interpolate(kernels.encode(kernels.embed_de(de)), size=high.shape[2:], mode="nearest")


class UnfoldFADE(FADE):
    """FADE by `by_unfolding` from torch's operators alone; the same parameters, the same result."""

    form: Form = staticmethod(by_unfolding)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C_de, h, w]`, `[B, C_en, *size]` → `[B, C_de, *size]`, each a whole multiple of (h, w)."""
        assert en is not None
        up = self.form(de, _plain_logits(self.kernels, de, en).softmax(1), self.kernel_size)
        gate = F.interpolate(torch.sigmoid(self.gate(de)), size=size, mode="nearest")
        fused: Tensor = gate * self.align(en) + (1 - gate) * up
        return fused


class EinsumFADE(UnfoldFADE):
    """FADE by `by_einsum`."""

    form = staticmethod(by_einsum)


class UnfusedFADE(FADE):
    """FADE by our reassembly, with softmax and gate as operators of their own that keep what they need for backward."""

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """As `UnfoldFADE.upsample`."""
        up = reassemble(de, self.kernels(de, en).softmax(1), self.kernel_size)
        gate = F.interpolate(torch.sigmoid(self.gate(de)), size=size, mode="nearest")
        fused: Tensor = gate * self.align(en) + (1 - gate) * up
        return fused


@dataclass(frozen=True)
class Guided:
    """A FADE with what it is called with, and the gradient of its output."""

    module: FADE
    de: Tensor
    en: Tensor
    grad: Tensor

    def laid_out(self, layout: torch.memory_format, dtype: torch.dtype | None = None) -> "Guided":
        """The same numbers, as leaves that take gradients."""
        de, en, grad = (leaf(x, layout, dtype) for x in (self.de, self.en, self.grad))
        module = copy.deepcopy(self.module).to(dtype=dtype, memory_format=layout)  # type: ignore[call-overload]
        return Guided(module, de, en, grad.detach())

    def formulated(self, formulation: type[FADE]) -> "Guided":
        """With the same parameters in another class."""
        module = formulation(self.de.shape[1], kernel_size=self.module.kernel_size).to(self.de.device, self.de.dtype)
        module.load_state_dict(self.module.state_dict())
        return Guided(module, self.de, self.en, self.grad)

    def wanted(self) -> dict[str, Tensor]:
        """Everything that takes a gradient."""
        return {"de": self.de, "en": self.en, **dict(self.module.named_parameters())}


def fade_case(problem: Problem, backends: Sequence[str] | None = None) -> Case:
    """FADE in every formulation, at one size and in one precision; all get the same numbers and parameters."""
    torch.manual_seed(0)
    low, high, channels = (problem.height, problem.width), problem.output_size, problem.channels
    module = FADE(channels, kernel_size=problem.kernel_size).to(problem.device, problem.dtype)
    given = Guided(module, problem.random(channels, low), *(problem.random(channels, high) for _ in range(2)))

    @cache
    def truth() -> Results:
        exact = given.laid_out(torch.contiguous_format, torch.float64)
        return gradients(partial(_call, exact, "reference"), exact.wanted(), exact.grad)

    entrants = [bilinear_entrant(layout, given.de, given.grad) for layout in LAYOUTS]
    entrants.append(Entrant("unfold", lambda: _unfold(UnfoldFADE, given, problem, truth)))
    entrants.append(Entrant("unfold, einsum", lambda: _unfold(EinsumFADE, given, problem, truth)))
    entrants.append(Entrant("unfused", lambda: _unfused(given, truth)))
    entrants += _of_denseup(given, truth, backends)
    return Case(f"FADE {problem.label}", entrants, BASELINE, TOLERANCE_FACTOR * TOLERANCES[problem.dtype])


def _call(given: Guided, backend: str | None = None) -> Tensor:
    if backend is None:
        out: Tensor = given.module(given.de, given.en)
        return out
    with use_backend(backend):
        return _call(given)


def _work(given: Guided, truth: Truth, backend: str | None = None) -> Work:
    maps = {"de": given.de, "en": given.en}
    return differentiable_work(partial(_call, given, backend), given.wanted(), given.grad, maps, truth)


def _unfold(formulation: type[FADE], given: Guided, problem: Problem, truth: Truth) -> Work:
    needed = 4 * problem.kernel_size**2 * given.en.numel() * given.en.element_size()
    require_memory(needed, problem.device)
    return _work(given.laid_out(torch.contiguous_format).formulated(formulation), truth)


def _unfused(given: Guided, truth: Truth) -> Work:
    return _work(given.laid_out(torch.channels_last).formulated(UnfusedFADE), truth)


def _of_denseup(given: Guided, truth: Truth, backends: Sequence[str] | None) -> Iterator[Entrant]:
    for backend in available_backends() if backends is None else backends:
        for layout, memory_format in LAYOUTS.items():
            mine = given.laid_out(memory_format)
            automatic = backend == automatic_backend(mine.de, mine.module.kernel_size)
            prepare = partial(_work, mine, truth, backend)
            yield Entrant(backend_entrant(backend, layout), prepare, automatic)

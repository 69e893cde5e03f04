"""Whether an upsampler computes what it should: against itself in float64, with the reference back end."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.differentiable import LAYOUTS
from benchmarks.parity import TOLERANCES, Results, worst_error
from denseup.ops import use_backend
from denseup.upsamplers import Upsampler

BATCH, SIZE, BATCHES = 2, 8, 4
"""Samples at once, side of the decoder feature, and how many draws there are to find one without a kink."""
TOLERANCE = 10 * TOLERANCES[torch.float32]
"""Of an upsampler: several operators on top of one another."""


def check_upsampler(
    ours: Upsampler, device: torch.device, backend: str | None = None, layout: str = "channels_last"
) -> tuple[float, str]:
    """The error of output and gradients in float32, as `worst_error` gives it.

    Upsamplers have kinks, such as where a position that is sampled crosses a pixel, so one is right that is right on
    any of a few batches.
    """
    exact = copy.deepcopy(ours).double()
    errors = []
    for seed in range(BATCHES):
        truth = _output_and_gradients(exact, device, seed, "reference", layout, torch.float64)
        errors.append(worst_error(_output_and_gradients(ours, device, seed, backend, layout), truth))
        if errors[-1][0] <= TOLERANCE:
            break
    return min(errors)


def with_backend(backend: str | None, call: Callable[[], Any]) -> Tensor:
    """A call with a back end of its own, or with denseup's choice."""
    if backend is None:
        out: Tensor = call()
        return out
    with use_backend(backend):
        return with_backend(None, call)


def _output_and_gradients(
    module: Upsampler,
    device: torch.device,
    seed: int,
    backend: str | None,
    layout: str,
    dtype: torch.dtype = torch.float32,
) -> Results:
    """Of one upsampler as a network uses it: output, and the gradients of inputs and parameters in one vector."""
    generator = torch.Generator().manual_seed(seed)

    def random(channels: int, size: int) -> Tensor:
        x = torch.randn(BATCH, channels, size, size, generator=generator)
        return x.to(device, dtype).to(memory_format=LAYOUTS[layout]).requires_grad_()

    de, en = random(module.de_channels, SIZE), random(module.en_channels, 2 * SIZE)
    grad = random(module.de_channels, 2 * SIZE).detach()

    def call() -> Tensor:
        _, state = module.downsample(en)
        out: Tensor = module(de, en, state=state)
        return out

    out = with_backend(backend, call)
    wanted = [de, en, *module.parameters()]
    gradients = torch.autograd.grad(out, wanted, grad, allow_unused=True, materialize_grads=True)
    return {"output": out.detach(), "gradients": torch.cat([g.flatten() for g in gradients])}

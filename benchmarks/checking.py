"""Whether an upsampler computes what it should: against itself in float64, with the reference back end."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.differentiable import LAYOUTS
from benchmarks.parity import TOLERANCES, Results, worst_error
from denseup.ops import use_backend
from denseup.ops.geometry import like_layout
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


def with_backend(backend: str | None, call: Callable[[], Any]) -> Any:
    """A call with a back end of its own, or with denseup's choice."""
    if backend is None:
        return call()
    with use_backend(backend):
        return call()


Outputs = tuple[Tensor, ...]
"""The raised map, and the encoder feature of an operator that changed it."""


def outputs_of(module: Upsampler, de: Tensor, en: Tensor, image: Tensor | None, state: Any = None) -> Outputs:
    """All that an upsampler makes of a call."""
    out, changed = module(de, en, image=image, state=state, return_en=True)
    return (out, changed) if module.changes_en and changed is not en else (out,)


def image_for(module: Upsampler, en: Tensor, generator: torch.Generator | None = None) -> Tensor | None:
    """A made-up RGB image of the size, dtype and layout of `en` `[B, C, H, W]`, for an upsampler that needs one."""
    if not module.needs_image:
        return None
    image = torch.randn(en.shape[0], 3, *en.shape[2:], generator=generator).to(en)
    return like_layout(image, en)


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
    image = image_for(module, en, generator)

    def call() -> Outputs:
        _, state = module.downsample(en)
        return outputs_of(module, de, en, image, state=state)

    outs = with_backend(backend, call)
    grads = [grad, *(torch.randn(x.shape, generator=generator).to(x) for x in outs[1:])]
    wanted = [de, en, *module.parameters()]
    gradients = torch.autograd.grad(outs, wanted, grads, allow_unused=True, materialize_grads=True)
    named = dict(zip(("output", "changed en"), (x.detach() for x in outs), strict=False))
    return {**named, "gradients": torch.cat([g.flatten() for g in gradients])}

"""A short fit of one operator to the scene, and the weights that it then gives to the pixels of `de`."""

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import reassemble, reassemble_gated, sample_bilinear
from denseup.upsamplers import Upsampler, create_upsampler
from docs.operators.pictures.scene import CHANNELS, LOW, SIZE, Scene

STEPS = 400
LEARNING_RATE = 0.01


@dataclass
class Fitted:
    """An operator on the scene.

    Args:
        upsampler: the operator.
        en: what it is guided by, `[1, CHANNELS, SIZE, SIZE]`: a 3×3 convolution of the image, and ReLU; the image's
            own channels, in turn, where there are no weights to fit.
        out: its output.
        weights: share of source pixel (i, j) in output pixel (y, x), `[LOW, LOW, SIZE, SIZE]`.
        maps: what else it made on the way: "gate", "positions".
    """

    upsampler: Upsampler
    en: Tensor
    out: Tensor
    weights: Tensor
    maps: dict[str, Tensor]


def fit(name: str, scene: Scene, steps: int = STEPS) -> Fitted:
    """Fit the operator `name`, from its published start, and the convolution that makes its guide, to the scene."""
    torch.manual_seed(0)
    embed = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1), nn.ReLU())
    upsampler = create_upsampler(name, de_channels=CHANNELS, en_channels=CHANNELS)
    if not any(True for _ in upsampler.parameters()):
        return _looked_at(upsampler, scene.de, scene.image[:, torch.arange(CHANNELS) % 3])
    optimizer = torch.optim.Adam([*embed.parameters(), *upsampler.parameters()], LEARNING_RATE)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(_raise(upsampler, scene.de, embed(scene.image)), scene.target).backward()
        optimizer.step()
    return _looked_at(upsampler.eval(), scene.de, embed(scene.image).detach())


@torch.no_grad()
def _looked_at(upsampler: Upsampler, de: Tensor, en: Tensor) -> Fitted:
    return Fitted(upsampler, en, _raise(upsampler, de, en), *_weights(upsampler, de, en))


def _raise(upsampler: Upsampler, de: Tensor, en: Tensor) -> Tensor:
    """As in a network that lets a paired operator pool."""
    out: Tensor = upsampler(de, en, state=upsampler.downsample(en)[1] if upsampler.paired else None)
    return out


def _weights(upsampler: Upsampler, de: Tensor, en: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Which source pixels an output pixel is made of: by giving impulses to the kernels that `de` and `en` made.

    An operator whose kernels do not depend on `de` gets the impulses itself, in its first channel.
    """
    with _recorded(upsampler) as seen:
        _raise(upsampler, de, en)
    if "weights" in seen:
        return seen.pop("weights").reshape(LOW, LOW, SIZE, SIZE), seen
    impulses = torch.zeros(LOW * LOW, CHANNELS, LOW, LOW)
    impulses[:, 0] = _impulses()[0]
    out = _raise(upsampler, impulses, en.expand(LOW * LOW, -1, -1, -1)) - _raise(upsampler, torch.zeros_like(de), en)
    return out[:, 0].reshape(LOW, LOW, SIZE, SIZE), seen


def _impulses() -> Tensor:
    """One channel for each source pixel, 1 there and 0 elsewhere: `[1, LOW², LOW, LOW]`."""
    return torch.eye(LOW * LOW).reshape(1, LOW * LOW, LOW, LOW)


@contextmanager
def _recorded(upsampler: Upsampler) -> Iterator[dict[str, Tensor]]:
    """While the context lasts, what the operator asks of reassembly or sampling is asked for impulses too."""
    seen: dict[str, Tensor] = {}

    def reassembled(de: Tensor, kernels: Tensor, *rest: Any, **options: Any) -> Tensor:
        seen["weights"] = reassemble(_impulses(), kernels, *rest, **options)
        return reassemble(de, kernels, *rest, **options)

    def gated(de: Tensor, logits: Tensor, en: Tensor, gate: Tensor, kernel_size: int) -> Tensor:
        seen["weights"] = reassemble(_impulses(), logits, kernel_size, normalize="softmax")
        seen["gate"] = gate
        return reassemble_gated(de, logits, en, gate, kernel_size)

    def sampled(de: Tensor, positions: Tensor, groups: int) -> Tensor:
        seen["positions"] = positions[:, [0, groups]]
        seen["weights"] = sample_bilinear(_impulses(), seen["positions"], 1)
        return sample_bilinear(de, positions, groups)

    module = inspect.getmodule(type(upsampler).upsample)
    ours = {"reassemble": reassembled, "reassemble_gated": gated, "sample_bilinear": sampled}
    with ExitStack() as stack:
        for key, value in ours.items():
            if hasattr(module, key):
                stack.enter_context(patch.object(module, key, value))
        yield seen

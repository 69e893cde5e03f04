"""A short fit of one operator to the scene, and the weights that it then gives to the pixels of `de`."""

import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import reassemble, reassemble_gated, sample_bilinear
from denseup.ops.points import gather_points
from denseup.upsamplers import Upsampler, create_upsampler
from docs.operators.pictures.scene import CHANNELS, LOW, SIZE, Scene

STEPS = 400
LEARNING_RATE = 0.01
OWN_RATES = {"freqfusion": 0.003}
"""At that of the others its kernels saturate: it ends as nearest-neighbour interpolation."""


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
        return _looked_at(upsampler, scene.de, scene.image[:, torch.arange(CHANNELS) % 3], scene.image)
    optimizer = torch.optim.Adam([*embed.parameters(), *upsampler.parameters()], OWN_RATES.get(name, LEARNING_RATE))
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(_raise(upsampler, scene.de, embed(scene.image), scene.image), scene.target).backward()
        optimizer.step()
    return _looked_at(upsampler.eval(), scene.de, embed(scene.image).detach(), scene.image)


@torch.no_grad()
def _looked_at(upsampler: Upsampler, de: Tensor, en: Tensor, image: Tensor) -> Fitted:
    return Fitted(upsampler, en, _raise(upsampler, de, en, image), *_weights(upsampler, de, en, image))


def _raise(upsampler: Upsampler, de: Tensor, en: Tensor, image: Tensor) -> Tensor:
    """As in a network that lets a paired operator pool."""
    state = upsampler.downsample(en)[1] if upsampler.paired else None
    out: Tensor = upsampler(de, en, state=state, image=image, output_size=(SIZE, SIZE))
    return out


def _weights(upsampler: Upsampler, de: Tensor, en: Tensor, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Which source pixels an output pixel is made of: by giving impulses to the kernels that `de` and `en` made.

    An operator whose kernels do not depend on `de` gets the impulses itself, in its first channel.
    """
    seen = _Recorded(upsampler, de)
    with seen:
        _raise(upsampler, de, en, image)
    if seen.weights is not None:
        return seen.weights.reshape(LOW, LOW, SIZE, SIZE), seen.maps
    impulses = torch.zeros(LOW * LOW, CHANNELS, LOW, LOW)
    impulses[:, 0] = _impulses()[0]
    everywhere = [x.expand(LOW * LOW, -1, -1, -1) for x in (en, image)]
    out = _raise(upsampler, impulses, *everywhere) - _raise(upsampler, torch.zeros_like(de), en, image)
    return out[:, 0].reshape(LOW, LOW, SIZE, SIZE), seen.maps


def _impulses() -> Tensor:
    """One channel for each source pixel, 1 there and 0 elsewhere: `[1, LOW², LOW, LOW]`."""
    return torch.eye(LOW * LOW).reshape(1, LOW * LOW, LOW, LOW)


class _Recorded(ExitStack):
    """While the context lasts, what is done to `de`, and to what came of it, is done to impulses too.

    Args:
        upsampler: whose module's functions are watched.
        de: the decoder feature.
    """

    def __init__(self, upsampler: Upsampler, de: Tensor) -> None:
        super().__init__()
        self.known = {id(de): _impulses()}
        self.kept = [de]
        self.weights: Tensor | None = None
        self.maps: dict[str, Tensor] = {}
        watched = {
            "reassemble": self._reassembled,
            "reassemble_gated": self._gated,
            "sample_bilinear": self._sampled,
            "gather_points": self._gathered,
        }
        module = inspect.getmodule(type(upsampler).upsample)
        for key, value in watched.items():
            if hasattr(module, key):
                self.enter_context(patch.object(module, key, value))

    def _followed(self, x: Tensor, out: Tensor, how: Callable[[Tensor], Tensor]) -> Tensor:
        """`out`, which came of `x`; if `x` came of `de`, what comes of its impulses is kept."""
        if id(x) in self.known:
            self.weights = self.known[id(out)] = how(self.known[id(x)])
            self.kept.append(out)  # or another map could get its identity
        return out

    def _reassembled(self, de: Tensor, *rest: Any, **options: Any) -> Tensor:
        out = reassemble(de, *rest, **options)
        return self._followed(de, out, lambda impulses: reassemble(impulses, *rest, **options))

    def _gated(self, de: Tensor, logits: Tensor, en: Tensor, gate: Tensor, kernel_size: int) -> Tensor:
        self.maps["gate"] = gate
        out = reassemble_gated(de, logits, en, gate, kernel_size)
        return self._followed(de, out, lambda x: reassemble(x, logits, kernel_size, normalize="softmax"))

    def _sampled(self, de: Tensor, positions: Tensor, groups: int = 1) -> Tensor:
        first = positions[:, [0, groups]]
        self.maps["positions"] = first
        return self._followed(de, sample_bilinear(de, positions, groups), lambda x: sample_bilinear(x, first, 1))

    def _gathered(self, de: Tensor, weights: Tensor, positions: Tensor) -> Tensor:
        out = gather_points(de, weights, positions)
        return self._followed(de, out, lambda x: gather_points(x, weights[:, :1], positions[:, :, :, :1]))

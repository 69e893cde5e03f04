"""How far a network looks: measured by a row of NaN, which spreads as far as the pixels of that row have a say.

Measured once a network, down the rows of a narrow image, with its own weights. What moves with the data (the sampled
positions of DySample) reaches as far as it does on random input.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from denseup.networks.base import EncoderDecoder
from denseup.networks.encoders import Encoder

LENGTH, WIDTH = 2048, 32
"""Of the narrow image."""


@dataclass(frozen=True)
class Reach:
    """What has to be known of a network to run it on parts of an image.

    Args:
        step: parts begin at multiples of it, so that all strides fall where they do in the whole image.
        direct: pixels that a part needs around what is wanted of it; None: every pixel has a say everywhere.
        deep: the same of the maps that the network's context is made of; None: it has no context, or it is no use.
        maps: the same of the encoder's maps; None: they can't be put together from parts.
    """

    step: int
    direct: int | None
    deep: int | None = None
    maps: int | None = None


@torch.no_grad()
def measure_reach(network: torch.nn.Module, in_channels: int) -> Reach:
    """The reach of a network in evaluation mode, whose input has so many channels."""
    step = _step(network)
    maps = None
    if isinstance(network, EncoderDecoder):
        if hasattr(network, "context") and (reach := _with_context(network, in_channels, step)).deep is not None:
            return reach
        if all(isinstance(y, Tensor) for y in network.encode(_image(in_channels, network))):
            maps = _spread(network.encode, in_channels, step, network)
    return Reach(step, _spread(lambda x: [network(x)], in_channels, step, network), None, maps)


def _with_context(network: torch.nn.Module, channels: int, step: int) -> Reach:
    deep = _spread(network.deep_maps, channels, step, network)  # type: ignore[arg-type]
    clean = _image(channels, network)
    context: Tensor = network.context(network.deep_maps(clean))  # type: ignore[operator]

    def from_image(x: Tensor) -> list[Tensor]:
        return [network.decode(network.encode(x), x, context)]  # type: ignore[operator]

    def from_context(x: Tensor) -> list[Tensor]:
        rows = x.isnan().any(1).any(-1)[0].nonzero().flatten()
        broken = context.clone()
        stride = LENGTH // context.shape[2]
        broken[:, :, int(rows[0]) // stride] = torch.nan
        return [network.decode(network.encode(clean), clean, broken)]  # type: ignore[operator]

    spreads = [_spread(run, channels, step, network) for run in (from_image, from_context)]
    known = [spread for spread in spreads if spread is not None]
    return Reach(step, max(known) if len(known) == len(spreads) else None, deep)


def _step(network: torch.nn.Module) -> int:
    """The coarsest stride of a network's encoder; 32 for a network of one's own."""
    if not isinstance(network, EncoderDecoder):
        return 32
    encoder = network.get_submodule(network.encoder_name)
    assert isinstance(encoder, Encoder)
    return max(encoder.strides)


@torch.no_grad()
def _spread(
    run: Callable[[Tensor], Sequence[Tensor]], channels: int, step: int, network: torch.nn.Module
) -> int | None:
    """How far NaN gets in any of the outputs, in input pixels, a multiple of `step`; None: to both ends."""
    farthest = 0
    for row in (LENGTH // 2, LENGTH // 2 + step - 1):  # the first and the last pixel of a cell
        x = _image(channels, network)
        x[:, :, row] = torch.nan
        for output in run(x):
            stride = LENGTH / output.shape[2]
            reached = output.isnan().flatten(0, 1).any(0).any(-1).nonzero().flatten()
            if len(reached):
                first, last = float(reached[0]) * stride, (float(reached[-1]) + 1) * stride - 1
                farthest = max(farthest, int(row - first), int(last - row))
    return None if farthest > LENGTH // 2 - 2 * step else -(-farthest // step) * step


def _image(channels: int, network: torch.nn.Module) -> Tensor:
    weight = next(network.parameters())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, LENGTH, WIDTH, generator=generator)
    return x.to(weight).contiguous(memory_format=torch.channels_last)

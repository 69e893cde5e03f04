"""A module whose network may be given what its encoder would compute: the maps of a frozen encoder, kept elsewhere.

Or it runs otherwise for the time, for an image in parts; losses and predictions know of neither.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from denseup.networks.base import EncoderDecoder
from denseup.tasks.watched import Batch, WatchedModule

MAPS = "maps"
"""Entry of a batch: what a frozen encoder gives for it, tensors `[B, C, h, w]`."""


class TakesMaps(WatchedModule):
    """`run_network` takes the maps that came with a batch; losses and predictions need not know of them."""

    memory_format: torch.memory_format
    _maps: Sequence[Tensor] | None = None
    _stops_at_maps = False
    _instead: Callable[[Tensor], Tensor] | None = None
    _trained_by: Callable[..., Tensor] | None = None

    def run_network(self, x: Tensor) -> Tensor:
        """The network on an input in its memory layout; with the maps that came with the batch, if any did."""
        x = x.contiguous(memory_format=self.memory_format)
        if self._instead is not None:
            return self._instead(x)
        if self._stops_at_maps:
            raise _MapsReached(self.network.encode(x))  # type: ignore[operator]
        run = self.network if self._trained_by is None or not self.training else self._trained_by
        return run(x) if self._maps is None else run(x, self._maps)

    @contextmanager
    def running(self, instead: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Within it `run_network` calls this in place of the network, on the input in its memory layout."""
        self._instead = instead
        try:
            yield
        finally:
            self._instead = None

    @contextmanager
    def training_by(self, run: Callable[..., Tensor]) -> Iterator[None]:
        """Within it `run_network` calls this in place of the network where the task trains: its compiled form."""
        self._trained_by = run
        try:
            yield
        finally:
            self._trained_by = None

    def freeze_encoder(self) -> None:
        """From now on the network's encoder learns nothing.

        Raises:
            ValueError: the network has no encoder, or none that can be frozen.
        """
        if not isinstance(self.network, EncoderDecoder):
            kind = type(self.network).__name__
            raise ValueError(f"the network is a {kind}, expected an EncoderDecoder: it has no encoder to be frozen")
        self.network.freeze_encoder()

    @contextmanager
    def maps_of(self, batch: Batch) -> Iterator[None]:
        """Within it the network takes the encoder's maps from the batch (`MAPS`), where they come with it."""
        self._maps = batch.get(MAPS)
        try:
            yield
        finally:
            self._maps = None

    @torch.no_grad()
    def encode(self, batch: Batch, run: Callable[[Batch], Any]) -> list[Tensor]:
        """What the network's encoder gives for a batch.

        Args:
            batch: of the data.
            run: `loss` or `predict`, which bring a batch to the network's input, each in its own way.

        Raises:
            ValueError: `run` calls the network without `run_network`.
        """
        self._stops_at_maps = True
        try:
            run(batch)
        except _MapsReached as reached:
            return list(reached.maps)
        finally:
            self._stops_at_maps = False
        raise ValueError(
            f"{type(self).__name__} calls its network past `run_network`: its encoder's maps can't be kept"
        )


class _MapsReached(Exception):  # noqa: N818, no error but the way out of a network whose encoder is done
    def __init__(self, maps: Sequence[Tensor]) -> None:
        super().__init__()
        self.maps = maps

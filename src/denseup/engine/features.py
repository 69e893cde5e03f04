"""A frozen encoder's features: computed once for all runs that share encoder, weights, data and transform.

What is kept of a sample is the whole of it, as the task would hand it to the network, with the maps that the encoder
gives for it. A key says what they are of; what it can't say (the code of the transforms, arithmetic) is checked by
computing two samples anew whenever kept ones are used.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric.utilities import move_data_to_device
from pytorch_lightning.utilities.seed import isolate_rng
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from denseup.data.caching import SampleCache, SampleStore
from denseup.data.caching.store import sample_bytes
from denseup.data.checking.files import Checkable
from denseup.data.datamodules import DenseData, FrozenData
from denseup.data.datamodules.frozen import collate
from denseup.data.datasets.parting import hold_out_of
from denseup.data.datasets.sampling import Sample
from denseup.engine.processes import is_rank_zero
from denseup.environment import versions
from denseup.faults import naming_dead_workers
from denseup.networks.base import EncoderDecoder
from denseup.tasks import DenseTask
from denseup.tasks.takes_maps import MAPS

FORMAT = 1
"""Of the kept samples; another one asks for other keys."""
LOADING = ("name", "seed", "batch_size", "num_workers")
"""Options of the data that change no sample of a split."""
TOLERANCE = 1e-3
"""Of the largest value of a map: what processors and versions of torch may differ by."""


@dataclass
class Features:
    """Where features are kept, and for whom.

    Args:
        cache: the folder.
        config: the run's; `data` and `task` in it say which samples there are.
        samples: how many training samples the run draws.
        device: where they are computed.
        progress: whether to show a bar meanwhile.
    """

    cache: SampleCache
    config: Mapping[str, Any]
    samples: float
    device: torch.device
    progress: bool = True

    def of(self, task: DenseTask, data: DenseData) -> FrozenData:
        """Freeze the task's encoder, and give the data that it is trained with, with features where that pays.

        Raises:
            ValueError: a network without an encoder that can be frozen.
            CacheError: features could not be kept.
        """
        if not isinstance(task.network, EncoderDecoder):
            raise ValueError(
                f"the network is a {type(task.network).__name__}, expected one of an encoder and a decoder"
            )
        task.network.freeze_encoder()
        task.to(self.device)
        try:
            with isolate_rng():  # a run that computes features draws the same numbers as one that finds them
                return self._data(task, data)
        finally:
            task.cpu()

    def _data(self, task: DenseTask, data: DenseData) -> FrozenData:
        views = FrozenData(data)
        splits = {"train": task.loss, "val": task.predict}
        kept: dict[str, Dataset] = {}
        for split, run in splits.items():
            store = self._kept(task, views.dataset(split), split, run, data.num_workers)
            if store is None and split == "train":
                return views
            if store is not None:
                kept[split] = store
        return FrozenData(data, kept)

    def _kept(
        self, task: DenseTask, dataset: Dataset, split: str, run: Callable[[Any], Any], workers: int
    ) -> SampleStore | None:
        """A split's samples with their features, found or computed; None where keeping them does not pay."""
        description = self._describe(task, dataset, split)
        key = _key(description)
        make = _Maker(task, dataset, run)
        store = self._checked(key, make)
        if store is not None or not len(cast(Any, dataset)):
            return store
        size = sample_bytes(make(0)) * len(cast(Any, dataset))
        objection = self._objection(split, key, size, len(cast(Any, dataset)))
        if objection:
            _say(f"features of the {split} samples are not kept: {objection}")
            return None
        with self.cache.filling(key, lambda: _say(f"features of the {split} samples: another process computes them")):
            store = self._checked(key, make)  # which another process may have written meanwhile
            if store is None:
                store = self.cache.keep(key, description, self._computed(make, split, workers), size)
        return store

    def _objection(self, split: str, key: str, size: int, number: int) -> str | None:
        if split == "train" and self.samples <= number:
            return f"the run draws {self.samples:.0f} samples of {number}"
        return self.cache.room(size, key)

    def _checked(self, key: str, make: "_Maker") -> SampleStore | None:
        """What is kept under a key, if it is what would be computed."""
        store = self.cache.find(key)
        if store is None:
            return None
        try:
            wrong = make.difference(store)
        except (LookupError, ValueError, TypeError) as error:  # a sample that can't be read is told as it is made anew
            wrong = f"they can't be read ({type(error).__name__}: {error})"
        if wrong:
            _say(f"kept features are not used: {wrong}; they are computed anew")
            return None
        return store

    def _computed(self, make: "_Maker", split: str, workers: int) -> Iterator[Sample]:
        number = len(cast(Any, make.dataset))
        loader = DataLoader(make.dataset, batch_size=None, sampler=range(number), num_workers=workers)
        shown = track(
            loader,
            f"features of the {split} samples, once for all runs",
            number,
            console=Console(stderr=True),
            disable=not (self.progress and is_rank_zero()),
        )
        with naming_dead_workers():
            for sample in shown:
                yield make.complete(sample)

    def _describe(self, task: DenseTask, dataset: Dataset, split: str) -> dict[str, Any]:
        data = {key: value for key, value in self.config["data"].items() if key not in LOADING}
        options = {key: value for key, value in self.config["task"].items() if key != "num_examples"}
        return {
            "format": FORMAT,
            "denseup": versions()["denseup"],
            "split": split,
            "samples": len(cast(Any, dataset)),
            "encoder": _encoder(cast(EncoderDecoder, task.network)) | {"options": self._encoder_options()},
            "data": data,
            "task": options,
            "files": _files(dataset),
        } | ({} if hold_out_of(dataset) is None else {"hold_out": hold_out_of(dataset)})

    def _encoder_options(self) -> dict[str, Any]:
        """How its weights are used; they themselves have a digest, and where they come from does not matter."""
        options = self.config.get("encoder") or {}
        return {key: value for key, value in options.items() if key not in ("pretrained", "source")}


class _Maker:
    """Computes samples with their features."""

    def __init__(self, task: DenseTask, dataset: Dataset, run: Callable[[Any], Any]) -> None:
        self.task, self.dataset, self.run = task, dataset, run

    def __call__(self, place: int) -> Sample:
        return self.complete(self.dataset[place])

    def complete(self, sample: Sample) -> Sample:
        """A sample with the maps of its own."""
        was_training = self.task.training
        self.task.eval()
        try:
            batch = move_data_to_device(collate([sample]), self.task.device)
            maps = self.task.encode(batch, self.run)
        finally:
            self.task.train(was_training)
        return {**sample, MAPS: [x[0].float().cpu() for x in maps]}

    def difference(self, store: SampleStore) -> str | None:
        """What differs in the first or the last sample of a store from what it should be; None: nothing."""
        number = len(cast(Any, self.dataset))
        if len(store) != number:
            return f"they are of {len(store)} samples, expected {number}"
        for place in sorted({0, number - 1}):
            if name := _different(store[place], self(place)):
                return f"{name} of sample {place} differs"
        return None


def _different(kept: Sample, computed: Sample) -> str | None:
    if kept.keys() != computed.keys():
        return "the set of entries"
    return next((name for name, value in computed.items() if not _agrees(kept[name], value)), None)


def _agrees(kept: Any, computed: Any) -> bool:
    if isinstance(computed, list):
        return len(kept) == len(computed) and all(map(_close, kept, computed))
    return torch.equal(kept, computed) if isinstance(computed, Tensor) else bool(kept == computed)


def _close(kept: Tensor, computed: Tensor) -> bool:
    if kept.shape != computed.shape:
        return False
    return bool((kept - computed).abs().max() <= TOLERANCE * computed.abs().max())


def _key(description: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _encoder(network: EncoderDecoder) -> dict[str, Any]:
    """An encoder's class, weights and input, and which network takes which of its maps."""
    encoder = network.get_submodule(network.encoder_name)
    digest = hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return {
        "network": type(network).__qualname__,
        "class": type(encoder).__qualname__,
        "weights": digest.hexdigest(),
        "normalisation": [list(network.mean), list(network.std)],
        "maps": getattr(network, "used", None),
    }


def _files(dataset: Dataset) -> str:
    """A digest of the files that a data set reads: their paths, sizes and times of change."""
    digest = hashlib.sha256()
    assert isinstance(dataset, Checkable)
    for group in dataset.file_groups():
        for path in group:
            status = Path(path).stat()
            digest.update(f"{Path(path).resolve()} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _say(text: str) -> None:
    if is_rank_zero():
        print(text, file=sys.stderr)

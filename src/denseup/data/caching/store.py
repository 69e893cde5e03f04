"""A data set in one file that is mapped into memory: samples of tensors, to the bit as they were.

The file holds the samples one behind another, `index.json` the layouts that occur, and which sample has which one.
Tensors that are bytes in disguise (images in [0, 1], labels) take a byte a value. Maps are kept channels last.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from denseup.data.datasets.sampling import Sample, TrainIndex

Array = NDArray[Any]
SAMPLES, INDEX = "samples.bin", "index.json"
ALIGNMENT = 64
"""Bytes; samples begin at multiples of it."""


class SampleStore(Dataset):
    """What `write_store` wrote. Entries that were lists of maps are lists of tensors `[C, h, w]`, channels last.

    Args:
        folder: of the two files.

    Raises:
        OSError, ValueError, KeyError: they are not there or not whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = json.loads((folder / INDEX).read_text())
        self.layouts: list[list[dict[str, Any]]] = index["layouts"]
        self.samples: list[tuple[int, int, dict[str, str]]] = index["samples"]
        size = (folder / SAMPLES).stat().st_size
        if size != index["bytes"]:
            raise ValueError(f"{folder / SAMPLES} has {size} bytes, expected {index['bytes']}")
        self._bytes: Array | None = self._mapped() if size else None  # whoever removes the files takes nothing away

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """A sample by its place, or by (epoch, place): every epoch has the same."""
        layout, offset, words = self.samples[item[1] if isinstance(item, tuple) else item]
        if self._bytes is None:  # in a process that got this from another one
            self._bytes = self._mapped()
        sample: Sample = dict(words)
        for field in self.layouts[layout]:
            begin = offset + field["offset"]
            # a copy, for torch has no tensors that can't be written to
            raw = np.array(self._bytes[begin : begin + field["bytes"]])
            tensor = torch.from_numpy(raw.view(field["dtype"]).reshape(field["shape"]))
            if field["list"]:
                sample.setdefault(field["name"], []).append(tensor.permute(2, 0, 1))
            else:
                sample[field["name"]] = _unpacked(tensor, field["kind"])
        return sample

    def _mapped(self) -> Array:
        return np.memmap(self.folder / SAMPLES, np.uint8, "r")

    def __getstate__(self) -> dict[str, Any]:
        """Without the mapping, which another process makes for itself."""
        return {**self.__dict__, "_bytes": None}


def write_store(folder: Path, samples: Iterable[Sample]) -> None:
    """Write samples: each a mapping of names to tensors, lists of maps `[C, h, w]`, and strings.

    Raises:
        OSError: the disk is full, or the folder can't be written to.
    """
    layouts: list[list[dict[str, Any]]] = []
    entries: list[tuple[int, int, dict[str, str]]] = []
    place = 0
    with (folder / SAMPLES).open("wb") as file:
        for sample in samples:
            layout, arrays = _laid_out(sample)
            if layout not in layouts:
                layouts.append(layout)
            words = {name: value for name, value in sample.items() if isinstance(value, str)}
            entries.append((layouts.index(layout), place, words))
            for array in arrays:
                file.write(array.data)
            padding = -file.tell() % ALIGNMENT
            file.write(bytes(padding))
            place = file.tell()
    (folder / INDEX).write_text(json.dumps({"layouts": layouts, "samples": entries, "bytes": place}))


def sample_bytes(sample: Sample) -> int:
    """What a sample takes on disk."""
    size = sum(array.nbytes for array in _laid_out(sample)[1])
    return size + -size % ALIGNMENT


def _laid_out(sample: Sample) -> tuple[list[dict[str, Any]], list[Array]]:
    layout: list[dict[str, Any]] = []
    arrays: list[Array] = []
    offset = 0
    for name, value in sample.items():
        if isinstance(value, str):
            continue
        listed = isinstance(value, list)
        for tensor in value if listed else [value]:
            kind, packed = ("", tensor.permute(1, 2, 0)) if listed else _packed(tensor)
            array = np.ascontiguousarray(packed.numpy())
            field = {"name": name, "list": listed, "kind": kind, "dtype": array.dtype.str, "shape": list(array.shape)}
            layout.append({**field, "offset": offset, "bytes": array.nbytes})
            arrays.append(array)
            offset += array.nbytes
    return layout, arrays


def _packed(tensor: Tensor) -> tuple[str, Tensor]:
    """How a tensor is kept, and what is kept: bytes, where they say the same to the bit."""
    for kind, dtype in BYTES.items():
        if tensor.dtype == dtype:
            scaled = tensor * 255 if kind == "unit" else tensor
            packed = scaled.round().clamp(0, 255).byte() if kind == "unit" else scaled.clamp(0, 255).byte()
            if torch.equal(_unpacked(packed, kind), tensor):
                return kind, packed
    return "", tensor


def _unpacked(tensor: Tensor, kind: str) -> Tensor:
    if kind not in BYTES:
        return tensor
    return tensor.to(BYTES[kind]).div_(255) if kind == "unit" else tensor.to(BYTES[kind])


BYTES: Mapping[str, torch.dtype] = {"unit": torch.float32, "whole": torch.int64}
"""Kinds of tensors that are bytes in disguise: `unit` is byte/255, `whole` the byte itself."""

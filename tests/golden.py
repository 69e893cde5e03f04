"""The golden vectors of tests/reference/vectors, as its README defines them."""

import json
import zlib
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

VECTORS = Path(__file__).parent / "reference" / "vectors"


@cache
def manifest(name: str) -> dict[str, Any]:
    return json.loads((VECTORS / f"{name}.json").read_text())


@cache
def _arrays(name: str) -> Any:
    return np.load(VECTORS / f"{name}.npz")


def array(name: str, key: str) -> Tensor:
    return torch.from_numpy(_arrays(name)[key])


def arrays_of(name: str, case: str, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """(key, array) of every array CASE/PREFIX/key."""
    start = f"{case}/{prefix}/"
    for key in _arrays(name).files:
        if key.startswith(start):
            yield key.removeprefix(start), array(name, key)


def _random_state(tag: str, key: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(f"golden-v1|{tag}|{key}".encode()) & 0xFFFFFFFF)


def normal(tag: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
    return _random_state(tag, key).standard_normal(int(np.prod(shape))).reshape(shape).astype(np.float32)


def _uniform(tag: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
    return _random_state(tag, key).random_sample(int(np.prod(shape))).reshape(shape).astype(np.float32)


def recipe_value(tag: str, key: str, shape: tuple[int, ...], gain2: float) -> np.ndarray:
    """The value that the recipe gives a floating entry of a network's state_dict."""
    if key.endswith("running_mean"):
        return np.float32(0.1) * normal(tag, key, shape)
    if key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
        return np.float32(0.5) + _uniform(tag, key, shape)
    if len(shape) == 1:
        return np.float32(0.1) * normal(tag, key, shape)
    return (normal(tag, key, shape).astype(np.float64) * np.sqrt(gain2 / np.prod(shape[1:]))).astype(np.float32)


def recipe_state_dict(case: dict[str, Any]) -> dict[str, Tensor]:
    """Official state_dict of a network case; integer entries are left out, as the recipe leaves them alone."""
    return {
        key: torch.from_numpy(np.asarray(recipe_value(case["tag"], key, tuple(shape), case["gain2"])))
        for key, shape in case["state_dict"].items()
        if not key.endswith("num_batches_tracked")
    }


@lru_cache(maxsize=512)  # what one network needs, so that both its modes share it
def _direction(key: str, size: int) -> Tensor:
    return torch.from_numpy(normal("probe", key, (size,)))


def probe(tensor: Tensor, key: str) -> Tensor:
    """The 12-number probe of a tensor."""
    flat = tensor.detach().double().flatten()
    direction = _direction(key, flat.numel()).double()
    summary = torch.stack([flat.sum(), flat.norm(), flat @ direction, flat.min(), flat.max()])
    first = torch.nn.functional.pad(flat[:4], (0, max(0, 4 - flat.numel())))
    last = torch.nn.functional.pad(flat[-3:], (max(0, 3 - flat.numel()), 0))
    return torch.cat([summary, first, last])


def probe_of_sizes(tensor: Tensor, key: str) -> Tensor:
    """The most that each number of a probe can be, or can move by, where the elements are at most this large."""
    flat = tensor.detach().double().flatten().abs()
    sums = torch.stack([flat.sum(), flat.norm(), flat @ _direction(key, flat.numel()).double().abs()])
    return torch.cat([sums, flat.max().expand(9)])

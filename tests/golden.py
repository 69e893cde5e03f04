"""The golden vectors of tests/reference/vectors, as its README defines them."""

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

VECTORS = Path(__file__).parent / "reference" / "vectors"
RELATIVE = 1e-12  # the precision that the README states for float64
FLOAT32_STORAGE = 1e-6  # relative; arrays of more than 20000 elements are stored in float32


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


def check(actual: Tensor, expected: Tensor, what: str, relative: float = RELATIVE) -> None:
    """Agreement relative to the largest expected magnitude."""
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)}, expected {tuple(expected.shape)}"
    if expected.dtype == torch.float32:
        relative = max(relative, FLOAT32_STORAGE)
    scale = expected.abs().max().double().clamp(min=1e-300)
    error = ((actual.double() - expected.double()).abs().max() / scale).item()
    assert error <= relative, f"{what}: relative error {error:.2e}, allowed {relative:.0e}"


def check_parameter_gradients(
    module: nn.Module,
    expected: dict[str, Tensor],
    convert: Callable[[str], Sequence[str]],
    relative: float = RELATIVE,
) -> None:
    """Every stored gradient against that of the parameter whose name `convert` gives for the official key."""
    own = dict(module.named_parameters())
    scale = max(value.abs().max().item() for value in expected.values())
    for key, value in expected.items():
        gradient = own[convert(key)[0]].grad
        if value.abs().max() < 1e-9 * scale:  # zero but for rounding: a bias that softmax cancels
            assert gradient.abs().max() < 1e-9 * scale
            continue
        check(gradient, value, f"gradient of {key}", relative)


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


def probe(tensor: Tensor, key: str) -> Tensor:
    """The 12-number probe of a tensor."""
    flat = tensor.detach().double().flatten()
    direction = torch.from_numpy(normal("probe", key, (flat.numel(),))).double()
    summary = torch.stack([flat.sum(), flat.norm(), flat @ direction, flat.min(), flat.max()])
    first = torch.nn.functional.pad(flat[:4], (0, max(0, 4 - flat.numel())))
    last = torch.nn.functional.pad(flat[-3:], (max(0, 3 - flat.numel()), 0))
    return torch.cat([summary, first, last])


def check_probe(
    tensor: Tensor,
    expected: Tensor,
    key: str,
    relative: float = RELATIVE,
    floor: float = 1e-300,
    slack: Tensor | float = 0.0,
) -> None:
    """Compare a probe; sums may cancel, so each number is held relative to the scale of what it sums over.

    `floor` is the least magnitude taken for the scale of the tensor, for one that is zero but for rounding. `slack` is
    a difference that is allowed to each number besides, where rounding is known to move it by more.
    """
    actual = probe(tensor, key)
    flat = tensor.detach().double().flatten().abs()
    direction = torch.from_numpy(normal("probe", key, (flat.numel(),))).double().abs()
    sums = torch.stack([flat.sum(), flat.norm(), flat @ direction])
    scale = torch.cat([sums, flat.max().expand(9)]).clamp(min=floor)
    error = (((actual - expected).abs() - slack) / scale).max().item()
    assert error <= relative, f"{key}: probe differs by {error:.2e} of its scale, allowed {relative:.0e}"


class Taps:
    """Outputs of named submodules during one forward."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.outputs: dict[str, Tensor] = {}
        for name, module in modules.items():
            module.register_forward_hook(lambda _m, _i, output, name=name: self.outputs.__setitem__(name, output))

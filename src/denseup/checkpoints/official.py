"""Authors' state_dict → ours, for single upsamplers, the matting network, the SegFormer head and the whole SegFormer.

A layout is a function from an official key to ours; the operators carry theirs (`Upsampler.official_keys`). What the
conversion cannot place is reported, never dropped in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from denseup.checkpoints import layouts
from denseup.weights import unwrap

COUNTER = "num_batches_tracked"


@dataclass
class LoadReport:
    """What `load_official` did.

    Attributes:
        converted: official key → our key (several, where one official tensor is split).
        missing: our keys that nothing was found for; they keep their values.
        unexpected: official keys that have no place here.
        constants: official keys of constants that our module computes itself: there is nothing to load.
        altered: those of them that have other values than ours: the weights belong to other options.
        mismatched: official keys whose tensor has another shape than ours; they are not loaded.
        repeated: official keys of a parameter that an earlier key has given other values; they are not loaded.
        inplace_abn: norm weights were converted from InPlaceABN's meaning.
    """

    converted: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    altered: dict[str, str] = field(default_factory=dict)
    mismatched: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, str] = field(default_factory=dict)
    inplace_abn: bool = False

    def __str__(self) -> str:
        lines = [f"{len(self.converted)} keys converted" + (", InPlaceABN norms" if self.inplace_abn else "")]
        for name in ("missing", "unexpected", "constants", "altered", "mismatched", "repeated"):
            keys = getattr(self, name)
            if keys:
                lines.append(f"{len(keys)} {name}: {', '.join(keys)}")
        return "; ".join(lines)


def load_official(module: nn.Module, state_dict: Mapping[str, Any], *, inplace_abn: bool | None = None) -> LoadReport:
    """Load a state_dict with the authors' key names into `module`.

    Args:
        module: an upsampler (or its kernel generator); a matting network with the ResNet-34 encoder; a segmentation
            network with a Mix Transformer, or a part of it (`SegFormerHead`, `MixTransformer`).
        state_dict: the authors' tensors; a checkpoint with a `state_dict` entry and `module.` prefixes is unwrapped.
        inplace_abn: the norms are InPlaceABN, whose scale is |weight| + 1e-5. None: yes for a matting network whose
            norms have no `num_batches_tracked`, as InPlaceABN's have not.

    Returns:
        A report of the converted keys, and of all that did not fit.

    Raises:
        ValueError: there is no official layout for this kind of module, or something in the state_dict is no tensor.
    """
    convert = layouts.for_module(module)
    tensors = unwrap(state_dict)
    report = LoadReport(inplace_abn=_is_inplace_abn(module, tensors) if inplace_abn is None else inplace_abn)
    own = module.state_dict()
    loaded: dict[str, Tensor] = {}
    for key, value in tensors.items():
        targets = convert(key)
        if isinstance(targets, layouts.Constant):
            report.constants.append(key)
            if targets.value is not None and not _is_same(value, targets.value):
                report.altered[key] = f"{_told(value)}, expected {_told(targets.value)}"
            continue
        if not targets or any(target not in own for target in targets):
            report.unexpected.append(key)
            continue
        parts = value.chunk(len(targets)) if len(targets) > 1 else (value,)
        pairs = [(target, _fit(part, own[target])) for target, part in zip(targets, parts, strict=True)]
        if any(part.shape != own[target].shape for target, part in pairs):
            ours = ", ".join(f"{target} {list(own[target].shape)}" for target in targets)
            report.mismatched[key] = f"{list(value.shape)}, expected {ours}"
            continue
        if other := [target for target, part in pairs if target in loaded and not _is_same(part, loaded[target])]:
            report.repeated[key] = f"another value of {', '.join(other)} than an earlier key has"
            continue
        loaded.update(pairs)
        report.converted[key] = targets
    if report.inplace_abn:
        _convert_inplace_abn(module, loaded)
    report.missing = [key for key in own if key not in loaded and not key.endswith(COUNTER)]
    module.load_state_dict(loaded, strict=False)
    return report


def _fit(value: Tensor, target: Tensor) -> Tensor:
    """With more or fewer dimensions, those of length 1 do not count: a linear layer's weight is a 1×1 convolution's
    without the last two."""
    if value.ndim == target.ndim:
        return value
    lengths, ours = ([n for n in x.shape if n != 1] for x in (value, target))
    if lengths != ours or (len(ours) < 2 and _without_last_ones(value) != _without_last_ones(target)):
        return value
    return value.reshape(target.shape)


def _without_last_ones(x: Tensor) -> list[int]:
    """Lengths by which one that stands alone is told from one behind another."""
    shape = list(x.shape)
    while shape and shape[-1] == 1:
        shape.pop()
    return shape


def _is_same(value: Tensor, ours: Tensor) -> bool:
    """Whether two tensors are one, to some roundings of their dtypes; on the meta device nothing denies it."""
    if value.shape != ours.shape or value.is_floating_point() != ours.is_floating_point():
        return False
    if value.is_meta or ours.is_meta:
        return True
    if not value.is_floating_point():
        return torch.equal(value.cpu(), ours.cpu())
    precision = 4 * max(torch.finfo(x.dtype).eps for x in (value, ours))
    return torch.allclose(value.double().cpu(), ours.double().cpu(), rtol=precision, atol=precision)


def _told(x: Tensor) -> str:
    """A constant's shape and its first values."""
    first = ", ".join(f"{value:.4g}" for value in x.flatten()[:4].tolist())
    return f"{list(x.shape)} {first}{', …' if x.numel() > 4 else ''}"


def _is_inplace_abn(module: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    means = any(key.endswith("running_mean") for key in tensors)
    return layouts.is_published_matting(module) and means and not any(key.endswith(COUNTER) for key in tensors)


def _convert_inplace_abn(module: nn.Module, loaded: dict[str, Tensor]) -> None:
    for name, child in module.named_modules():
        key = f"{name}.weight"
        if isinstance(child, nn.BatchNorm2d) and key in loaded:
            loaded[key] = loaded[key].abs() + 1e-5

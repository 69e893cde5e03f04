"""What of an upsampler can't give the same bits again on a GPU, found by watching it run.

On a CPU every operator adds in one order. On a GPU some of torch's have atomic additions only, and
`torch.use_deterministic_algorithms(True)` refuses them when they are called. An upsampler runs once, forward and
backward, on a small map of the CPU, by the back ends and ways that serve on a GPU there (`denseup.ops.repeating`); what
it calls of torch's is looked up in torch's list.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from denseup.ops import use_backend
from denseup.ops.registration import OPERATORS
from denseup.ops.repeating import as_on_a_gpu
from denseup.upsamplers.base import Upsampler

UNREPEATABLE: Mapping[str, str] = {
    "_adaptive_avg_pool2d_backward": "AdaptiveAvgPool2d",
    "_adaptive_avg_pool3d_backward": "AdaptiveAvgPool3d",
    "_ctc_loss_backward": "CTCLoss",
    "adaptive_max_pool2d_backward": "AdaptiveMaxPool2d",
    "avg_pool3d_backward": "AvgPool3d",
    "bincount": "bincount",
    "cumsum": "cumsum",
    "fractional_max_pool2d_backward": "FractionalMaxPool2d",
    "fractional_max_pool3d_backward": "FractionalMaxPool3d",
    "grid_sampler_2d_backward": "grid_sample",
    "grid_sampler_3d_backward": "grid_sample",
    "histc": "histc",
    "max_unpool2d": "MaxUnpool2d",
    "max_unpool3d": "MaxUnpool3d",
    "median": "median",
    "nll_loss2d_forward": "NLLLoss",
    "nll_loss_forward": "NLLLoss",
    "put_": "put_",
    "reflection_pad1d_backward": "ReflectionPad1d",
    "reflection_pad2d_backward": "ReflectionPad2d",
    "reflection_pad3d_backward": "ReflectionPad3d",
    "upsample_bicubic2d_backward": "bicubic",
    "upsample_linear1d_backward": "linear",
    "upsample_trilinear3d_backward": "trilinear",
}
"""Operators of torch that refuse (torch 2.13), by what the documentation of `use_deterministic_algorithms` calls them.

Bilinear interpolation is on that list too, but `torch.nn.functional.interpolate` takes another way by itself, and a
`cross_entropy` that does not add up its pixels calls `nll_loss2d_forward` without atomic additions.
"""

SIZE = 6
"""Of the low map; the output is `scale_factor` times as large."""


def unrepeatable(upsampler: Upsampler, strict: bool = True) -> tuple[str, ...]:
    """Operators of torch, without the prefix aten, that keep an upsampler's training from repeating on a GPU.

    Args:
        upsampler: as it stands in a network; it is not changed.
        strict: where torch refuses them, so that ours go other ways where there are any; else where it warns of them.
    """
    ways = as_on_a_gpu() if strict else nullcontext()
    copy = deepcopy(upsampler).to("cpu", torch.float32).train()
    seen = _Watch()
    with torch.enable_grad(), use_backend("reference"), ways, torch.random.fork_rng(devices=[]), seen:
        _run(copy)
    return tuple(sorted(seen.names & UNREPEATABLE.keys()))


def unrepeatable_in(network: nn.Module, strict: bool = True) -> dict[str, tuple[str, ...]]:
    """The same for all upsamplers of a network, by the name of their class; those that repeat are left out."""
    found = {}
    for part in network.modules():
        kind = type(part).__name__
        if isinstance(part, Upsampler) and kind not in found:
            found[kind] = unrepeatable(part, strict)
    return {kind: names for kind, names in found.items() if names}


def _run(upsampler: Upsampler) -> None:
    """One stage forward and backward, with the encoder's down-sampling if that is the operator's own."""
    high = SIZE * upsampler.scale_factor
    de = torch.rand(2, upsampler.de_channels, SIZE, SIZE, requires_grad=True)
    en = torch.rand(2, upsampler.en_channels, high, high, requires_grad=True)
    state = upsampler.downsample(en)[1] if upsampler.paired else None
    options: dict[str, Tensor] = {"image": torch.rand(2, 3, 2 * high, 2 * high)} if upsampler.needs_image else {}
    out = upsampler(de, en, state=state, return_en=True, **options)
    raised = [x.square().mean() for x in out if isinstance(x, Tensor) and x.requires_grad]
    torch.autograd.backward(raised)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names of all operators that run within it, and within operators of ours."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        if func.namespace == "denseup":
            with self:
                return OPERATORS[func.overloadpacket.__name__].implementation(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

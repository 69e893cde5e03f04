"""What stands in the place of a step: an upsampler with its guide, the size that the step would have given."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.integrations.torch.paths import Reference, pick
from denseup.integrations.torch.report import Report, Step
from denseup.ops.geometry import Size
from denseup.upsamplers.base import Upsampler


class Kept:
    """A map that one module has and another needs, for as long as a call of `reference.scope` lasts."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.value: Tensor | None = None
        self.wanted = False

    def __getstate__(self) -> dict[str, Any]:
        """Copies and files do without the map."""
        return {"reference": self.reference, "value": None, "wanted": False}

    def get(self) -> Tensor:
        """The map.

        Raises:
            RuntimeError: it was not made in this call.
        """
        if self.value is None:
            scope = self.reference.scope or "the model"
            raise RuntimeError(f"{self.reference} was not there: it is kept while {scope} is called as a whole")
        return self.value.clone() if self.reference.changed_later else self.value


class Hook:
    """A hook that concerns a map; picklable, as functions within functions are not."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept


class KeepArgument(Hook):
    """Forward pre-hook: keeps an argument of the module."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A caller may give by name what the example gave by position, and the other way round."""
        position, name, *rest = self.kept.reference.path
        value = kwargs[name] if name in kwargs else args[int(position)]  # type: ignore[index]
        self.kept.value = pick(value, tuple(rest))


class Begin(Hook):
    """Forward pre-hook: a call begins for which the output of a module is to be kept."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Calls of that module alone are none of ours."""
        self.kept.wanted = True


class KeepOutput(Hook):
    """Forward hook: keeps what the module returned."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """What is kept replaces what was."""
        if self.kept.wanted:
            self.kept.value = pick(output, self.kept.reference.path)


class Forget(Hook):
    """Forward hook: the call for which a map was kept is over, well or badly."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Nothing is kept any more."""
        self.kept.value, self.kept.wanted = None, False


class Raising(nn.Module):
    """A step done by an upsampler.

    Attributes:
        upsampler: the operator.
        guide, image: what it is guided by, if anything.
        step: what the step was, and what became of it.
        report: all steps that were found with it.
    """

    def __init__(self, upsampler: Upsampler, step: Step, guide: Kept | None, image: Kept | None) -> None:
        super().__init__()
        self.upsampler = upsampler
        self.guide, self.image = guide, image
        self.step = step
        self.copies = False
        self.report = Report([step])

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`, whatever the size of the guide."""
        if self.copies:
            x = x.clone()
        en = None if self.guide is None else fitted(self.guide.get(), size).to(x.dtype)
        image = None if self.image is None else self.image.get().to(x.dtype)
        try:
            out: Tensor = self.upsampler(x, en, output_size=size, image=image)
        except ValueError as error:
            raise ValueError(f"{self.step.where}, {self.step.upsampler}: {error}") from error
        return out

    def extra_repr(self) -> str:
        """What it stands for and what guides it."""
        guide = "" if self.step.guide is None else f", guide={self.step.guide}"
        return f"instead of {self.step.function} {self.step.mode}".rstrip() + guide


class RaisingUpsample(Raising):
    """In the place of an `nn.Upsample`."""

    def __init__(self, original: nn.Upsample, *parts: Any) -> None:
        super().__init__(*parts)
        self.former = (original,)  # in a tuple it is no part of this module

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """`[B, C, h, w]` → the size that the module gave."""
        (former,) = self.former
        return super().forward(x, size_after(x, former.size, former.scale_factor))

    def original(self) -> nn.Module:
        """The module that was here."""
        return self.former[0]


class RaisingTransposed(Raising):
    """In the place of an `nn.ConvTranspose2d` that gave stride times the size.

    Where it changed the number of channels, a 1×1 convolution does, before the map is raised.
    """

    def __init__(self, original: nn.ConvTranspose2d, *parts: Any) -> None:
        super().__init__(*parts)
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups")
        self.settings = {name: getattr(original, name) for name in names} | {"bias": original.bias is not None}
        self.project: nn.Module = nn.Identity()
        if original.in_channels != original.out_channels:
            channels = (original.in_channels, original.out_channels)
            self.project = nn.Conv2d(*channels, 1, groups=original.groups, bias=original.bias is not None)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:  # type: ignore[override]
        """`[B, C_in, h, w]` → `[B, C_out, *stride·(h, w)]`, or of `output_size`."""
        down, across = self.settings["stride"]
        height, width = output_size[-2:] if output_size else (x.shape[2] * down, x.shape[3] * across)
        return super().forward(self.project(x), (height, width))

    def original(self) -> nn.Module:
        """A transposed convolution as it was, but for its weights, which are lost."""
        return nn.ConvTranspose2d(**self.settings)


def size_after(x: Tensor, size: Any, scale_factor: Any) -> Size:
    """The size that `F.interpolate` gives to `[B, C, h, w]`."""
    if size is not None:
        height, width = size if isinstance(size, (tuple, list)) else (size, size)
        return height, width
    factors = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor, scale_factor)
    height, width = (_times(n, factor) for n, factor in zip(x.shape[2:], factors, strict=True))
    return height, width


def _times(n: int, factor: float) -> int:
    if float(factor).is_integer():
        return n * int(factor)
    return torch.sym_int(n * factor) if isinstance(n, torch.SymInt) else math.floor(float(n * factor))


def fitted(guide: Tensor, size: Size) -> Tensor:
    """A guide of the size of the result: at sizes of which no half is whole, a network may crop or pad behind it."""
    if tuple(guide.shape[2:]) == tuple(size):
        return guide
    return F.interpolate(guide, size, mode="bilinear", align_corners=False)

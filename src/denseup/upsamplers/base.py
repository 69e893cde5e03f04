"""The contract: every upsampler takes the same call, at any size.

A network builds one upsampler for each stage by calling a factory (de_channels, en_channels) → Upsampler, lets the
stage's upsampler do the encoder's down-sampling (`downsample`), and calls it in the decoder with what that returned,
and always with the image. A network without such a stage calls the upsampler alone, without a state. Where it uses the
encoder feature once more, beside the output, it takes that of an operator that changes it (`return_en`). It never asks
which operator it holds.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import turning
from denseup.ops.arguments import check_countable
from denseup.ops.geometry import Size, layout
from denseup.upsamplers.arguments import (
    check_image,
    check_map,
    check_pair,
    check_same,
    check_state,
    two_whole_numbers,
    whole_option,
)
from denseup.upsamplers.start import Start, check_start


class Upsampler(nn.Module):
    """Raises a decoder feature `de` `[B, C_de, h, w]` to a higher resolution, with an encoder feature `en` as guide.

    An operator implements `upsample`; the size and channel rules that all share are checked here, once.

    Args:
        de_channels: C_de, channels of the decoder feature; also of the output.
        en_channels: C_en, channels of the encoder feature; None means C_de.
        scale_factor: integer factor of the output size where neither `output_size` nor `en` gives one.
        start: "published", or "neutral": as near to bilinear interpolation as the operator's form allows
            (`denseup.upsamplers.start`). Operators that have nothing to choose are the same either way.
    """

    guided: ClassVar[bool] = False
    """Looks at the encoder feature, and so needs it."""
    paired: ClassVar[bool] = False
    """Owns the encoder's down-sampling too, and has a use for the state that `downsample` returned."""
    state_type: ClassVar[type | None] = None
    """Of the state that `downsample` returns, for one that is checked: a tensor `[B, C, H, W]` of the encoder feature's
    size, or a named tuple that begins with one."""
    needs_image: ClassVar[bool] = False
    """Guided by the image: `upsample` then gets it as the keyword `image`."""
    changes_en: ClassVar[bool] = False
    """Gives a changed encoder feature beside the raised one: `upsample` then returns the pair (out, en')."""
    works_channels_last: ClassVar[bool] = False
    """Made of steps that have C kernels for channels-last maps: where these serve, NCHW maps are turned once, and the
    result is turned back."""
    direct: ClassVar[bool] = False
    """Resizes by any factor in one step as well as in several: a chain of stages may be skipped."""
    exact_factor_only: ClassVar[str | None] = None
    """Why the output can only be exactly scale_factor times the input; None: any size will do."""
    equal_channels_only: str | None = None
    """Why en_channels must equal de_channels; None: they may differ. An option may decide it, before `__init__`."""
    start: Start = "published"
    """How it starts; a class that does not take it as an argument starts in its one way."""
    official_keys: ClassVar[Mapping[str, str | None]] = {}
    """Prefixes of the authors' state_dict keys → prefixes of ours (`denseup.checkpoints.load_official`); None: a
    constant that is no state of ours (`official_constants`)."""

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        start: Start = "published",
    ) -> None:
        super().__init__()
        self.start = check_start(start)
        self.de_channels = whole_option("de_channels", de_channels)
        self.en_channels = self.de_channels if en_channels is None else whole_option("en_channels", en_channels)
        self.scale_factor = whole_option("scale_factor", scale_factor)
        if self.equal_channels_only and self.en_channels != self.de_channels:
            raise ValueError(
                f"{type(self).__name__}: en_channels is {en_channels}, expected de_channels, {de_channels}: "
                f"{self.equal_channels_only}"
            )

    def apply_start(self) -> None:
        """Called when the parameters have been made and drawn as published: makes them neutral if that is asked."""
        if self.start == "neutral":
            self.start_neutral()

    def start_neutral(self) -> None:
        """Change the parameters to those of the neutral start; for an operator that has a say."""

    def official_constants(self) -> Mapping[str, Tensor]:
        """What the authors save beside the weights and ours computes: their key → the value as ours has it."""
        return {}

    def downsample(self, en: Tensor) -> tuple[Tensor, Any]:
        """Halve an encoder feature `[B, C, H, W]`, rounding up; by max pooling, unless the operator is paired.

        Returns:
            The pooled map and the state that `forward` wants back (None where there is none).
        """
        self.check_encoder(en)
        return F.max_pool2d(en, 2, ceil_mode=True), None

    def forward(
        self,
        de: Tensor,
        en: Tensor | None = None,
        *,
        image: Tensor | None = None,
        output_size: Size | None = None,
        state: Any = None,
        return_en: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Upsample `de`.

        Args:
            de: decoder feature `[B, C_de, h, w]`.
            en: encoder feature `[B, C_en, H, W]`, H ≥ h and W ≥ w; may be None where the operator is not guided.
            image: normalised image `[B, C_img, H_i, W_i]`, at least of the output's size; operators that do not need
                it never see it.
            output_size: (H, W); None takes that of `en`, else scale_factor × (h, w). A guided operator gives the size
                of its guide, so it accepts no other.
            state: what `downsample` returned for `en`; None where the network has no such stage: a paired operator
                then takes all it needs from `en`.
            return_en: return the encoder feature as well, as the decoder is to see it from now on.

        Returns:
            `[B, C_de, *output_size]`; with `return_en` also the encoder feature, which is `en` itself unless the
            operator changes it.

        Raises:
            ValueError: an argument does not fit; the message names it, what came and what is valid.
        """
        size = self._check(de, en, output_size)
        options: dict[str, Tensor] = {}
        if state is not None and self.state_type is not None:
            check_state(type(self).__name__, state, self.state_type, de, size)
        if self.needs_image:
            options["image"] = check_image(type(self).__name__, image, de, size)
        try:
            result = self._in_its_layout(de, en, size, state, **options)
        except RuntimeError:
            self._explain(de, en, **options)
            raise
        out, changed = result if self.changes_en else (result, en)
        return (out, changed) if return_en else out

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Any:
        """The operator itself, on checked arguments; `size` is the output size.

        With `needs_image` it takes a keyword more, `image: Tensor | None = None`, which is never None. It returns the
        output; with `changes_en`, the pair (out, en').
        """
        raise NotImplementedError(f"{type(self).__name__} must implement upsample")

    def _in_its_layout(self, de: Tensor, en: Tensor | None, size: Size, state: Any, **options: Tensor) -> Any:
        """`upsample`, on channels-last maps where that is faster; results in the layouts of `de` and `en`."""
        if not self.works_channels_last:
            return self.upsample(de, en, size, state, **options)
        low, high = turning.where_it_pays(de), en
        if en is not None and self.guided:
            high = turning.where_it_pays(en)
        if low is de and high is en:
            return self.upsample(de, en, size, state, **options)
        result = self.upsample(low, high, size, state, **options)
        if not self.changes_en:
            return turning.turned(result, layout(de))
        out, changed = result
        out = turning.turned(out, layout(de))
        return out, en if changed is high else turning.turned(changed, layout(changed if en is None else en))

    def extra_repr(self) -> str:
        """Channels, factor and a start that is not the published one, for `print(module)`."""
        text = f"de_channels={self.de_channels}, en_channels={self.en_channels}, scale_factor={self.scale_factor}"
        return text if self.start == "published" else f"{text}, start={self.start}"

    def check_encoder(self, en: Tensor) -> None:
        """An encoder feature `[B, C_en, H, W]`, as `downsample` takes it; ValueError if it is none."""
        name, weight = type(self).__name__, self._weight()
        check_map(name, "en", en, self.en_channels if self.guided else None)
        if weight is None or not self.paired:
            return
        cast = torch.amp.is_autocast_available(en.device.type) and torch.is_autocast_enabled(en.device.type)
        for what in ("device",) if cast else ("device", "dtype"):
            check_same(name, what, "en", en, "the weights", weight)

    def _weight(self) -> Tensor | None:
        return next((p for p in self.parameters() if p.is_floating_point()), None)

    def _explain(self, de: Tensor, en: Tensor | None, image: Tensor | None = None) -> None:
        """Why a call may have failed: ValueError for a map of another device or dtype than the weights or `de`."""
        weight = self._weight()
        expected, owner = (de, "de") if weight is None else (weight, "the weights")
        for argument, x in (("de", de), ("en", en if self.guided else None), ("image", image)):
            for what in ("device", "dtype"):
                if x is not None:
                    check_same(type(self).__name__, what, argument, x, owner, expected)

    def _check(self, de: Tensor, en: Tensor | None, output_size: Size | None) -> Size:
        name = type(self).__name__
        check_map(name, "de", de, self.de_channels)
        if en is None and self.guided:
            raise ValueError(f"{name} is guided: it needs en, the encoder feature [B, {self.en_channels}, H, W]")
        if output_size is not None:
            output_size = two_whole_numbers(name, output_size)
        height, width = de.shape[2:]
        size = output_size or (height * self.scale_factor, width * self.scale_factor)
        if en is not None:
            self._check_guide(de, en)
            size = (en.shape[2], en.shape[3]) if output_size is None or self.guided else output_size
            if output_size is not None and tuple(output_size) != tuple(size):
                raise ValueError(
                    f"{name}: output_size is {tuple(output_size)}, but its guide en is {tuple(size)} in size"
                )
        check_countable(f"{name}: output_size", tuple(size), *de.shape[:2], *size)
        if size[0] < height or size[1] < width:
            raise ValueError(f"{name}: output_size is {tuple(size)}, expected at least that of de, {(height, width)}")
        exact = (height * self.scale_factor, width * self.scale_factor)
        if self.exact_factor_only and tuple(size) != exact:
            raise ValueError(
                f"{name}: output_size is {tuple(size)}, expected {exact}, that of de times scale_factor, "
                f"{self.scale_factor}: {self.exact_factor_only}"
            )
        return size[0], size[1]

    def _check_guide(self, de: Tensor, en: Tensor) -> None:
        name = type(self).__name__
        check_map(name, "en", en, None, floats=self.guided)
        if en.shape[2] < de.shape[2] or en.shape[3] < de.shape[3]:
            sizes = f"en is {tuple(en.shape[2:])} in size, de is {tuple(de.shape[2:])}"
            raise ValueError(
                f"{name}: {sizes}; en must be at least as large as de. Were they swapped? The order is (de, en)"
            )
        if self.guided:
            check_map(name, "en", en, self.en_channels)
            check_pair(name, "en", en, de)


UpsamplerFactory = Callable[..., Upsampler]
"""Any callable (de_channels, en_channels=None) → Upsampler; a network calls it once a stage."""

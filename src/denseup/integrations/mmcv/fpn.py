"""FPN: feature pyramid network. Lin et al., CVPR 2017, arXiv:1612.03144; its top-down path by any upsampler.

With l_i the lateral map of level i, a 1×1 convolution of the backbone's, and p_i what the top-down path makes of it:

    p_n = l_n;   p_i = l_i + up(p_{i+1}, l_i);   out_i = conv3×3(p_i)

The upsampler gets the lateral map as its guide and for its size, whether it looks at it or not; of one that knows whole
factors only, what goes beyond the lateral map is cut off. Arguments and names of parameters are those of MMDetection's
`FPN`, whose checkpoints load.
"""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.integrations.mmcv.layers import DENSEUP, MODELS, SCOPE, builder
from denseup.networks.base import raise_map
from denseup.upsamplers.base import Upsampler

EXTRA_SOURCES = ("on_input", "on_lateral", "on_output")
Config = dict[str, Any]


@MODELS.register_module(name="DenseupFPN", force=True)  # a reload puts the new class in the old one's place
@DENSEUP.register_module(name="FPN", force=True)
class FPN(BaseModule):
    """Lateral convolutions, a top-down path, output convolutions, and further levels below the coarsest.

    Args:
        in_channels: of the backbone's maps, the finest first.
        out_channels: of all outputs.
        num_outs: how many; more than there are levels: each further one has half the size of that before.
        start_level, end_level: first and last map that is used; -1 is the last there is, and only then can there be
            further levels.
        add_extra_convs: how these are made: False by subsampling the last output, else by 3×3 convolutions of stride 2
            from the backbone's last map ("on_input" or True), the last lateral map ("on_lateral") or the last output
            ("on_output").
        relu_before_extra_convs: a ReLU before each of these convolutions but the first.
        no_norm_on_lateral: leave `norm_cfg` out of the lateral convolutions.
        conv_cfg, norm_cfg, act_cfg: of mmcv's `ConvModule`.
        upsample_cfg: `dict(type="fade", …)`, any upsampler of denseup with its options; without a `type`, options of
            `F.interpolate`, as MMDetection has them.
        init_cfg: of mmengine. It does not reach the upsamplers, which have starts of their own (`start=…`).

    Raises:
        ValueError: an argument does not fit.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 0,
        end_level: int = -1,
        add_extra_convs: bool | str = False,
        relu_before_extra_convs: bool = False,
        no_norm_on_lateral: bool = False,
        conv_cfg: Config | None = None,
        norm_cfg: Config | None = None,
        act_cfg: Config | None = None,
        upsample_cfg: Config | None = None,
        init_cfg: Config | list[Config] | None = None,
    ) -> None:
        super().__init__(init_cfg or {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"})
        self.in_channels, self.num_outs, self.start_level = list(in_channels), num_outs, start_level
        self.levels = _levels(len(in_channels), start_level, end_level, num_outs)
        self.extra_source = _extra_source(add_extra_convs)
        self.relu_before_extra_convs = relu_before_extra_convs
        options: Config = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg, "inplace": False}
        lateral: Config = {**options, "norm_cfg": None if no_norm_on_lateral else norm_cfg}
        self.lateral_convs = nn.ModuleList(ConvModule(in_channels[i], out_channels, 1, **lateral) for i in self.levels)
        sources = [out_channels] * num_outs if self.extra_source else [out_channels] * len(self.levels)
        if self.extra_source == "on_input" and num_outs > len(self.levels):
            sources[len(self.levels)] = in_channels[self.levels[-1]]
        self.fpn_convs = nn.ModuleList(
            ConvModule(channels, out_channels, 3, stride=1 if i < len(self.levels) else 2, padding=1, **options)
            for i, channels in enumerate(sources)
        )
        self.upsamplers = ModuleList(_raising(upsample_cfg, out_channels) for _ in self.levels[1:])

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The backbone's maps, the finest first → `num_outs` maps `[B, out_channels, H_i, W_i]`.

        Raises:
            ValueError: another number of maps than `in_channels` has.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(
                f"FPN got {len(inputs)} maps, expected {len(self.in_channels)}, as many as in_channels has"
            )
        laterals = [conv(inputs[i]) for i, conv in zip(self.levels, self.lateral_convs, strict=True)]
        for i in reversed(range(len(self.upsamplers))):
            raised, lateral = raise_map(self.upsamplers[i], laterals[i + 1], laterals[i])
            laterals[i] = lateral + raised
        outs = [conv(x) for conv, x in zip(self.fpn_convs, laterals, strict=False)]
        sources = {"on_input": inputs[self.levels[-1]], "on_lateral": laterals[-1], "on_output": outs[-1]}
        return (*outs, *self._further(outs[-1], sources))

    def _further(self, last: Tensor, sources: dict[str, Tensor]) -> list[Tensor]:
        """The levels below the coarsest of the backbone."""
        found: list[Tensor] = []
        for i in range(len(self.levels), self.num_outs):
            if not self.extra_source:
                last = F.max_pool2d(last, 1, stride=2)
            else:
                first = not found
                source = sources[self.extra_source] if first else last
                last = self.fpn_convs[i](F.relu(source) if self.relu_before_extra_convs and not first else source)
            found.append(last)
        return found


def _levels(maps: int, start: int, end: int, outs: int) -> range:
    last = maps - 1 if end == -1 else end
    if not 0 <= start <= last < maps:
        raise ValueError(f"start_level is {start} and end_level {end}, expected 0 ≤ start_level ≤ end_level < {maps}")
    levels = range(start, last + 1)
    if outs < len(levels) or (outs > len(levels) and last < maps - 1):
        more = " or more" if last == maps - 1 else ", for end_level is not the last map"
        raise ValueError(f"num_outs is {outs}, expected {len(levels)}{more}")
    return levels


def _extra_source(add_extra_convs: bool | str) -> str | None:
    if add_extra_convs not in (True, False, *EXTRA_SOURCES):
        raise ValueError(f"add_extra_convs is {add_extra_convs!r}, valid: True, False, {', '.join(EXTRA_SOURCES)}")
    if isinstance(add_extra_convs, str):
        return add_extra_convs
    return "on_input" if add_extra_convs else None


def _raising(config: Config | None, channels: int) -> nn.Module:
    """A step of the top-down path: a module of (p_{i+1}, l_i)."""
    options = dict(config or {"mode": "nearest"})
    if "type" not in options:
        return Interpolation(options)
    name = str(options.pop("type")).removeprefix(f"{SCOPE}.")
    taken = options.keys() & {"de_channels", "en_channels"}
    if taken:
        raise ValueError(f"upsample_cfg has {', '.join(sorted(taken))}, which FPN gives itself: {channels}")
    upsampler = builder(name)(de_channels=channels, en_channels=channels, **options)
    if upsampler.needs_image:
        raise ValueError(f"upsample_cfg: {name!r} is guided by the image, which a neck does not see")
    return upsampler


class Interpolation(nn.Module):
    """`F.interpolate` to the size of the lateral map, or by `scale_factor` where the options have one."""

    changes_en, exact_factor_only = Upsampler.changes_en, Upsampler.exact_factor_only

    def __init__(self, options: Config) -> None:
        super().__init__()
        self.options = options

    def forward(self, de: Tensor, en: Tensor) -> Tensor:
        """`[B, C, h, w]`, `[B, C, H, W]` → `[B, C, H, W]`."""
        size = None if "scale_factor" in self.options else en.shape[2:]
        return F.interpolate(de, size=size, **self.options)

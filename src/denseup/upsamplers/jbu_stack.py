"""The stack of FeatUp: joint bilateral upsampling in steps of twice the size. S. Fu et al., ICLR 2024,
arXiv:2403.10516.

Each step has weights of its own, and as guide the image pooled to the step's output (`denseup.upsamplers.jbu`). At the
end

    out + 0.1·conv1×1(out)

A step doubles the map, but for the last, which gives the size that is asked for; once that is reached, the steps that
are left filter at that size. At 16 times the size and four steps this is the authors' stack.
"""

import math
from typing import Any

from torch import Tensor, nn

from denseup.ops import transforms
from denseup.ops.geometry import Size, at_most, size_of
from denseup.ops.pooling import adaptive_average
from denseup.upsamplers.arguments import check_map
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.drawing import ChannelDropout
from denseup.upsamplers.jbu import CORRECTION, OF_A_STEP, BilateralStep
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start

MOST_STEPS = 8
"""For the authors' names, which are numbered; theirs has four."""


@register_upsampler("jbu_stack")
class JBUStack(Upsampler):
    """Steps of joint bilateral upsampling, one for each doubling in scale_factor.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`.
        image_channels, embed_channels, radius: of each step, see `JBU`.

    Raises:
        ValueError: scale_factor is less than 2 or more than 256.
    """

    needs_image = True
    direct = True
    works_channels_last = True
    official_keys = {
        f"up{number + 1}.{theirs}": f"steps.{number}.{ours}"
        for number in range(MOST_STEPS)
        for theirs, ours in OF_A_STEP.items()
    } | {"fixup_proj": "correct"}

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 16,
        *,
        image_channels: int = 3,
        embed_channels: int = 32,
        radius: int = 3,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        if not 2 <= self.scale_factor <= 2**MOST_STEPS:
            raise ValueError(f"scale_factor is {scale_factor}, expected 2 to {2**MOST_STEPS}")
        number = math.ceil(math.log2(self.scale_factor))
        self.steps = nn.ModuleList(BilateralStep(image_channels, embed_channels, radius) for _ in range(number))
        self.correct = nn.Sequential(ChannelDropout(0.2), nn.Conv2d(self.de_channels, self.de_channels, 1))
        self.apply_start()

    def start_neutral(self) -> None:
        """Bicubic interpolation, nearly unfiltered, and no correction."""
        for step in self.steps:
            assert isinstance(step, BilateralStep)
            step.start_neutral()
        for parameter in self.correct.parameters():
            nn.init.zeros_(parameter)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any, image: Tensor | None = None) -> Tensor:
        """`[B, C, h, w]`, `[B, C_img, ≥ H, ≥ W]` → `[B, C, *size]`."""
        assert image is not None
        assert isinstance(self.steps[0], BilateralStep)
        check_map(type(self).__name__, "image", image, self.steps[0].image_channels)
        out, guide = de, image
        for number, step in enumerate(self.steps):
            to = size if number + 1 == len(self.steps) else _doubled(out, size)
            if number == 0 or transforms.takes_any_size(*size_of(guide), *to) or size_of(guide) != to:
                guide = adaptive_average(image, to)
            out = step(out, guide)
        correction: Tensor = self.correct(out)
        return out + CORRECTION * correction


def _doubled(x: Tensor, most: Size) -> Size:
    height, width = (at_most(2 * length, limit) for length, limit in zip(size_of(x), most, strict=True))
    return height, width

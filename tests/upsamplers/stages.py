"""One stage of an encoder-decoder with an upsampler, for what takes graphs: exporters and their formats."""

from torch import Tensor, nn
from upsamplers.asking import asked

from denseup import Upsampler

FEWER: dict[str, dict[str, int]] = {"jbu_stack": {"scale_factor": 4}, "naf": {"blocks": 1}, "sapa_d": {"points": 3}}
"""Options for less of what is done again and again: two steps of four, one block of two, three points of nine."""


class Stage(nn.Module):
    """Down-sampling and upsampling of one stage, as a network calls them."""

    def __init__(self, upsampler: Upsampler) -> None:
        super().__init__()
        self.upsampler = upsampler

    def forward(self, en: Tensor) -> Tensor:
        de, state = self.upsampler.downsample(en)
        out: Tensor = self.upsampler(de, en, state=state, **asked(self.upsampler, en))
        return out

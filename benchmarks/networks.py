"""The networks of both tasks as they are trained, with made-up batches: nothing is read from a disk or a network."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.cases import SkipError
from benchmarks.options import missing
from denseup.losses import matting_loss, segmentation_loss
from denseup.networks import MattingResNet34, SegFormer
from denseup.upsamplers import UpsamplerFactory

Batch = dict[str, Tensor]
UNKNOWN = 128

NETWORKS: dict[tuple[str, str], Callable[[UpsamplerFactory], nn.Module]] = {
    ("matting", "published"): lambda upsampler: MattingResNet34(upsampler, dropout=0.0),
    ("matting", "small"): lambda upsampler: MattingResNet34(
        upsampler, width=16, depths=(1, 1, 1), dropout=0.0, head_init="identity"
    ),
    ("segmentation", "published"): lambda upsampler: SegFormer("b1", 150, upsampler, dropout=0.0, drop_path=0.0),
    ("segmentation", "small"): lambda upsampler: SegFormer(
        "b0", 4, upsampler, embed_dim=64, dropout=0.0, drop_path=0.0
    ),
}
"""(task, preset) → network, as in conf/model; without dropout, so that two forms of one step can be compared."""

CROPS = {
    "cpu": {
        ("matting", "published"): (160, 2),
        ("matting", "small"): (96, 8),
        ("segmentation", "published"): (160, 2),
        ("segmentation", "small"): (160, 8),
    },
    "cuda": {
        ("matting", "published"): (512, 16),
        ("matting", "small"): (96, 8),
        ("segmentation", "published"): (512, 16),
        ("segmentation", "small"): (160, 8),
    },
}
"""(side of the crop, batch): the published ones and those of the quick recipes; on a CPU less of the published."""
NUM_CLASSES = {"published": 150, "small": 4}


@dataclass(frozen=True)
class Setting:
    """A network and the batches it is trained on.

    Args:
        task: "matting" or "segmentation".
        preset: "published" or "small".
        crop: side of the square crop in pixels, a multiple of 32.
        batch: crops at once, at least 2: a batch norm sees single pixels.
        device: of both.
        autocast: precision of torch.autocast; float32 for none.
    """

    task: str
    preset: str
    crop: int
    batch: int
    device: torch.device
    autocast: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        if self.crop < 32 or self.crop % 32:
            raise ValueError(f"crop is {self.crop}, expected a multiple of 32")
        if self.batch < 2:
            raise ValueError(f"batch is {self.batch}, expected at least 2")

    @property
    def label(self) -> str:
        """For the name of a case."""
        precision = str(self.autocast).removeprefix("torch.")
        autocast = "" if self.autocast == torch.float32 else " autocast"
        return f"{self.task} {self.preset}, crop {self.crop}, batch {self.batch}, {precision}{autocast}"

    def network(self, upsampler: UpsamplerFactory) -> nn.Module:
        """The network in channels_last; the same random weights outside of the upsamplers wherever they draw none.

        Raises:
            SkipError: the network needs a package that is not installed.
        """
        if self.task == "segmentation" and missing(["transformers"]):
            raise SkipError("SegFormer needs the package transformers, which is not installed")
        torch.manual_seed(0)
        network = NETWORKS[self.task, self.preset](upsampler).to(self.device)
        return network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def samples(self) -> Batch:
        """A batch of random numbers as the data modules give them."""
        generator = torch.Generator().manual_seed(0)
        side = (self.crop, self.crop)

        def random(channels: int) -> Tensor:
            return torch.rand(self.batch, channels, *side, generator=generator)

        if self.task == "matting":
            trimap = random(1).mul(3).floor().mul(UNKNOWN).clamp(max=255)
            drawn = {"image": random(3), "alpha": random(1), "foreground": random(3), "background": random(3)}
            drawn["trimap"] = trimap
        else:
            classes = NUM_CLASSES[self.preset]
            drawn = {"image": random(3), "label": random(1)[:, 0].mul(classes).long()}
        return {name: value.to(self.device) for name, value in drawn.items()}

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Of the task, under autocast where that is asked for."""
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast != torch.float32):
            return LOSSES[self.task](self.output(network, batch), batch)

    def output(self, network: nn.Module, batch: Batch) -> Tensor:
        """Alpha or logits of a batch."""
        inputs = [batch["image"], *([batch["trimap"] / 255] if self.task == "matting" else [])]
        out: Tensor = network(torch.cat(inputs, 1).contiguous(memory_format=torch.channels_last))
        return out


def _matting(alpha: Tensor, batch: Batch) -> Tensor:
    unknown = (batch["trimap"] == UNKNOWN).to(alpha.dtype)
    colours = (batch["foreground"], batch["background"], batch["image"])
    return matting_loss(alpha, batch["alpha"], unknown, colours)


def _segmentation(logits: Tensor, batch: Batch) -> Tensor:
    return segmentation_loss(logits, batch["label"])


LOSSES: dict[str, Callable[[Tensor, Batch], Tensor]] = {"matting": _matting, "segmentation": _segmentation}

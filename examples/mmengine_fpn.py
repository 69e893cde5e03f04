"""A feature pyramid whose top-down path FADE raises, guided by the lateral maps, trained by mmengine on demo scenes.

    pip install 'denseup[train,mmcv]'
    python examples/mmengine_fpn.py [folder]

Everything is built from configs, as in MMDetection or MMSegmentation: a config of theirs needs
`custom_imports=dict(imports=["denseup.integrations.mmcv"])` and `neck=dict(type="denseup.FPN", …)`.
"""

import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from mmcv.cnn import ConvModule, build_upsample_layer
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

import denseup.integrations.mmcv  # noqa: F401  # registers the upsamplers and the neck
from denseup.data import DEMO_CLASSES, DemoScenes

WIDTHS = (16, 32, 64)
CHANNELS = 32


@MODELS.register_module()
class SmallSegmenter(BaseModel):
    """Convolutions of strides 2, 4 and 8, a neck, and a head on the finest map, raised to the size of the image."""

    def __init__(self, neck: dict, upsample_cfg: dict, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        norm, widths = {"type": "BN"}, (3, *WIDTHS)
        self.backbone = nn.ModuleList(
            ConvModule(*pair, 3, stride=2, padding=1, norm_cfg=norm) for pair in pairwise(widths)
        )
        self.neck = MODELS.build(neck)
        self.head = nn.Conv2d(CHANNELS, len(DEMO_CLASSES), 1)
        self.up = build_upsample_layer({**upsample_cfg, "in_channels": len(DEMO_CLASSES)})

    def forward(self, image: Tensor, label: Tensor | None = None, mode: str = "tensor", **_: Sequence[str]) -> object:
        """Scores `[B, classes, H, W]`; in mode "loss", the loss."""
        maps, x = [], image
        for stage in self.backbone:
            x = stage(x)
            maps.append(x)
        scores = self.up(self.head(self.neck(maps)[0]), output_size=image.shape[2:])
        return {"loss": F.cross_entropy(scores, label)} if mode == "loss" else scores


def config(neck: dict) -> dict:
    """The model."""
    return {"type": "SmallSegmenter", "neck": neck, "upsample_cfg": {"type": "dysample", "groups": 1}}


def neck(upsampler: str = "fade") -> dict:
    """A pyramid of three levels, raised by this upsampler."""
    upsample = {"type": upsampler, "start": "neutral"}
    return {
        "type": "denseup.FPN",
        "in_channels": WIDTHS,
        "out_channels": CHANNELS,
        "num_outs": len(WIDTHS),
        "upsample_cfg": upsample,
    }


class Scenes(Dataset):
    """Demo scenes of one size, by their number."""

    def __init__(self, length: int, size: int) -> None:
        self.scenes = DemoScenes("val", length=length, image_size=size)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> dict:
        return self.scenes[index]


def main(folder: Path, steps: int = 30) -> Runner:
    """Train, and print the share of pixels whose class is right."""
    data = Scenes(length=16, size=96)
    runner = Runner(
        model=config(neck()),
        work_dir=str(folder),
        train_dataloader={
            "dataset": data,
            "batch_size": 4,
            "sampler": {"type": "InfiniteSampler"},
            "collate_fn": {"type": "default_collate"},
        },
        optim_wrapper={"optimizer": {"type": "AdamW", "lr": 3e-3}},
        train_cfg={"by_epoch": False, "max_iters": steps},
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": 10},
            "checkpoint": {"type": "CheckpointHook", "by_epoch": False, "interval": steps},
        },
        randomness={"seed": 0},
    )
    runner.train()
    runner.model.eval()
    batch = [data[i] for i in range(len(data))]
    with torch.no_grad():
        found = runner.model(torch.stack([sample["image"] for sample in batch])).argmax(1)
    right = (found == torch.stack([sample["label"] for sample in batch])).float().mean()
    print(f"{100 * float(right):.1f} % of the pixels are right after {steps} steps, on the images of the training")
    return runner


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()))

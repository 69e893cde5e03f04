"""What the processes of a test do together, and the test alone for comparison."""

from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from configuring import configure
from torch import Tensor, nn
from torch.utils.data import DataLoader

from denseup.cli import train
from denseup.data import EpochSampler
from denseup.engine import RunFolder
from denseup.metrics import MattingMetrics, SegmentationMetrics
from denseup.tasks import SegmentationTask
from denseup.tasks.optimization import Optimization

STEPS, BATCH, LENGTH, CLASSES = 2, 4, 8, 3
IGNORED = 255

SHORT = [
    *("task=matting", "upsampler=bilinear", "encoder=matting_small", "recipe=matting_scratch", "model.width=4"),
    *("trainer.accelerator=cpu", "trainer.precision=64-true", "trainer.val_check_interval=3", "trainer.max_steps=6"),
    *("recipe.effective_batch_size=4", "recipe.optimization.freeze_norms_after=0"),
    *("data.train_length=10", "data.crop_size=32", "data.image_size=64", "trainer.enable_progress_bar=false"),
    *("trainer.log_every_n_steps=1", "logger=csv"),
]
"""A run that is the same on any number of devices: no dropout, batch norms that learn nothing, float64. Ten samples are
two batches of four; the two that are left are no batch. The first evaluation lies within the second epoch."""


def train_run(folder: Path, *overrides: str) -> dict[str, Any]:
    return train.run(configure(*SHORT, *overrides), RunFolder(folder))


def train_together(rank: int, folder: Path, name: str, *overrides: str) -> None:
    """A run of `SHORT` in a folder of this name."""
    train_run(folder / name, "trainer=ddp", *overrides)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, CLASSES, 1))

    def backbone_parameters(self) -> list[nn.Parameter]:
        return list(self.layers[0].parameters())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Samples:
    """Labels of which a random share is ignored, all of them in "every other" sample, in "all" or in "none"."""

    def __init__(self, blind: str) -> None:
        self.blind = blind

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        index = item[1]
        numbers = torch.Generator().manual_seed(index)
        label = torch.randint(CLASSES, (6, 5), generator=numbers)
        label[torch.rand(6, 5, generator=numbers) < index / LENGTH] = IGNORED
        if self.blind == "all" or (self.blind == "every other" and index % 2 == 0):
            label = torch.full_like(label, IGNORED)
        return {"image": torch.rand(3, 6, 5, generator=numbers), "label": label, "name": str(index)}


class Gradients(pl.Callback):
    """Of each step, and the loss that is logged."""

    def __init__(self) -> None:
        self.gradients: list[list[Tensor]] = []
        self.losses: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.gradients.append([p.grad.clone() for p in pl_module.network.parameters()])

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))


def gradients(devices: int, average: str, micro_batch: int | None, blind: str) -> Gradients:
    """Of two steps of four samples each, in their order, whatever the number of devices."""
    torch.manual_seed(0)
    recipe = Optimization(partial(torch.optim.SGD), 0.1)
    task = SegmentationTask(Network(), recipe, num_classes=CLASSES, average=average)  # type: ignore[arg-type]
    task.micro_batch = micro_batch
    seen = Gradients()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        max_steps=STEPS,
        precision="64-true",
        callbacks=[seen],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    loader = DataLoader(Samples(blind), BATCH // devices, sampler=EpochSampler(LENGTH, shuffle=False), drop_last=True)  # type: ignore[arg-type]
    trainer.fit(task, loader)
    return seen


CASES = [
    *(("valid", None, "none"), ("valid", 1, "none"), ("valid", None, "every other"), ("valid", 1, "every other")),
    *(("valid", None, "all"), ("all", None, "none"), ("all", 1, "every other")),
]
"""How pixels are averaged, samples at once in a process, and which samples have no label: of two processes that take
turns at the samples the first one has every other sample."""


def gradients_together(rank: int, folder: Path) -> None:
    found = [gradients(2, *case) for case in CASES]
    torch.save([(one.gradients, one.losses) for one in found], folder / f"gradients_{rank}.pt")


def measured(images: range) -> dict[str, Any]:
    """All metrics of some images, of a data set that has one."""
    matting, segmentation = MattingMetrics(), SegmentationMetrics(CLASSES)
    for index in images:
        numbers = torch.Generator().manual_seed(index)
        alpha = torch.randint(256, (2, 9, 8), generator=numbers, dtype=torch.uint8)
        matting.update(alpha[0], alpha[1], torch.full((9, 8), 128, dtype=torch.uint8))
        segmentation.update(alpha[0] % CLASSES, alpha[1] % CLASSES)
    return {name: float(value) for name, value in {**matting.compute(), **segmentation.compute()}.items()}


def measured_together(rank: int, folder: Path) -> None:
    """One image: the second process has none."""
    torch.save(measured(range(rank, 1, 2)), folder / f"measured_{rank}.pt")

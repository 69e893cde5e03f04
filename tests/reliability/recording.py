"""Callbacks of runs in tests: what each step was, its samples and its rate; a pause within an evaluation."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pausing import paused
from processes import GUARD

OPTION = "+callbacks.record={_target_:reliability.recording.Record,keep:%d}"


PAUSE = "+callbacks.pause={_target_:reliability.recording.PauseInEvaluation,step:%d}"


class Record(pl.Callback):
    """Writes `samples_RANK.pt`: of each step its rate, and of each of its samples the sum of the image's values.

    Args:
        keep: before this step the last checkpoint is copied to middle.ckpt, as a killed run would leave it.
    """

    def __init__(self, keep: int = 0) -> None:
        self.keep = keep
        self.steps: list[tuple[int, float, list[float]]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        images = batch["image"].double().sum((1, 2, 3)).tolist()
        self.steps.append((trainer.global_step, trainer.optimizers[0].param_groups[0]["lr"], images))
        folder = Path(trainer.default_root_dir)
        if trainer.global_step == self.keep > 0 and trainer.is_global_zero:
            shutil.copy(folder / "checkpoints/last.ckpt", folder / "middle.ckpt")

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        torch.save(self.steps, Path(trainer.default_root_dir) / f"samples_{trainer.global_rank}.pt")


class PauseInEvaluation(pl.Callback):
    """Waits once within the evaluation after a step, to be killed; see `pausing.Pause`."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_validation_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        mark = paused(Path(trainer.default_root_dir), self.step)
        if trainer.global_step == self.step and not mark.exists():
            mark.touch()
            time.sleep(GUARD)


def recorded(folder: Path) -> list[tuple[int, float, list[float]]]:
    """(step, rate, samples of all processes in a fixed order) of each step of a run."""
    shares = [torch.load(file) for file in sorted(folder.glob("samples_*.pt"))]
    found = []
    for parts in zip(*shares, strict=True):
        (step,), (rate,) = {part[0] for part in parts}, {part[1] for part in parts}
        found.append((step, rate, sorted(sample for part in parts for sample in part[2])))
    return found

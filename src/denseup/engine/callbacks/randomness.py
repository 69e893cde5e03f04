"""Dropout masks that are the same whatever came before the step, so that a run that goes on is the same run."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch


class RandomByStep(pl.Callback):
    """Seeds torch's, NumPy's and Python's random numbers before each training batch by (seed, batches so far, process).

    Masks of dropout and stochastic depth then depend on nothing before the step: not on where a run was interrupted,
    how many evaluations it had, or what was drawn in other steps. Training samples have streams of their own
    (`denseup.data`).

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Draw the batch's seed."""
        done = trainer.fit_loop.epoch_loop.total_batch_idx
        (seed,) = np.random.SeedSequence([self.seed, done, trainer.global_rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(seed) >> 1)  # a negative number would be taken for another one
        np.random.seed(int(seed) & 0xFFFFFFFF)  # what others draw from
        random.seed(int(seed))

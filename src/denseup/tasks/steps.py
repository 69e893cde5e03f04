"""Optimizer steps: their gradient's norm is logged, and one that float16's scaler has left out is no step."""

from typing import Any

import torch

from denseup.tasks.divergence import gradient_norm
from denseup.tasks.watched import WatchedModule


class CountsSteps(WatchedModule):
    """Lightning's hooks around an optimizer step.

    With `trainer.precision=16-mixed` gradients that are not finite in float16 make no step: the scaler leaves it out
    and halves its scale. Then the schedule stays where it is, and so do averaged weights (`left_out`). The batch is
    spent all the same: it counts towards `max_steps`, so that runs that are compared see as many.
    """

    left_out = False
    """Whether the scaler has left out the last optimizer step."""

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """What scales the losses of float16."""
        return getattr(self.trainer.precision_plugin, "scaler", None)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the Euclidean norm of all gradients as train/grad_norm: unscaled, not clipped yet, at least float32."""
        norm, self.norm = self.norm, None
        if norm is None or self.scaler is not None:  # that of scaled gradients
            norm = gradient_norm(self.network)
        self.log("train/grad_norm", norm)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's, and whether the step was left out: only then the scale becomes smaller."""
        scaler = self.scaler
        before = None if scaler is None else scaler.get_scale()
        super().optimizer_step(*args, **kwargs)
        self.left_out = scaler is not None and before is not None and scaler.get_scale() < before

    def lr_scheduler_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's, unless the step was left out."""
        if not self.left_out:
            super().lr_scheduler_step(*args, **kwargs)

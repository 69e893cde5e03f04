"""A Lightning module that stops where its loss, gradients, weights or outputs are not finite."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from denseup.tasks.divergence import Batch, DivergedError, check_weights, describe, first_of_processes, gradient_norm


class WatchedModule(pl.LightningModule):
    """`training_step` calls `note_step`, predictions `check_output`, the start of an evaluation `check_weights`."""

    network: nn.Module
    norm: Tensor | None = None
    """Of the gradients, as the last backward pass has left them."""
    _step: tuple[Batch, Tensor] | None = None
    """The batch that is being trained on, and its loss."""

    def loss(self, batch: Batch) -> Tensor:
        """Training loss of a batch."""
        raise NotImplementedError

    def note_step(self, batch: Batch, loss: Tensor) -> None:
        """Remember what a step is about, until its gradients are there."""
        self._step = (batch, loss.detach())

    def on_after_backward(self) -> None:
        """Stop at a loss or gradient that is not finite: DivergedError.

        With a scaled loss (float16) an infinite gradient is the scaler's business: it leaves the step out and halves
        its scale. What is not finite at a scale of 1 or less would not be without scaling either.
        """
        assert self._step is not None, "training_step has not called note_step"
        (batch, loss), self._step = self._step, None
        self.norm = norm = gradient_norm(self.network).to(loss.device)
        # both at once: the device is waited for one time a step; in float32, for a norm beyond float16 is legal
        values = torch.stack([loss.float(), norm.float()]).tolist()
        loss_is_finite, norm_is_finite = (math.isfinite(value) for value in values)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if loss_is_finite and (norm_is_finite or (scaler is not None and scaler.get_scale() > 1)):
            return
        what = f"the gradients' norm is {values[1]}" if loss_is_finite else f"the loss is {values[0]}"
        text = f"{what}; {describe(self, batch, lambda: self.loss(batch))}"
        if not norm_is_finite:  # the same in all processes, which have added up their gradients
            text = first_of_processes(text, not loss_is_finite)
        raise DivergedError(f"{self._when()}{text}")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Never keep weights that are not finite."""
        self.check_weights()

    def check_output(self, output: Tensor, batch: Batch, run: Callable[[], Any]) -> None:
        """DivergedError if the network's output for a batch is not finite; `run` gives it once more.

        For predictions: rounding to uint8 makes a number of NaN, and argmax a class.
        """
        if not output.isfinite().all():
            raise DivergedError(f"{self._when()}the prediction is not finite; {describe(self, batch, run)}")

    def check_weights(self) -> None:
        """DivergedError if a weight or a running statistic is not finite."""
        try:
            check_weights(self)
        except DivergedError as error:
            raise DivergedError(f"{self._when()}{error}") from None

    def _when(self) -> str:
        """The steps done, for a message; the step that fails in training has not been."""
        trainer = self._trainer
        if trainer is None or trainer.testing:
            return ""
        training = trainer.training and not trainer.validating
        return f"step {trainer.global_step + 1}: " if training else f"after step {trainer.global_step}: "

"""An exponential average of the weights, evaluated at the end of a run beside the last ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from denseup.tasks import DenseTask

AVERAGED = "averaged"
"""Name of the evaluation."""


class AverageWeights(pl.Callback):
    """Averages the network after every step, running statistics included; the training does not notice.

    A step t before the last one counts decay^t (Polyak & Juditsky, 1992, with forgetting): the last steps' noise is
    averaged out.

    Args:
        share: of the run's steps over which the weights are forgotten: decay = 1 - 1 / (share · steps).

    Raises:
        ValueError: share is not above 0 and at most 1.
    """

    def __init__(self, share: float) -> None:
        if not 0 < share <= 1:
            raise ValueError(
                f"recipe.average is {share!r}, expected a share of the steps above 0 and at most 1, or null"
            )
        self.share = share
        self._model: AveragedModel | None = None
        self._loaded: dict[str, Any] | None = None
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the weights as they are, or go on with the average of a resumed run."""
        assert isinstance(pl_module, DenseTask)
        steps = max(self.share * float(trainer.estimated_stepping_batches), 1.0)
        self._model = _average_of(pl_module.network, decay=1 - 1 / steps)
        self._step = trainer.global_step
        if self._loaded is not None:
            self._model.load_state_dict(self._loaded)
            self._loaded = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take in the weights, if the batch made a step that the scaler of float16 has not left out."""
        assert self._model is not None
        assert isinstance(pl_module, DenseTask)
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if not pl_module.left_out:
            self._model.update_parameters(pl_module.network)  # type: ignore[arg-type]

    @contextmanager
    def in_place(self, task: DenseTask) -> Iterator[None]:
        """Within it the task has the averaged weights."""
        if self._model is None and self._loaded is not None:  # killed after the last step: none was trained here
            self._model = _average_of(task.network, decay=0)
            self._model.load_state_dict(self._loaded)
        assert self._model is not None, "nothing was trained"
        own: dict[str, Tensor] = {key: value.clone() for key, value in task.network.state_dict().items()}
        task.network.load_state_dict(self._model.module.state_dict())
        try:
            yield
        finally:
            task.network.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """For resuming."""
        return (self._loaded or {}) if self._model is None else self._model.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """For resuming; a run that had no average begins one."""
        self._loaded = state_dict or None


def _average_of(network: nn.Module, decay: float) -> AveragedModel:
    """An average that begins with these weights, in float32 at least: half precision has no numbers for small steps."""
    average = get_ema_multi_avg_fn(decay)

    def average_as_it_is(averaged: Sequence[Tensor], current: Sequence[Tensor], number: Any) -> None:
        average(averaged, [x.to(a.dtype) for a, x in zip(averaged, current, strict=True)], number)

    model = AveragedModel(network, multi_avg_fn=average_as_it_is, use_buffers=True)
    for x in (*model.parameters(), *model.buffers()):
        if x.is_floating_point():
            x.data = x.data.to(torch.promote_types(x.dtype, torch.float32))
    return model

"""A callback that watches the upsampled features of one image while the network learns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn

from denseup.engine.callbacks.frames import FeatureFrames
from denseup.engine.folder import FEATURES
from denseup.engine.loggers.making import log_image
from denseup.tasks import DenseTask
from denseup.tasks.base import Batch, to_uint8
from denseup.upsamplers import Upsampler
from denseup.visualization import principal_map


class FeatureEvolution(pl.Callback):
    """Pictures of an upsampling stage's output along training, in features/ of the run folder (`FeatureFrames`).

    All runs show the first validation image, as validation prepares it, and the first principal component of the
    stage's channels (`principal_map`). The training goes on as if nothing had been looked at: random states, modes and
    gradients are left as they were. Only the first process looks.

    Args:
        frames: how many along a training, the first step and the last included; closer to one another at its start.
        stage: which outputs to show, see `upsampled_features`; -1 is the finest.
        max_side: longer side in pixels above which a frame is shrunk.

    Raises:
        ValueError: frames is less than 2, or max_side less than 1.
    """

    def __init__(self, frames: int = 14, stage: int = -1, max_side: int = 256) -> None:
        if frames < 2:
            raise ValueError(f"frames is {frames}, expected at least 2: the first step and the last")
        if max_side < 1:
            raise ValueError(f"max_side is {max_side}, expected a number of pixels ≥ 1")
        self.number, self.stage, self.max_side = frames, stage, max_side
        self._frames: FeatureFrames | None = None
        self._steps: set[int] = set()
        self._batch: Batch = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the steps, prepare the image and look for the first time."""
        if not trainer.is_global_zero:
            return
        self._frames = FeatureFrames(Path(trainer.default_root_dir) / FEATURES)
        self._frames.start(trainer.global_step)
        self._steps = frame_steps(int(trainer.estimated_stepping_batches), self.number)
        with isolate_rng():
            self._batch = first_validation_batch(trainer)
        self._look(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look if it is time."""
        self._look(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at what came out, and draw all frames."""
        if self._frames is None:
            return
        self._steps.add(trainer.global_step)
        self._look(trainer, pl_module)
        sheet = self._frames.draw()
        assert sheet is not None
        log_image(trainer.loggers, "features/contact_sheet", sheet, trainer.global_step)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Draw the frames that there are."""
        if self._frames is not None:
            self._frames.draw()

    def _look(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        step, frames = trainer.global_step, self._frames
        if frames is None or step not in self._steps:
            return
        self._steps.remove(step)
        if step in frames.steps:  # of the process that this one goes on from
            return
        assert isinstance(task, DenseTask)
        with isolate_rng(), evaluating(task), torch.no_grad(), trainer.precision_plugin.val_step_context():
            features, prediction = upsampled_features(task.network, lambda: task.predict(self._batch), self.stage)
        panel = task.panel(prediction[0].cpu().numpy(), self._batch)
        # outside of the precision's context, which may be one of less than float32
        frames.add(step, principal_map(features, self.max_side), to_uint8(self._batch["image"][0]), panel)


def frame_steps(total: int, number: int) -> set[int]:
    """At most `number` steps from 0 to `total`, both included, at distances that grow: early steps change most."""
    return {round(total * (i / (number - 1)) ** 2) for i in range(number)}


def first_validation_batch(trainer: pl.Trainer) -> Batch:
    """The first validation sample as a batch on the trainer's device, as the validation gets it."""
    loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
    batch = trainer.precision_plugin.convert_input(loader.collate_fn([loader.dataset[0]]))
    return trainer.strategy.batch_to_device(batch)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module has the mode it had, which need not be that of its parent."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def upsampled_features(network: nn.Module, run: Callable[[], Tensor], stage: int = -1) -> tuple[Tensor, Tensor]:
    """What the upsamplers of a network put out while `run` runs it once.

    Outputs of one size form a stage, and stages are counted by size, -1 being the finest: operators may need one call
    or several to come to a size. Outputs within a stage are joined along the channels.

    Args:
        network: holds `Upsampler`s; those inside of another one belong to it.
        run: runs the network.
        stage: position among the stages, from the coarsest up, or with a negative number from the finest down.

    Returns:
        The stage's output for the first sample of the batch, `[C, H, W]`, and what `run` returned.

    Raises:
        ValueError: no upsampler was called, or there is no such stage.
    """
    calls: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor | tuple[Tensor, Tensor | None]) -> None:
        raised = output[0] if isinstance(output, tuple) else output  # beside which the encoder feature came back
        calls.append(raised[0].detach())

    handles = [module.register_forward_hook(keep) for module in _outermost_upsamplers(network)]
    try:
        returned = run()
    finally:
        for handle in handles:
            handle.remove()
    sizes = sorted({tuple(call.shape[1:]) for call in calls}, key=lambda size: (size[0] * size[1], size))
    if not -len(sizes) <= stage < len(sizes):
        found = ", ".join(f"{height}×{width}" for height, width in sizes) or "none"
        raise ValueError(f"stage is {stage}, but the upsamplers of this network have outputs of the sizes: {found}")
    return torch.cat([call for call in calls if tuple(call.shape[1:]) == sizes[stage]]), returned


def _outermost_upsamplers(module: nn.Module) -> Iterator[Upsampler]:
    for child in module.children():
        if isinstance(child, Upsampler):
            yield child
        else:
            yield from _outermost_upsamplers(child)

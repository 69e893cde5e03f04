"""From a batch to its prediction, in the way that the settings say: views, each whole, in windows or in tiles."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.evaluation.settings import EvaluationSettings
from denseup.evaluation.sliding import sliding_scores
from denseup.evaluation.tiling import Tiles
from denseup.tasks import DenseTask
from denseup.tasks.gives_scores import BEFORE_ROUNDING
from denseup.tasks.watched import Batch

Observer = Callable[[Batch, Tensor, Sequence[Tensor]], None]
"""Looks on: a batch, its prediction, and the scores of its views; none where the task was asked for no scores."""

DIVISOR = 32
"""What sides are rounded up to where the data's `test_size` rounds them (`resize_for_test`)."""


class Way:
    """Gives predictions in place of `DenseTask.predict` (`DenseTask.answering`).

    With several views (scales, mirror images) the task averages what it makes of each at the size of the truth:
    probabilities of classes, clipped alpha. Within a view windows average what the network says: logits, alpha before
    it is clipped.

    Args:
        task: with the metrics that are measured.
        settings: what is asked for.
        observers: called after each batch.

    Raises:
        ValueError: see `EvaluationSettings.check_task`.
    """

    def __init__(self, task: DenseTask, settings: EvaluationSettings, observers: Sequence[Observer] = ()) -> None:
        settings.check_task(task)
        self.task, self.settings, self.observers = task, settings, observers
        self._seeing = self._seen_by()
        self._before_rounding = task.metrics.looks_before_rounding
        self._plain = not (
            settings.view != "whole" or settings.averages or settings.calibration or self._before_rounding
        )

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """The prediction, uint8 `[B, H, W]`; what metrics need beside it is put into the batch."""
        if self._plain:
            views, prediction = [], self.task.predict(batch)
        else:
            views = list(self.views(batch))
            prediction = self.task.decided(views, batch)
        if self._before_rounding:
            batch[BEFORE_ROUNDING] = self.task.before_rounding(views, batch)
        for observe in self.observers:
            observe(batch, prediction, views)
        return prediction

    def views(self, batch: Batch) -> Iterator[Tensor]:
        """Scores of each view, turned back where it was mirrored; the views of one scale after the other."""
        for scale in self.settings.scales:
            scaled = rescaled(self.task, batch, float(scale))
            yield self._seeing(scaled)
            if self.settings.flip:
                yield self._seeing(mirrored(self.task, scaled)).flip(-1)

    def _seen_by(self) -> Callable[[Batch], Tensor]:
        task, settings = self.task, self.settings
        if settings.view == "slide":
            return lambda batch: sliding_scores(task, batch, settings.window, settings.steps)
        if settings.view == "tiles":
            assert settings.tile is not None
            return Tiles(task, settings.tile, settings.overlap)
        return task.scores


def rescaled(task: DenseTask, batch: Batch, scale: float) -> Batch:
    """What the network sees of a batch at another size: the image resized bilinearly, prompts by their nearest pixel.

    Sides are rounded to the nearest pixel, half up, and are one pixel at least; to multiples of 32 upwards where the
    evaluation fits images into a size (`DenseTask.test_size`), as that does.
    """
    seen = {key: batch[key] for key in ("image", *task.prompts)}
    if scale != 1:
        size = [max(int(side * scale + 0.5), 1) for side in batch["image"].shape[2:]]
        if task.test_size is not None:
            size = [-(-side // DIVISOR) * DIVISOR for side in size]
        seen["image"] = F.interpolate(seen["image"], size, mode="bilinear", align_corners=False)
        seen |= {key: F.interpolate(batch[key], size, mode="nearest-exact") for key in task.prompts}
    return {**seen, "name": batch.get("name", ())}


def mirrored(task: DenseTask, batch: Batch) -> Batch:
    """What the network sees of a batch, turned left to right."""
    return {**batch, **{key: batch[key].flip(-1) for key in ("image", *task.prompts)}}

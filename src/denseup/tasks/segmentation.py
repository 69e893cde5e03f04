"""Semantic segmentation: image in, class map out."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.losses import segmentation_loss
from denseup.metrics import SegmentationMetrics
from denseup.results import LabelMap
from denseup.tasks.base import Batch, DenseTask, Optimization, UInt8, to_uint8
from denseup.tasks.gives_scores import Classes
from denseup.tasks.logits import probabilities, resized_argmax
from denseup.tasks.registry import register_task
from denseup.tasks.serving import IMAGE, Port, Serving
from denseup.visualization import ClassMaps, segmentation_panel


@register_task
class SegmentationTask(DenseTask):
    """Class prediction, evaluated by mIoU and boundary IoU.

    Args:
        network: ImageNet-normalised RGB `[B, 3, H, W]` → logits `[B, num_classes, h, w]`.
        optimization: see `DenseTask`.
        num_classes: of the labels.
        class_names: for pictures.
        ignore_index: label that does not count.
        test_size: (short side, long side) that evaluation images are fitted into, see `SegmentationFolder`; None: they
            keep their size.
        average: of the loss, see `segmentation_loss`.
        void: treatment of ignored pixels in boundary IoU, see `SegmentationMetrics`.
        metrics: (num_classes, ignore_index, void) → the metrics: `SegmentationMetrics`, or a subclass of it.
        num_examples, channels_last: see `DenseTask`.
    """

    name = "segmentation"
    data_options = ("num_classes", "class_names", "ignore_index", "test_size")
    network_options = ("num_classes",)
    trivial = "most frequent class"
    values_are_classes = True
    result_class = LabelMap
    metrics_class = SegmentationMetrics
    metric_variants = {
        "mmsegmentation": lambda task: SegmentationMetrics(
            task.metrics.num_classes, task.metrics.ignore_index, task.metrics.void
        )
    }
    serving = Serving({"image": IMAGE}, {"logits": Port(None, "of the classes; the largest is the most likely")})

    def __init__(
        self,
        network: nn.Module,
        optimization: Optimization | None = None,
        *,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        ignore_index: int = 255,
        test_size: Sequence[int] | None = None,
        average: Literal["all", "valid"] = "all",
        void: Literal["void_excluded", "no_ignore"] = "void_excluded",
        metrics: Callable[[int, int, str], SegmentationMetrics] = SegmentationMetrics,
        num_examples: int = 4,
        channels_last: bool = True,
    ) -> None:
        super().__init__(network, optimization, num_examples, channels_last)
        self.class_names = class_names
        self.ignore_index = ignore_index
        self.test_size = test_size
        self.average: Literal["all", "valid"] = average
        self.metrics: SegmentationMetrics = metrics(num_classes, ignore_index, void)
        self.maps = ClassMaps(ignore_index)

    def loss(self, batch: Batch) -> Tensor:
        """Cross entropy at the label's resolution."""
        return segmentation_loss(self(batch["image"]), batch["label"], self.ignore_index, self.average)

    def weight(self, batch: Batch) -> Tensor | float:
        """The number that `loss` divides by: of samples of one size, or of pixels with a label (`average`)."""
        if self.average == "all":
            return super().weight(batch)
        return (batch["label"] != self.ignore_index).sum()

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1] `[B, 3, H, W]` → logits `[B, num_classes, h, w]`."""
        return self.run_network(self.normalize(image))

    def predict(self, batch: Batch) -> Tensor:
        """Most likely class as uint8 `[B, H, W]` at the label's size: logits resized bilinearly."""
        return self.decided([self.scores(batch)], batch)

    def values(self, batch: Batch) -> Tensor:
        """As `predict`, at the size of the image, or at the `size` (height, width) in the batch."""
        height, width = batch.get("size", batch["image"].shape[2:])
        return resized_argmax(self.scores(batch), (height, width)).byte()

    def scores(self, batch: Batch) -> Tensor:
        """Logits `[B, num_classes, h, w]`, float32."""
        logits = self(batch["image"]).float()
        self.check_output(logits, batch, lambda: self(batch["image"]))
        return logits

    def decided(self, views: Sequence[Tensor], batch: Batch) -> Tensor:
        """As `predict`; of several views the class that is the most likely in the mean of their probabilities."""
        size = _label_size(batch)
        if len(views) == 1:
            return resized_argmax(views[0], size).byte()
        return torch.cat([strip.argmax(1) for strip in probabilities(views, size)], 1).byte()

    def confidence(self, views: Sequence[Tensor], batch: Batch) -> Tensor:
        """Probability of the most likely class, float32 `[B, H, W]` at the label's size."""
        return torch.cat([strip.amax(1) for strip in probabilities(views, _label_size(batch))], 1)

    @property
    def classes(self) -> Classes:
        """Names, numbers where there are none, and the ignored label."""
        names = self.class_names or range(self.metrics.num_classes)
        return Classes([str(name) for name in names], self.ignore_index)

    def result(self, values: NDArray[Any], image: NDArray[Any], prompts: Mapping[str, UInt8]) -> LabelMap:
        """The label map, with the names and colours of its classes."""
        return LabelMap(image, values, tuple(self.class_names or ()), self.ignore_index)

    def serve(self, image: Tensor) -> Tensor:
        """RGB in [0, 1] `[B, 3, H, W]` → logits `[B, num_classes, H, W]`, resized bilinearly as in `predict`."""
        logits = self.network(self.normalize(image))
        return F.interpolate(logits, size=image.shape[2:], mode="bilinear", align_corners=False)

    def target(self, batch: Batch) -> UInt8:
        """True classes of the first sample."""
        return batch["label"][0].cpu().numpy().astype(np.uint8)

    def update_metrics(self, prediction: Tensor, batch: Batch) -> None:
        """Add a batch."""
        self.metrics.update(prediction, batch["label"])

    def compute_baseline(self) -> dict[str, float]:
        """mIoU and accuracy of predicting the data set's most frequent class everywhere; NaN without any label."""
        with self.metrics.sync_context():
            areas = self.metrics.region[2].double()
        if not areas.any():  # void alone: nothing to predict
            return {"miou": math.nan, "aacc": math.nan}
        share = (areas.max() / areas.sum()).item()
        return {"miou": share / int((areas > 0).sum()), "aacc": share}

    def per_class(self) -> dict[str, list[float]]:
        """IoU, accuracy and boundary IoU of each class; NaN for a class that does not occur."""
        return {name: values.tolist() for name, values in self.metrics.per_class().items()}

    def panel(self, prediction: UInt8, batch: Batch) -> UInt8:
        """image | prediction | truth | errors of the first sample, at the label's size."""
        label = self.target(batch)
        image = F.interpolate(batch["image"][:1], size=label.shape, mode="bilinear", align_corners=False)[0]
        names = None if self.class_names is None else list(self.class_names)
        return segmentation_panel(to_uint8(image), label, prediction, names, self.ignore_index)


def _label_size(batch: Batch) -> tuple[int, int]:
    height, width = batch["label"].shape[1:]
    return height, width

"""What all tasks share: the description, whole-image evaluation, the trivial answer and examples."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DistributedSampler

from denseup.metrics import DenseMetrics
from denseup.networks.encoders.base import IMAGENET_MEAN, IMAGENET_STD
from denseup.tasks.checks import check_whole
from denseup.tasks.gives_scores import GivesScores
from denseup.tasks.images import Columns, columns_of, counts_of, names_of
from denseup.tasks.learning import Learns
from denseup.tasks.norms import backbone_norms
from denseup.tasks.optimization import Optimization
from denseup.tasks.serving import PLAIN, Serving
from denseup.tasks.watched import Batch
from denseup.visualization import Maps

UInt8 = NDArray[np.uint8]

NORMALISATION = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
"""Of the input of a network that says nothing else."""


class DenseTask(Learns, GivesScores):
    """A network trained and evaluated on one task, and the one description of that task.

    A subclass says below what the task is; `denseup.tasks.registry` makes it known. Nothing else in this package asks
    which task it has.

    Args:
        network: maps normalised images to predictions; see the subclass. By what they are normalised its `mean` and
            `std` say, ImageNet's unless it has them.
        optimization: None for evaluation only.
        num_examples: how many evaluation samples are kept as pictures (`examples`).
        channels_last: run the network in that memory layout, the faster one for most convolutions.
    """

    in_channels: ClassVar[int] = 3
    """Of the network's input."""
    data_options: ClassVar[tuple[str, ...]] = ()
    """Attributes of the data module that the task takes as arguments of the same name."""
    network_options: ClassVar[tuple[str, ...]] = ()
    """Attributes of the data module that the task's network takes."""
    trivial: ClassVar[str]
    """The answer that needs no network, in words; `compute_baseline` measures it."""
    metrics_class: ClassVar[type[DenseMetrics]]
    """Of `metrics`, unless a config asks for another one."""
    monitor: ClassVar[str]
    """The metric that picks the best checkpoint, without the stage's prefix: the first one of `metrics_class`."""
    serving: ClassVar[Serving] = PLAIN
    """What an exported file takes and gives; `serve` computes it."""
    mode: ClassVar[str]
    """"min" or "max": what is better in `monitor`."""

    metrics: DenseMetrics
    maps: Maps
    """The kind of map that `predict` and `target` give."""
    mean: Tensor
    std: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "metrics_class"):
            first = cls.metrics_class.values[0]
            cls.monitor, cls.mode = first.key, first.mode

    def __init__(
        self,
        network: nn.Module,
        optimization: Optimization | None = None,
        num_examples: int = 4,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        check_whole("num_examples", num_examples, 0)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.optimization = optimization
        if optimization is not None and optimization.freeze_backbone_norm_weights:
            for norm in backbone_norms(network):
                norm.requires_grad_(False)
        self.num_examples = num_examples
        self.stage = "val"
        """What a validation is called in logs and pictures."""
        self.baseline: dict[str, float] = {}
        """Metrics of the trivial answer on the data last evaluated."""
        self.names: list[str] = []
        """Names of this process's images of the last evaluation."""
        self.examples: list[UInt8] = []
        """Panels of the first samples of the last evaluation, uint8 RGB `[H, W, 3]`."""
        for name, default in NORMALISATION.items():
            value = torch.tensor(getattr(network, name, default), dtype=torch.float32).view(3, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.register_load_state_dict_post_hook(_read_normalisation)

    def loss(self, batch: Batch) -> Tensor:
        """Training loss of a batch."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> Tensor:
        """Whole-image prediction as `maps`, uint8 `[B, H, W]` at the size of the sample's target.

        Raises:
            DivergedError: the network's output is not finite.
        """
        raise NotImplementedError

    def serve(self, image: Tensor) -> Tensor:
        """What an exported file computes, as `serving` says; nothing in it may be decided by a size."""
        output: Tensor = self(image)
        return output

    def target(self, batch: Batch) -> UInt8:
        """What is true of the first sample of a batch, as `maps`, uint8 `[H, W]`."""
        raise NotImplementedError

    def update_metrics(self, prediction: Tensor, batch: Batch) -> None:
        """Add a batch to `metrics` and to the record of the trivial answer."""
        raise NotImplementedError

    def compute_baseline(self) -> dict[str, float]:
        """Metrics of the trivial answer on all that `update_metrics` has seen."""
        raise NotImplementedError

    def per_class(self) -> dict[str, list[float]]:
        """Values of each class in the last evaluation, by metric; {} for a task without classes."""
        return {}

    def per_image(self) -> Columns:
        """Name and values of each image of the last evaluation, over all processes; each process has to call this."""
        return columns_of(self.names, self.metrics.per_image())

    def counts(self) -> dict[str, Tensor]:
        """What was counted of each image (`DenseMetrics.counts`), over all processes; each process has to call this."""
        return counts_of(self.metrics.counts())

    def panel(self, prediction: UInt8, batch: Batch) -> UInt8:
        """Picture of the first sample of a batch: inputs, prediction and truth."""
        raise NotImplementedError

    def normalize(self, image: Tensor) -> Tensor:
        """RGB in [0, 1] → normalised as the network expects it."""
        return (image - self.mean) / self.std

    def on_validation_epoch_start(self) -> None:
        """Forget the last evaluation; a DivergedError if the weights are not finite."""
        self.check_weights()
        self.metrics.reset()
        self.names, self.examples = [], []

    def validation_step(self, batch: Batch, index: int) -> None:
        """Predict whole images and add them to the metrics."""
        with self.maps_of(batch):
            prediction = self.answer(batch)
        if self._is_repeated(index):
            return
        self.update_metrics(prediction, batch)
        first = len(self.names) * self.trainer.world_size + self.trainer.global_rank
        self.names += names_of(batch, len(prediction), first)
        if len(self.examples) < self.num_examples:
            self.examples.append(self.panel(prediction[0].cpu().numpy(), batch))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics as val/…"""
        self._log_metrics(self.stage)

    @contextmanager
    def evaluating_as(self, stage: str) -> Iterator[None]:
        """Within it a validation goes by another name than "val", in logs and pictures."""
        self.stage = stage
        try:
            yield
        finally:
            self.stage = "val"

    def on_test_epoch_start(self) -> None:
        """Forget the last evaluation."""
        self.on_validation_epoch_start()

    def test_step(self, batch: Batch, index: int) -> None:
        """As `validation_step`."""
        self.validation_step(batch, index)

    def on_test_epoch_end(self) -> None:
        """Log the metrics as test/…"""
        self._log_metrics("test")

    def _is_repeated(self, index: int) -> bool:
        """Whether the sample at `index` of this process was another process's.

        Several processes take turns at the samples, and the last ones get some of the first again, so that all take as
        many steps. They run, for the processes wait for each other, but count once.
        """
        loader: Any = self.trainer.test_dataloaders if self.trainer.testing else self.trainer.val_dataloaders
        if self.trainer.world_size == 1 or not isinstance(loader.sampler, DistributedSampler):
            return False
        assert loader.batch_size == 1, "evaluation loads one image at a time"
        return index * self.trainer.world_size + self.trainer.global_rank >= len(loader.dataset)

    def _log_metrics(self, stage: str) -> None:
        values = {f"{stage}/{name}": value.float() for name, value in self.metrics.compute().items()}
        self.baseline = self.compute_baseline()
        # The metric objects have summed over all processes already; logging must not average again.
        self.log_dict(values, rank_zero_only=False, sync_dist=False)


def _read_normalisation(task: nn.Module, keys: Any) -> None:
    """After loading: some encoders keep with their weights by what their input is normalised."""
    assert isinstance(task, DenseTask)
    for name, default in NORMALISATION.items():
        buffer = task.get_buffer(name)
        buffer.copy_(buffer.new_tensor(getattr(task.network, name, default)).view(3, 1, 1))


def to_uint8(image: Tensor) -> UInt8:
    """RGB `[3, H, W]` in [0, 1] → uint8 `[H, W, 3]`."""
    return (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()

"""Saliency: image in, one value a pixel out."""

from torch import Tensor, nn
from torch.nn import functional as F

from denseup.tasks import DenseTask, register_task
from denseup.tasks.base import Optimization, UInt8, to_uint8
from denseup.tasks.watched import Batch
from denseup.visualization import ValueMaps
from denseup.visualization.layout import side_by_side
from saliency.metrics import SaliencyMetrics


@register_task
class SaliencyTask(DenseTask):
    """What stands out, evaluated by its mean absolute difference."""

    name = "saliency"
    trivial = "nothing stands out"
    metrics_class = SaliencyMetrics
    maps = ValueMaps("saliency")

    def __init__(self, network: nn.Module, optimization: Optimization | None = None, num_examples: int = 4) -> None:
        super().__init__(network, optimization, num_examples)
        self.metrics, self.nothing = SaliencyMetrics(), SaliencyMetrics()

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1] `[B, 3, H, W]` → logits `[B, 1, H, W]`."""
        return self.run_network(self.normalize(image))

    def loss(self, batch: Batch) -> Tensor:
        """Binary cross entropy."""
        return F.binary_cross_entropy_with_logits(self(batch["image"])[:, 0], batch["saliency"].float() / 255)

    def predict(self, batch: Batch) -> Tensor:
        """Saliency as uint8 `[B, H, W]`."""
        logits = self(batch["image"])[:, 0].float()
        self.check_output(logits, batch, lambda: self(batch["image"]))
        return (logits.sigmoid() * 255).round().byte()

    def target(self, batch: Batch) -> UInt8:
        """True saliency of the first sample."""
        return batch["saliency"][0].cpu().numpy()

    def update_metrics(self, prediction: Tensor, batch: Batch) -> None:
        """Add a batch."""
        self.metrics.update(prediction, batch["saliency"])
        self.nothing.update(prediction * 0, batch["saliency"])

    def on_validation_epoch_start(self) -> None:
        """Forget the last evaluation."""
        super().on_validation_epoch_start()
        self.nothing.reset()

    def compute_baseline(self) -> dict[str, float]:
        """All metrics of a map of zeros."""
        return {key: float(value) for key, value in self.nothing.compute().items()}

    def panel(self, prediction: UInt8, batch: Batch) -> UInt8:
        """image | prediction | truth of the first sample."""
        maps = {"prediction": prediction, "truth": self.target(batch)}
        pictures = {name: self.maps.colours(value) for name, value in maps.items()}
        return side_by_side([("image", to_uint8(batch["image"][0])), *pictures.items()])

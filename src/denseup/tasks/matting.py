"""Image matting: image and trimap in, alpha out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.losses import matting_loss
from denseup.metrics import MattingMetrics, TrainingMattingMetrics
from denseup.metrics.matting import TrivialSAD
from denseup.results import Matte
from denseup.tasks.base import Batch, DenseTask, Optimization, UInt8, to_uint8
from denseup.tasks.checks import check_number, check_whole
from denseup.tasks.gives_scores import BEFORE_ROUNDING
from denseup.tasks.registry import register_task
from denseup.tasks.serving import IMAGE, Port, Serving, reflected
from denseup.visualization import ValueMaps, matting_panel

UNKNOWN = 128


@register_task
class MattingTask(DenseTask):
    """Alpha prediction, evaluated as on Composition-1k.

    Args:
        network: ImageNet-normalised RGB and trimap/255 `[B, 4, H, W]` → alpha `[B, 1, H, W]`, not clipped.
        optimization: see `DenseTask`.
        composition_weight: share of the composition loss; without foregrounds in the data the alpha loss stands alone.
        stride: whole images are reflect-padded right and bottom to a multiple of it.
        metrics: makes the metrics: `MattingMetrics`, or a subclass of it.
        num_examples, channels_last: see `DenseTask`.
    """

    name = "matting"
    in_channels = 4
    prompts = ("trimap",)
    trivial = "0.5 where unknown"
    result_class = Matte
    metrics_class = MattingMetrics
    metric_variants = {"matlab": lambda task: MattingMetrics(), "training": lambda task: TrainingMattingMetrics()}
    why_not_calibrated = "alpha is a share of a pixel, no probability of being right; SAD and MSE say how far off"
    maps = ValueMaps("alpha")
    serving = Serving(
        {"image": IMAGE, "trimap": Port(1, "0 background, 0.5 unknown, 1 foreground")},
        {"alpha": Port(1, "0..1, known pixels as the trimap has them")},
    )

    def __init__(
        self,
        network: nn.Module,
        optimization: Optimization | None = None,
        *,
        composition_weight: float = 0.5,
        stride: int = 16,
        metrics: Callable[[], MattingMetrics] = MattingMetrics,
        num_examples: int = 4,
        channels_last: bool = True,
    ) -> None:
        super().__init__(network, optimization, num_examples, channels_last)
        check_number("composition_weight", composition_weight)
        check_whole("stride", stride, 1)
        self.composition_weight = composition_weight
        self.stride = stride
        self.metrics = metrics()
        self.trivial_sad = TrivialSAD()

    def loss(self, batch: Batch) -> Tensor:
        """Half alpha and half composition loss over the unknown region."""
        alpha = self(batch["image"], batch["trimap"])
        unknown = (batch["trimap"] == UNKNOWN).to(alpha.dtype)
        colours = (batch["foreground"], batch["background"], batch["image"]) if "foreground" in batch else None
        return matting_loss(alpha, batch["alpha"], unknown, colours, self.composition_weight)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """RGB in [0, 1] `[B, 3, H, W]` and uint8 trimap `[B, 1, H, W]` → alpha `[B, 1, H, W]`, not clipped."""
        return self.run_network(torch.cat([self.normalize(image), trimap.to(image.dtype) / 255], 1))

    def predict(self, batch: Batch) -> Tensor:
        """Alpha as uint8 `[B, H, W]`, clipped, known pixels taken from the trimap."""
        return self.decided([self.scores(batch)], batch)

    def values(self, batch: Batch) -> Tensor:
        """Alpha as float32 `[B, H, W]`, clipped, known pixels taken from the trimap."""
        return self.before_rounding([self.scores(batch)], batch)

    def scores(self, batch: Batch) -> Tensor:
        """Alpha as the network gives it, float32 `[B, 1, H, W]`, not clipped."""
        image, trimap = batch["image"], batch["trimap"]
        height, width = image.shape[2:]
        padded, padded_trimap = (pad_to_multiple(x, self.stride) for x in (image, trimap.to(image.dtype)))
        alpha = self(padded, padded_trimap)[..., :height, :width].float()
        self.check_output(alpha, batch, lambda: self(padded, padded_trimap))
        return alpha

    def decided(self, views: Sequence[Tensor], batch: Batch) -> Tensor:
        """As `predict`, from `before_rounding`."""
        return (self.before_rounding(views, batch) * 255).round().byte()

    def before_rounding(self, views: Sequence[Tensor], batch: Batch) -> Tensor:
        """As `values`; of several views, clipped and resized bilinearly to the trimap's size, the mean."""
        trimap = batch["trimap"]
        size = trimap.shape[2:]
        clipped = [alpha.clamp(0, 1) for alpha in views]
        alike = [x if x.shape[2:] == size else F.interpolate(x, size, mode="bilinear") for x in clipped]
        alpha = alike[0] if len(views) == 1 else torch.stack(alike).mean(0)
        return torch.where(trimap == UNKNOWN, alpha, trimap.float() / 255)[:, 0]

    def settled(self, batch: Batch) -> Tensor | None:
        """The trimap, where nothing in it is unknown."""
        trimap = batch["trimap"][:, 0]
        return None if (trimap == UNKNOWN).any() else trimap.float() / 255

    @property
    def padding(self) -> int:
        """As `stride` says."""
        return self.stride

    def result(self, values: NDArray[Any], image: NDArray[Any], prompts: Mapping[str, UInt8]) -> Matte:
        """The matte, and the cut-out that it makes."""
        return Matte(image, values, prompts["trimap"])

    def serve(self, image: Tensor, trimap: Tensor) -> Tensor:  # type: ignore[override]
        """RGB in [0, 1] `[B, 3, H, W]`, trimap `[B, 1, H, W]` of 0, 0.5 and 1 → alpha `[B, 1, H, W]` as `predict`'s.

        Any size: the padding is inside, and so are the steps from 128 to 0.5 and back.
        """
        known = (trimap < 0.25) | (trimap > 0.75)
        levels = torch.where(known, (trimap > 0.5).to(image.dtype), UNKNOWN / 255)
        padded = reflected(torch.cat([image, levels], 1), self.stride)
        alpha = self.network(torch.cat([self.normalize(padded[:, :3]), padded[:, 3:]], 1))
        return torch.where(known, levels, alpha[..., : image.shape[2], : image.shape[3]].clamp(0, 1))

    def target(self, batch: Batch) -> UInt8:
        """True alpha of the first sample."""
        return batch["alpha"][0, 0].cpu().numpy()

    def update_metrics(self, prediction: Tensor, batch: Batch) -> None:
        """Add a batch; the trivial answer is 128 in the unknown region, and the trimap elsewhere: the trimap itself."""
        alpha = batch.get(BEFORE_ROUNDING, prediction)
        self.metrics.update(alpha, batch["alpha"][:, 0], batch["trimap"][:, 0])
        self.trivial_sad.update(batch["alpha"][:, 0], batch["trimap"][:, 0])

    def on_validation_epoch_start(self) -> None:
        """Forget the last evaluation."""
        super().on_validation_epoch_start()
        self.trivial_sad.reset()

    def compute_baseline(self) -> dict[str, float]:
        """SAD of "0.5 in the unknown region"."""
        return {"sad": float(self.trivial_sad.compute()["sad"])}

    def panel(self, prediction: UInt8, batch: Batch) -> UInt8:
        """image | trimap | prediction | truth of the first sample."""
        trimap = batch["trimap"][0, 0].cpu().numpy()
        return matting_panel(to_uint8(batch["image"][0]), trimap, prediction, self.target(batch))


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Pad `[B, C, H, W]` right and bottom by reflection; by replication where the image is smaller than the padding."""
    right, bottom = -x.shape[3] % multiple, -x.shape[2] % multiple
    mode = "reflect" if right < x.shape[3] and bottom < x.shape[2] else "replicate"
    return F.pad(x, (0, right, 0, bottom), mode=mode)

"""Training losses of the two tasks, as published. Shapes: alpha and mask `[B, 1, H, W]`, colours `[B, 3, H, W]`."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-6


def alpha_loss(alpha: Tensor, target: Tensor, unknown: Tensor) -> Tensor:
    """Smooth absolute difference of alpha over the unknown region (Xu et al., Deep Image Matting, CVPR 2017, eq. 1).

    Mean over the batch of Σ √((p - g)² + ε²) / (|U| + 1) for each image, as in the code of A2U matting. Pixels outside
    U enter as √(ε²), which that code adds too.

    Args:
        alpha: prediction `[B, 1, H, W]`, not clipped.
        target: true alpha in [0, 1].
        unknown: 1 in the unknown region, 0 elsewhere.
    """
    return _masked(alpha - target, unknown)


def composition_loss(alpha: Tensor, foreground: Tensor, background: Tensor, image: Tensor, unknown: Tensor) -> Tensor:
    """Smooth absolute difference of the recomposed colours (Xu et al., eq. 2), its three channels summed.

    Args:
        alpha: prediction `[B, 1, H, W]`, not clipped.
        foreground, background, image: colours in [0, 1] `[B, 3, H, W]`, not normalised.
        unknown: 1 in the unknown region, 0 elsewhere `[B, 1, H, W]`.
    """
    composite = alpha * foreground + (1 - alpha) * background
    return _masked(composite - image, unknown)


def matting_loss(
    alpha: Tensor,
    target: Tensor,
    unknown: Tensor,
    colours: tuple[Tensor, Tensor, Tensor] | None = None,
    composition_weight: float = 0.5,
) -> Tensor:
    """(1 - w)·alpha loss + w·composition loss.

    Args:
        alpha, target, unknown: see `alpha_loss`.
        colours: (foreground, background, image) as in `composition_loss`; None where the data has no foregrounds:
            then the alpha loss stands alone.
        composition_weight: w.
    """
    loss = alpha_loss(alpha, target, unknown)
    if colours is None:
        return loss
    return (1 - composition_weight) * loss + composition_weight * composition_loss(alpha, *colours, unknown)


def segmentation_loss(
    logits: Tensor, label: Tensor, ignore_index: int = 255, average: Literal["all", "valid"] = "all"
) -> Tensor:
    """Cross entropy of logits resized bilinearly to the label.

    Args:
        logits: `[B, C, h, w]`.
        label: int64 `[B, H, W]`, `ignore_index` where nothing is known.
        ignore_index: such pixels contribute 0.
        average: "all" divides by the number of all pixels, as mmsegmentation 0.x does; "valid" by that of the pixels
            with a label.
    """
    if logits.shape[2:] != label.shape[1:]:
        logits = F.interpolate(logits, size=label.shape[1:], mode="bilinear", align_corners=False)
    if average == "all":
        return F.cross_entropy(logits, label, ignore_index=ignore_index, reduction="none").mean()
    if average == "valid":
        valid = (label != ignore_index).sum().clamp(min=1)
        return F.cross_entropy(logits, label, ignore_index=ignore_index, reduction="sum") / valid
    raise ValueError(f"average is {average!r}, valid: 'all', 'valid'")


def _masked(difference: Tensor, unknown: Tensor) -> Tensor:
    """For each image Σ √(d²+ε²) / (|U| + 1), with d zero outside the mask; then the mean."""
    smooth = torch.sqrt((difference * unknown) ** 2 + EPSILON**2)
    return (smooth.sum((1, 2, 3)) / (unknown.sum((1, 2, 3)) + 1)).mean()

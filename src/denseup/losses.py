"""Training losses of the two tasks, as published. Shapes: alpha and mask `[B, 1, H, W]`, colours `[B, 3, H, W]`.

They are computed in float32 at least, are NaN for a batch of no images, and raise ValueError for an argument that does
not fit: nothing is broadcast.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops.arguments import (
    check_device,
    check_map,
    check_shape,
    check_tensor,
    finite_number,
    is_label,
    one_of,
)
from denseup.ops.arithmetic import accumulate

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
    _check_alpha(alpha, unknown)
    _check_like("target", target, alpha, 1)
    return _masked(accumulate(alpha) - target, unknown)


def composition_loss(alpha: Tensor, foreground: Tensor, background: Tensor, image: Tensor, unknown: Tensor) -> Tensor:
    """Smooth absolute difference of the recomposed colours (Xu et al., eq. 2), its three channels summed.

    Args:
        alpha: prediction `[B, 1, H, W]`, not clipped.
        foreground, background, image: colours in [0, 1] `[B, 3, H, W]`, not normalised.
        unknown: 1 in the unknown region, 0 elsewhere `[B, 1, H, W]`.
    """
    _check_alpha(alpha, unknown)
    for name, x in (("foreground", foreground), ("background", background), ("image", image)):
        _check_like(name, x, alpha, 3)
    alpha = accumulate(alpha)
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
    composition_weight = finite_number("composition_weight", composition_weight)
    if colours is None:
        return loss
    if not isinstance(colours, (tuple, list)) or len(colours) != 3:
        raise ValueError(f"colours is {_described(colours)}, expected (foreground, background, image) or None")
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

    Raises:
        ValueError: an argument has a wrong shape or value; of a label that is no class, where the device tells.
    """
    _check_label(logits, label)
    if not is_label(ignore_index):
        raise ValueError(f"ignore_index is {ignore_index!r}, expected a whole number, as an int64 holds it")
    one_of("average", average, ("all", "valid"))
    logits = accumulate(logits)
    if logits.shape[2:] != label.shape[1:]:
        # in NCHW, as cross entropy wants them: turned here they are small
        logits = F.interpolate(logits.contiguous(), size=label.shape[1:], mode="bilinear", align_corners=False)
    of_pixels = _cross_entropy(logits, label, ignore_index)
    if average == "all":
        return of_pixels.mean()
    return of_pixels.sum() / (label != ignore_index).sum().clamp(min=1)


def _cross_entropy(logits: Tensor, label: Tensor, ignore_index: int) -> Tensor:
    """`[B, C, H, W]`, `[B, H, W]` → `[B, H, W]`."""
    try:
        return F.cross_entropy(logits, label, ignore_index=ignore_index, reduction="none")
    except IndexError as error:
        classes = f"0..{logits.shape[1] - 1} or ignore_index, {ignore_index}"
        raise ValueError(f"label holds {label.unique().tolist()[:12]}, expected {classes}") from error


def _check_label(logits: Tensor, label: Tensor) -> None:
    check_map("logits", logits)
    if not logits.shape[1]:
        raise ValueError(f"logits has shape {list(logits.shape)}, expected at least one class")
    check_tensor("label", label, "int64 [B, H, W]")
    if label.dim() != 3 or label.dtype is not torch.int64 or label.shape[0] != logits.shape[0] or 0 in label.shape[1:]:
        expected = f"int64 [{logits.shape[0]}, H, W] with H and W ≥ 1, as logits has"
        raise ValueError(f"label is {label.dtype} {list(label.shape)}, expected {expected}")
    check_device("label", label, "logits", logits)


def _check_alpha(alpha: Tensor, unknown: Tensor) -> None:
    check_map("alpha", alpha, "[B, 1, H, W]")
    check_shape("alpha", alpha, [alpha.shape[0], 1, *alpha.shape[2:]], "with one channel")
    check_shape("unknown", unknown, list(alpha.shape), "as alpha has")
    check_device("unknown", unknown, "alpha", alpha)
    if unknown.is_complex():
        raise ValueError(f"unknown is {unknown.dtype}, expected real numbers, 0 and 1")


def _check_like(name: str, x: Tensor, alpha: Tensor, channels: int) -> None:
    check_map(name, x, f"[B, {channels}, H, W]")
    check_shape(name, x, [alpha.shape[0], channels, *alpha.shape[2:]], "as alpha has")
    check_device(name, x, "alpha", alpha)


def _described(value: Any) -> str:
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, (tuple, list)) else type(value).__name__


def _masked(difference: Tensor, unknown: Tensor) -> Tensor:
    """For each image Σ √(d²+ε²) / (|U| + 1), with d zero outside the mask; then the mean."""
    unknown = unknown.to(difference.dtype)
    smooth = torch.sqrt((difference * unknown) ** 2 + EPSILON**2)
    return (smooth.sum((1, 2, 3)) / (unknown.sum((1, 2, 3)) + 1)).mean()

"""segmentation_models.pytorch: one call swaps the up-sampling steps of a model's decoder.

    import segmentation_models_pytorch as smp
    from denseup.integrations.smp import replace_upsampling

    model = replace_upsampling(smp.Unet("resnet34"), "fade")

`docs/integrations/smp.md` has the table of its decoders.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from denseup.integrations.torch import Report, find_upsampling, replacements, restore_upsampling
from denseup.integrations.torch import replace_upsampling as replace_by_example
from denseup.integrations.torch.planning import Guides

__all__ = ["example_of", "find_upsampling", "replace_upsampling", "replacements", "restore_upsampling", "Report"]

M = TypeVar("M", bound=nn.Module)


def replace_upsampling(
    model: M,
    upsampler: str,
    *,
    logits: bool = False,
    guides: Guides = "any",
    otherwise: str | None = None,
    **options: Any,
) -> M:
    """Let an upsampler do the up-sampling steps of a model of segmentation_models.pytorch.

    As `denseup.integrations.torch.replace_upsampling`, with an example of the model's own. A guided operator gets the
    skip where the step has one, else the latest map of the step's size that was made before, at last the image.

    Args:
        model: changed in place, with pretrained weights or without.
        upsampler: a registered name: "fade", "carafe", "dysample", …
        logits: take the last step too, which brings the logits to the image's size.
        guides: "joined" guides by skips alone, and leaves the steps that have none.
        otherwise: name of an unguided upsampler for the steps that have no guide.
        options: of the upsampler (`kernel_size=3`, `start="neutral"`).

    Returns:
        `model` itself; `replacements(model)` says what became of each step.

    Raises:
        ValueError: the model is none of smp's, or an argument is wrong.
    """
    wish = {"logits": logits, "guides": guides, "otherwise": otherwise}
    return replace_by_example(model, upsampler, example_of(model), **wish, **options)


def example_of(model: nn.Module) -> Tensor:
    """`[2, C, S, S]`, large enough that no map of the encoder is a single pixel.

    Raises:
        ValueError: the model has no encoder as smp's models have.
    """
    encoder = getattr(model, "encoder", None)
    channels = getattr(encoder, "out_channels", None)
    if encoder is None or not channels or not hasattr(model, "decoder"):
        raise ValueError(f"model is {type(model).__name__}, expected one of segmentation_models_pytorch, with an encoder")
    weight = next(p for p in model.parameters() if p.is_floating_point())
    side = 128
    return torch.zeros(2, channels[0], side, side, device=weight.device, dtype=weight.dtype)

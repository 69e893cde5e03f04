"""segmentation_models.pytorch: one call swaps the up-sampling steps of a model's decoder.

    import segmentation_models_pytorch as smp
    from denseup.integrations.smp import replace_upsampling

    model = replace_upsampling(smp.Unet("resnet34"), "fade")

`docs/integrations/smp.md` has the table of its decoders.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from denseup.integrations.torch import find_upsampling, replacements, restore_upsampling
from denseup.integrations.torch import replace_upsampling as replace_by_example
from denseup.integrations.torch.planning import Guides

__all__ = ["example_of", "find_upsampling", "replace_upsampling", "replacements", "restore_upsampling"]

M = TypeVar("M", bound=nn.Module)


def replace_upsampling(
    model: M,
    upsampler: str,
    *,
    example_input: Any = None,
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
        example_input: for encoders that take images of one size only; None makes one.
        logits: take the last step too, which brings the logits to the image's size.
        guides: "joined" guides by skips alone, and leaves the steps that have none.
        otherwise: name of an unguided upsampler for the steps that have no guide.
        options: of the upsampler (`kernel_size=3`, `start="neutral"`).

    Returns:
        `model` itself; `replacements(model)` says what became of each step.

    Raises:
        ValueError: the model is none of smp's, or an argument is wrong.
    """
    example = example_of(model) if example_input is None else example_input
    return replace_by_example(model, upsampler, example, logits=logits, guides=guides, otherwise=otherwise, **options)


def example_of(model: nn.Module) -> Tensor:
    """Two black images `[2, C, 128, 128]`: large enough that no map of the encoder is a single pixel.

    Raises:
        ValueError: the model has no encoder and decoder as smp's models have.
    """
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, nn.Module) or not hasattr(model, "decoder"):
        kind = type(model).__name__
        raise ValueError(f"model is {kind}, expected one of segmentation_models_pytorch, with encoder and decoder")
    first = next(module for module in encoder.modules() if isinstance(module, nn.Conv2d))
    channels = getattr(encoder, "_in_channels", first.in_channels)
    return torch.zeros(2, channels, 128, 128, device=first.weight.device, dtype=first.weight.dtype)

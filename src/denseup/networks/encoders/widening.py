"""More input channels than the three of pretrained weights, such as a trimap behind the RGB."""

import torch
from torch import nn

RGB = 3


def widen_input(model: nn.Module, in_channels: int) -> None:
    """Let the first convolution of `model` take `in_channels`; those beyond RGB start at zero, and change nothing.

    Raises:
        ValueError: in_channels is less than 3, or no convolution takes three channels.
    """
    if in_channels == RGB:
        return
    if in_channels < RGB:
        raise ValueError(f"in_channels is {in_channels}, expected at least {RGB}: the weights are of RGB images")
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d) and m.in_channels == RGB), None)
    if first is None:
        raise ValueError(f"in_channels is {in_channels}, but {type(model).__name__} has no convolution of an RGB image")
    weight = first.weight.detach()
    extra = weight.new_zeros(weight.shape[0], in_channels - RGB, *weight.shape[2:])
    first.weight = nn.Parameter(torch.cat([weight, extra], 1))
    first.in_channels = in_channels
    for module in model.modules():  # which transformers compares the input with
        if getattr(module, "num_channels", None) == RGB:
            module.num_channels = in_channels  # type: ignore[assignment]

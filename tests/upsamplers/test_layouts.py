"""Channels-last maps stay so through our own upsamplers; no contract for those of others, which may copy."""

import pytest
import torch
from upsamplers.asking import asked

from denseup.upsamplers import create_upsampler, list_upsamplers

NAMES = list_upsamplers()


def features(*sizes: tuple[int, int]) -> list[torch.Tensor]:
    """A map of 32 channels of each size, channels-last."""
    maps = [torch.randn(2, 32, *size).contiguous(memory_format=torch.channels_last) for size in sizes]
    return [x.requires_grad_() for x in maps]


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_maps_stay_so(name: str) -> None:
    """Results and gradients, at odd sizes and ratios that are no whole numbers too; else the next layer copies them."""
    module = create_upsampler(name, de_channels=32, en_channels=32)
    for low, high in (((5, 6), (10, 12)), ((5, 6), (9, 12)), ((5, 6), (13, 18))):
        if module.exact_factor_only and high != (10, 12):
            continue
        maps = de, en = features(low, high)
        image = asked(module, en.detach())  # a part of en, whose gradient would be one of a part
        for state in (module.downsample(en)[1], None):
            out = module(de, en, state=state, **image)
            grads = torch.autograd.grad(out, maps, torch.randn_like(out), allow_unused=True)
            for what, x in zip(("output", "gradient of de", "gradient of en"), (out, *grads), strict=True):
                assert x is None or x.is_contiguous(memory_format=torch.channels_last), (what, high, state is None)

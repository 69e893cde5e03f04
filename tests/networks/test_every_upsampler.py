"""Both networks run with every registered upsampler, and never ask which one it is."""

import re
from typing import Any

import pytest
import torch
from golden import manifest, recipe_state_dict
from torch import nn

from denseup.checkpoints import load_official
from denseup.networks import MattingResNet34, SegFormerHead
from denseup.networks.base import raise_map
from denseup.upsamplers import create_upsampler, list_upsamplers

NAMES = list_upsamplers()
ODD = (37, 51)


def small_matting(upsampler: Any) -> MattingResNet34:
    torch.manual_seed(0)
    return MattingResNet34(upsampler, width=8, depths=(1, 1, 1), dropout=0.0)


def check_every_gradient(module: nn.Module, unused: set[str] = frozenset()) -> None:
    for key, parameter in module.named_parameters():
        if key not in unused:
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(32, 48), ODD])
def test_matting_network(name: str, size: tuple[int, int]) -> None:
    module = small_matting(name)
    x = torch.randn(2, 4, *size)
    out = module(x)
    assert out.shape == (2, 1, *size)
    out.square().mean().backward()
    check_every_gradient(module)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sizes", [[(16, 24), (8, 12), (4, 6), (2, 3)], [(19, 26), (10, 13), (5, 7), (3, 4)]])
def test_segformer_head(name: str, sizes: list[tuple[int, int]]) -> None:
    torch.manual_seed(0)
    module = SegFormerHead([8, 12, 16, 20], 5, name, embed_dim=16, dropout=0.0)
    maps = [torch.randn(2, channels, *size) for channels, size in zip([8, 12, 16, 20], sizes, strict=True)]
    out = module(maps, torch.randn(2, 3, *(4 * length for length in sizes[0])))
    assert out.shape == (2, 5, *sizes[0])
    out.square().mean().backward()
    pooling = {f"upsamplers.{i}.down.{kind}" for i in range(6) for kind in ("weight", "bias")}  # never asked to pool
    check_every_gradient(module, pooling)


@pytest.mark.parametrize("name", [name for name in NAMES if create_upsampler(name, de_channels=8).exact_factor_only])
def test_what_an_exact_factor_gives_too_much_is_cut_off_at_the_end(name: str) -> None:
    upsampler = create_upsampler(name, de_channels=4)
    de, en = torch.randn(1, 4, 10, 13), torch.randn(1, 4, 19, 26)
    raised, guide = raise_map(upsampler, de, en)
    torch.testing.assert_close(raised, upsampler(de)[..., :19, :26], rtol=0, atol=0)
    assert guide is en
    with pytest.raises(ValueError, match=re.escape(upsampler.exact_factor_only)):
        raise_map(upsampler, de, torch.randn(1, 4, 40, 52))
    with pytest.raises(ValueError, match=re.escape(upsampler.exact_factor_only)):
        raise_map(create_upsampler(name, de_channels=4, scale_factor=3), de, en)


def test_a2u_matting_checkpoint_layout() -> None:
    """As published: under `state_dict`, with `module.` prefixes and InPlaceABN norms."""
    case = manifest("matting")["resnet34_a2u_share1"]
    tensors = recipe_state_dict(case)
    module = MattingResNet34("a2u")
    report = load_official(module, {"state_dict": {f"module.{key}": value for key, value in tensors.items()}})
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], {})
    assert report.inplace_abn
    assert torch.equal(module.encoder.stem[1].weight, tensors["layer0.1.weight"].abs() + 1e-5)
    for ours, theirs in enumerate(["layer3_1.bilinear", "layer2_1.bilinear", "bilinear1", "bilinear0"]):
        upsampler = module.upsamplers[ours]
        assert torch.equal(upsampler.norm_u.weight, tensors[f"{theirs}.bnu.0.weight"])  # a GroupNorm: as it is
        assert torch.equal(upsampler.down.bias, tensors[f"{theirs}.bconv_DP.1.bias"])


@pytest.mark.parametrize("name", ["dysample", "sapa_gate", "indexnet_m2o"])
def test_operators_layouts_hold_inside_a_network(name: str) -> None:
    """Keys of the authors' operator under `decode_head.upsamplers.<i>.`, made by turning ours back."""
    head = SegFormerHead([8, 12, 16, 20], 5, name, embed_dim=16)
    upsampler = create_upsampler(name, de_channels=16)
    back = {ours: theirs for theirs, ours in upsampler.official_keys.items() if ours}
    constants = [f"upsamplers.3.{theirs}" for theirs, ours in upsampler.official_keys.items() if ours is None]
    tensors = dict.fromkeys(constants, torch.zeros(1))
    for key, value in upsampler.state_dict().items():
        prefix = max((p for p in back if key.startswith(f"{p}.")), key=len, default=None)
        theirs = key if prefix is None else back[prefix] + key[len(prefix) :]
        tensors[f"upsamplers.3.{theirs}"] = torch.full_like(value, 7)
    report = load_official(head, tensors)
    assert (report.unexpected, report.mismatched, report.constants) == ([], {}, constants)
    assert not any(key.startswith("upsamplers.3.") for key in report.missing)
    assert all((value == 7).all() for value in head.upsamplers[3].state_dict().values())

"""Pretrained backbones from local files."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from denseup.networks import MattingResNet34, SegFormer
from denseup.networks.encoders.mit import VARIANTS, MixTransformer


def torchvision_resnet34() -> dict[str, Tensor]:
    """Keys and shapes of layers 0-3 of a torchvision ResNet-34, and of layers that are not used."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), "fc.weight": (1000, 512)}
    norms = {"bn1": 64}
    for layer, (depth, width) in enumerate([(3, 64), (4, 128), (6, 256)], start=1):
        for block in range(depth):
            prefix = f"layer{layer}.{block}"
            source = width // 2 if block == 0 and layer > 1 else width
            shapes |= {f"{prefix}.conv1.weight": (width, source, 3, 3), f"{prefix}.conv2.weight": (width, width, 3, 3)}
            norms |= {f"{prefix}.bn1": width, f"{prefix}.bn2": width}
            if source != width:
                shapes[f"{prefix}.downsample.0.weight"] = (width, source, 1, 1)
                norms[f"{prefix}.downsample.1"] = width
    for name, width in norms.items():
        shapes |= {f"{name}.{key}": (width,) for key in ("weight", "bias", "running_mean", "running_var")}
        shapes[f"{name}.num_batches_tracked"] = ()
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def test_resnet34_from_a_file(tmp_path: Path) -> None:
    weights = torchvision_resnet34()
    torch.save(weights, tmp_path / "resnet34.pth")
    network = MattingResNet34("bilinear", pretrained=tmp_path / "resnet34.pth")
    stem = network.encoder.stem[0].weight
    assert torch.equal(stem[:, :3], weights["conv1.weight"])
    assert not stem[:, 3].any()
    assert torch.equal(network.encoder.layer3[0].proj_conv.weight, weights["layer3.0.downsample.0.weight"])
    assert torch.equal(network.encoder.layer2[3].bn2.running_var, weights["layer2.3.bn2.running_var"])


def test_a_file_that_does_not_fit_names_the_key(tmp_path: Path) -> None:
    weights = torchvision_resnet34()
    del weights["layer1.2.bn2.bias"]
    torch.save(weights, tmp_path / "resnet34.pth")
    with pytest.raises(ValueError, match=r"'layer1\.2\.bn2\.bias' is missing"):
        MattingResNet34("bilinear", pretrained=tmp_path / "resnet34.pth")
    torch.save(torchvision_resnet34(), tmp_path / "resnet34.pth")
    with pytest.raises(ValueError, match=r"'conv1\.weight' is \[64, 4, 7, 7\], expected \[16, 4, 7, 7\]"):
        MattingResNet34("bilinear", width=16, depths=(1, 1, 1), pretrained=tmp_path / "resnet34.pth")


def test_mix_transformer_from_a_folder(tmp_path: Path) -> None:
    source = MixTransformer("b0")
    source.model.save_pretrained(tmp_path)
    network = SegFormer("b0", 4, "fade", embed_dim=16, pretrained=tmp_path, drop_path=0.2)
    loaded = network.backbone.model.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in source.model.state_dict().items())
    eps = {m.eps for n, m in network.backbone.named_modules() if isinstance(m, nn.LayerNorm) and "_before" in n}
    assert eps == {1e-6}


def test_every_variant_is_known_and_another_is_refused() -> None:
    assert list(VARIANTS) == ["b0", "b1", "b2", "b3", "b4", "b5"]
    with pytest.raises(ValueError, match=r"variant is 'b6', valid: b0, b1"):
        MixTransformer("b6")

"""Pretrained backbones, from files, folders and a hub that is not there; others' weights are refused by name."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from official_files import official
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from denseup.networks import MattingResNet34, SegFormer
from denseup.networks.encoders import create_encoder
from denseup.networks.encoders.auto import AutoEncoder
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


@pytest.fixture(scope="module")
def original() -> dict[str, Tensor]:
    """As mit_b0.pth: the authors' keys, and the classifier of ImageNet."""
    torch.manual_seed(0)
    classifier = {"head.weight": torch.zeros(1000, 256), "head.bias": torch.zeros(1000)}
    return {**official(MixTransformer("b0")), **classifier}


@pytest.mark.parametrize(
    "container", [dict, lambda weights: {"state_dict": {f"module.{k}": v for k, v in weights.items()}}]
)
def test_mix_transformer_from_the_authors_file(container: Any, original: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(container(original), tmp_path / "mit_b0.pth")
    network = SegFormer("b0", 4, "fade", embed_dim=16, pretrained=tmp_path / "mit_b0.pth")
    loaded = official(network.backbone)
    assert all(torch.equal(loaded[key], value) for key, value in original.items() if not key.startswith("head."))
    assert all(module.training for module in network.backbone.modules())
    wide = MixTransformer("b0", in_channels=4, pretrained=tmp_path / "mit_b0.pth")
    stem = wide.model.state_dict()["stages.0.patch_embeddings.proj.weight"]
    assert torch.equal(stem[:, :3], original["patch_embed1.proj.weight"])
    assert not stem[:, 3].any()


def test_another_variants_weights_are_refused_by_name(original: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(original, tmp_path / "mit_b1.pth")  # misnamed
    message = r"weights of Mix Transformer b0, but Mix Transformer b1 is asked for: encoder=mit_b0"
    with pytest.raises(ValueError, match=rf"encoder\.pretrained=.*mit_b1\.pth: {message}"):
        MixTransformer("b1", pretrained=tmp_path / "mit_b1.pth")
    MixTransformer("b0").model.save_pretrained(tmp_path / "folder")
    with pytest.raises(ValueError, match=rf"encoder\.pretrained=.*folder: {message}"):
        MixTransformer("b1", pretrained=tmp_path / "folder")
    torch.save(torchvision_resnet34(), tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match=r"a ResNet of .* expected Mix Transformer b1, such as mit_b1\.pth"):
        MixTransformer("b1", pretrained=tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match="weights of Mix Transformer b0, but resnet34 is asked for"):
        MattingResNet34("bilinear", pretrained=tmp_path / "mit_b1.pth")


def test_weights_that_are_missing_would_be_random(original: dict[str, Tensor], tmp_path: Path) -> None:
    cut = {key: value for key, value in original.items() if key != "block2.1.attn.kv.bias"}
    torch.save(cut, tmp_path / "mit_b0.pth")
    with pytest.raises(ValueError, match=r"k_proj\.bias', .*v_proj\.bias' are missing: the weights would be random"):
        MixTransformer("b0", pretrained=tmp_path / "mit_b0.pth")
    source = MixTransformer("b0")
    source.model.save_pretrained(tmp_path / "folder")
    weights = load_file(tmp_path / "folder/model.safetensors")
    del weights[next(iter(weights))]
    save_file(weights, tmp_path / "folder/model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"folder: '.*' is missing: the weights would be random"):
        MixTransformer("b0", pretrained=tmp_path / "folder")


@pytest.mark.parametrize(
    ("name", "depths", "change"),
    [
        ("resnet18", (2, 2, 2, 2), {}),
        ("resnet50", (3, 4, 6, 3), {"layer1.0.conv3.weight": (256, 64, 1, 1)}),
        ("resnet101", (3, 4, 23, 3), {"layer1.0.conv3.weight": (256, 64, 1, 1)}),
        ("resnet34d", (3, 4, 6, 3), {"conv1.0.weight": (32, 3, 3, 3)}),
    ],
)
def test_other_resnets_are_refused_by_name(
    name: str, depths: tuple[int, ...], change: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), "fc.weight": (1000, 512)}
    for layer, depth in enumerate(depths, start=1):
        shapes |= {f"layer{layer}.{block}.conv1.weight": (64, 64, 3, 3) for block in range(depth)}
    if "conv1.0.weight" in change:
        del shapes["conv1.weight"]
    torch.save({key: torch.zeros(shape) for key, shape in {**shapes, **change}.items()}, tmp_path / "file.pth")
    with pytest.raises(ValueError, match=f"weights of {name}, but resnet34 is asked for"):
        MattingResNet34("bilinear", pretrained=tmp_path / "file.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_timm_publishes_resnet34_by_the_same_keys(suffix: str, tmp_path: Path) -> None:
    """Without the counters of the norms, as timm's safetensors have them or not."""
    weights = torchvision_resnet34()
    if suffix == "pth":
        torch.save({"state_dict": weights}, tmp_path / "resnet34.pth")
    else:
        save_file(weights, tmp_path / "resnet34.safetensors")
    network = MattingResNet34("bilinear", pretrained=tmp_path / f"resnet34.{suffix}")
    assert torch.equal(network.encoder.layer1[0].conv1.weight, weights["layer1.0.conv1.weight"])


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of the network can be looked up."""

    def refused(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else it tries for a minute
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refused)


@pytest.mark.usefixtures("offline")
def test_offline_it_is_said_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"pretrained=True: https://download\.pytorch\.org/.*pth can't be fetched .*=FILE"
    ):
        MattingResNet34("bilinear", pretrained=True)
    fetch = r"nor to be had from the hub; fetch config\.json and model\.safetensors .* into a folder, and say"
    with pytest.raises(ValueError, match=rf"encoder\.pretrained=nvidia/mit-b0: .*{fetch} encoder\.pretrained=FOLDER"):
        MixTransformer("b0", pretrained=True)
    with pytest.raises(
        ValueError, match=rf"encoder\.source=someone/something: .*{fetch[:29]}.* encoder\.source=FOLDER"
    ):
        AutoEncoder("someone/something")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: the folder can't be read as weights; it has to hold config\.json"):
        MixTransformer("b0", pretrained=tmp_path / "empty")
    with pytest.raises(ValueError, match=r"mit_b0\.pth: there is no such file"):
        MixTransformer("b0", pretrained=tmp_path / "mit_b0.pth")


def test_nothing_is_fetched_without_being_asked(offline: None) -> None:
    MattingResNet34("bilinear", width=8)
    MixTransformer("b0")


@pytest.mark.parametrize("encoder", [{"name": "mit_b0"}, {"name": "resnet34"}, {"name": "lite0"}])
def test_a_file_of_other_classes_is_not_executed(encoder: dict[str, Any], tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "file.pth")
    with pytest.raises(
        ValueError, match=r"encoder\.pretrained=.*file\.pth: it holds torch\.nn\.modules\.linear\.Linear"
    ):
        create_encoder(**encoder, pretrained=tmp_path / "file.pth")

"""What every encoder owes a decoder, and each kind by itself."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from networks.encoder_cases import CASES, FAMILIES, MIT, encoder
from torch import Tensor, nn

from denseup.networks import Encoder, SegmentationNetwork, create_encoder, list_encoders, register_encoder
from denseup.networks.encoders import AutoEncoder, MixTransformer, ResNet34
from denseup.networks.encoders.base import IMAGENET_MEAN
from denseup.tasks import SegmentationTask


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [(64, 96), (37, 51)])
def test_maps_are_as_it_says(case: str, size: tuple[int, int]) -> None:
    module = encoder(case, in_channels=4).eval()
    assert module.in_channels == 4
    assert module.strides == sorted(module.strides)
    maps = module(torch.randn(1, 4, *size))
    expected = [(c, -(-size[0] // s), -(-size[1] // s)) for c, s in zip(module.channels, module.strides, strict=True)]
    assert [tuple(y.shape[1:]) for y in maps] == expected
    assert all(len(values) == 3 for values in (module.mean, module.std))


@pytest.mark.parametrize("case", CASES)
def test_it_is_built_on_the_meta_device_too(case: str) -> None:
    with torch.device("meta"):
        module = encoder(case).eval()
        assert len(module(torch.empty(1, 3, 64, 64))) == len(module.channels)


@pytest.mark.parametrize("case", CASES)
def test_building_one_draws_no_more_than_its_weights(case: str) -> None:
    """What is measured at construction leaves no trace in random numbers, modes or running statistics."""
    torch.manual_seed(0)
    one = encoder(case)
    after = torch.get_rng_state()
    torch.manual_seed(0)
    assert all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), encoder(case).state_dict().values(), strict=True)
    )
    assert torch.equal(after, torch.get_rng_state())
    assert all(module.training for module in one.modules())
    assert all((value == 0).all() for key, value in one.state_dict().items() if key.endswith("running_mean"))


def test_strides_that_no_config_tells_are_measured() -> None:
    strides = {family: encoder(family).strides for family in FAMILIES}
    assert strides == {**{family: [4, 8, 16, 32] for family in FAMILIES}, "dinov2": [14] * 4}


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"encoder 'mit_b9' is unknown. Did you mean 'mit_b\d'\? Known: auto, "):
        create_encoder("mit_b9")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="an encoder named 'resnet34' is registered already"):

        @register_encoder("resnet34")
        class Other(Encoder):
            pass


def test_every_file_of_the_package_is_looked_at() -> None:
    folder = Path(sys.modules["denseup.networks.encoders"].__file__).parent
    assert all(f"denseup.networks.encoders.{file.stem}" in sys.modules for file in folder.glob("[a-z]*.py"))
    assert {"auto", "resnet34", "timm", *(f"mit_b{i}" for i in range(6))} <= set(list_encoders())


def test_mix_transformers_are_presets_of_one_class() -> None:
    with torch.device("meta"):
        assert create_encoder("mit_b2").model.config.depths == [3, 4, 6, 3]
        assert isinstance(create_encoder("mit_b2"), MixTransformer)


def test_the_resnet_pools_by_what_it_is_given() -> None:
    module, x = encoder("resnet34").eval(), torch.randn(1, 3, 32, 32)
    seen: list[Tensor] = []

    def pool(en: Tensor) -> Tensor:
        seen.append(en)
        return nn.functional.avg_pool2d(en, 2)

    maps = module(x, [pool] * 4)
    assert [y.shape[1] for y in seen] == module.guides
    assert not torch.equal(maps[-1], module(x)[-1])


@pytest.mark.parametrize("family", FAMILIES)
def test_pretrained_weights_from_a_folder(family: str, tmp_path: Path) -> None:
    source = encoder(family).eval()
    source.model.save_pretrained(tmp_path)
    normalisation = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(normalisation))
    loaded = AutoEncoder(tmp_path, in_channels=4).eval()
    assert (loaded.mean, loaded.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    x = torch.randn(1, 4, 64, 64)
    for ours, theirs in zip(loaded(x), source(x[:, :3]), strict=True):  # what is behind the RGB changes nothing yet
        torch.testing.assert_close(ours, theirs)
    again = AutoEncoder(tmp_path, pretrained=False)
    assert (again.channels, again.strides) == (source.channels, source.strides)
    assert not all(torch.equal(a, b) for a, b in zip(again.parameters(), source.parameters(), strict=True))


@pytest.mark.parametrize("family", ["mit_b0", *FAMILIES])
def test_pretrained_weights_come_in_the_mode_of_training(family: str, tmp_path: Path) -> None:
    """transformers loads for inference: a training would go on without drop path, and with frozen batch norms."""
    encoder(family).model.save_pretrained(tmp_path)
    loaded = MixTransformer("b0", pretrained=tmp_path, **MIT) if family == "mit_b0" else AutoEncoder(tmp_path)
    assert all(module.training for module in loaded.modules())


def test_a_checkpoint_needs_no_source_to_know_its_normalisation(tmp_path: Path) -> None:
    encoder("resnet").model.save_pretrained(tmp_path)
    normalisation = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(normalisation))
    trained = SegmentationTask(SegmentationNetwork(AutoEncoder(tmp_path), 2, embed_dim=4), num_classes=2)
    rebuilt = SegmentationTask(SegmentationNetwork(encoder("resnet"), 2, embed_dim=4), num_classes=2)
    assert rebuilt.network.mean == IMAGENET_MEAN
    torch.save(trained.state_dict(), tmp_path / "weights.ckpt")
    rebuilt.load_state_dict(torch.load(tmp_path / "weights.ckpt", weights_only=True))
    assert (rebuilt.network.mean, rebuilt.network.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    assert torch.equal(rebuilt.mean, trained.mean)
    assert torch.equal(rebuilt.std, trained.std)
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(rebuilt.eval()(image), trained.eval()(image))


def test_a_folder_that_says_nothing_of_its_normalisation_is_warned_of(tmp_path: Path) -> None:
    encoder("resnet").model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="no preprocessor_config.json with image_mean and image_std"):
        assert AutoEncoder(tmp_path).mean == IMAGENET_MEAN


def test_a_mix_transformer_with_a_trimap_behind_the_image(tmp_path: Path) -> None:
    source = MixTransformer("b0").eval()
    source.model.save_pretrained(tmp_path)
    widened, x = MixTransformer("b0", in_channels=4, pretrained=tmp_path).eval(), torch.randn(1, 4, 32, 32)
    for ours, theirs in zip(widened(x), source(x[:, :3]), strict=True):
        torch.testing.assert_close(ours, theirs)
    with pytest.raises(ValueError, match="in_channels is 2, expected at least 3"):
        MixTransformer("b0", in_channels=2, pretrained=tmp_path)


def test_stages_are_chosen_by_number() -> None:
    config = {"model_type": "convnext", **FAMILIES["convnext"]}
    module = create_encoder("auto", config=config, stages=[1, 3])
    assert (module.channels, module.strides) == ([8, 16], [4, 16])
    with pytest.raises(ValueError, match=r"stages is \[5\], expected numbers from 1 to 4"):
        create_encoder("auto", config=config, stages=[5])


def test_what_is_no_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="the model type is 'clip', which transformers has no backbone of"):
        create_encoder("auto", config={"model_type": "clip"})
    with pytest.raises(
        ValueError, match=r"source is None, config is \{\}, expected a source, or a model_type in config"
    ):
        create_encoder("auto")
    with pytest.raises(ValueError, match="pretrained is True, but source is None: expected a local folder or hub name"):
        create_encoder("auto", pretrained=True)
    with pytest.raises(ValueError, match="pretrained is 'folder', expected True, False or None"):
        create_encoder("auto", source="name", pretrained="folder")


def test_timm_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match="pip install timm"):
        create_encoder("timm", model="resnet18")


class Features(nn.Module):
    """What timm gives for `features_only=True`, as far as it is used."""

    output_fmt = "NHWC"
    pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}

    def __init__(self, in_chans: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_chans, 6, 4, 4)
        self.feature_info = SimpleNamespace(channels=lambda: [6, 6], reduction=lambda: [4, 8])

    def forward(self, x: Tensor) -> list[Tensor]:
        y = self.stem(x)
        return [z.permute(0, 2, 3, 1) for z in (y, nn.functional.avg_pool2d(y, 2))]


def test_features_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def create_model(name: str, pretrained: bool, *, in_chans: int, **options: object) -> Features:
        asked.update(name=name, pretrained=pretrained, **options)
        return Features(in_chans)

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    module = create_encoder("timm", model="some", in_channels=4, stages=[1, 2], pretrained=True)
    assert asked == {"name": "some", "pretrained": True, "features_only": True, "out_indices": (1, 2)}
    assert [tuple(y.shape) for y in module(torch.randn(1, 4, 37, 51))] == [(1, 6, 10, 13), (1, 6, 5, 7)]
    assert not module.model.stem.weight[:, 3].any()
    assert (module.mean, module.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_a_resnet_that_was_pretrained_keeps_its_weights(tmp_path: Path) -> None:
    source = ResNet34(width=64)
    weights = {_torchvision(key): value for key, value in source.state_dict().items()}
    torch.save(weights, tmp_path / "resnet34.pth")
    module = ResNet34(in_channels=4, pretrained=tmp_path / "resnet34.pth")
    module.reset_parameters()
    assert torch.equal(module.layer3[0].conv1.weight, source.layer3[0].conv1.weight)
    assert not module.stem[0].weight[:, 3].any()


def _torchvision(key: str) -> str:
    key = key.replace("stem.0", "conv1").replace("stem.1", "bn1")
    return key.replace("proj_conv", "downsample.0").replace("proj_bn", "downsample.1")

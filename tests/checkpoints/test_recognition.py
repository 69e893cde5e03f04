"""What a file is of, told from keys and shapes: networks with every upsampler, and settings other than the usual."""

import re
from typing import Any

import pytest
import torch
from golden import manifest
from official_files import official, published

from denseup.checkpoints import load_official
from denseup.checkpoints.recognition import Candidate, Stage, candidates, recognise
from denseup.networks import MattingResNet34, MixTransformer, SegFormer, SegFormerHead
from denseup.networks.encoders.mit_keys import VARIANTS, variant_of
from denseup.upsamplers import create_upsampler, list_upsamplers, registry
from denseup.weights import shapes_of, unwrap

NAMES = list_upsamplers()
WIDTH = 16
SLOW = pytest.mark.slow
WITHOUT_WEIGHTS = [name for name in NAMES if not create_upsampler(name, de_channels=WIDTH).state_dict()]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "a2u": [
        {"kernel_size": 5, "encoder_kernel_size": 4, "shared": False},
        {"groups": 4, "own_downsampling": False},
    ],
    "carafe": [{"kernel_size": 3, "groups": 2, "encoder_kernel_size": 1, "embed_channels": 24}],
    "deconv": [{"kernel_size": 6}],
    "dlu": [{"kernel_size": 3, "groups": 2, "encoder_kernel_size": 5, "embed_channels": 24}],
    "dysample": [{"groups": 8, "dynamic_scope": True}, {"style": "pl", "groups": 2}],
    "fade": [{"kernel_size": 7, "embed_channels": 24, "encoder_kernel_size": 5}],
    "fade_lite": [{"kernel_size": 3, "encoder_kernel_size": 5}],
    "freqfusion": [
        {"kernel_size": 3, "high_kernel_size": 5, "embed_channels": 24},
        {"resample": True, "resample_groups": 2, "resample_norm": False},
    ],
    "frfu": [{"groups": 2, "kernel_size": 5}],
    "indexnet": [{"nonlinear": False}, {"context": False}, {"kind": "m2o", "nonlinear": False, "context": False}],
    "jbu": [{"embed_channels": 24, "radius": 2}],
    "jbu_stack": [{"embed_channels": 24, "radius": 2}],
    "lda_aqu": [{"kernel_size": 5, "reduction": 2, "groups": 4, "heads": 2}, {"position_bias": False}],
    "naf": [{"embed_channels": 64, "blocks": 1}],
    "pixel_shuffle": [{"encoder_kernel_size": 5}],
    "sapa": [{"embed_channels": 32}, {"embed_channels": 24, "query": "gate"}],
    "sapa_d": [{"norm": True}],
    "semishift": [{"kernel_size": 3, "embed_channels": 24}],
}
"""Settings that are nowhere the default."""
UNTOLD = {"carafe": ("encoder_dilation",), "sapa": ("kernel_size",), "lda_aqu": ("reach",), "fade": ()}


def stages(name: str, widths: tuple[int, ...] = (64, 32), **options: Any) -> list[Stage]:
    with torch.device("meta"):
        built = [create_upsampler(name, de_channels=width, en_channels=width, **options) for width in widths]
    return [Stage(width, shapes_of(official(one))) for width, one in zip(widths, built, strict=True)]


def options_of(found: Candidate) -> dict[str, Any]:
    """All that it says, with what its name fixes."""
    return {**registry.UPSAMPLERS.preset(found.name), **found.options}


@pytest.fixture(scope="module")
def backbone() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {f"backbone.{key}": shape for key, shape in shapes_of(official(MixTransformer("b0"))).items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_matting_network_and_its_upsampler(name: str) -> None:
    with torch.device("meta"):
        tensors = official(MattingResNet34(name, width=WIDTH, depths=(2, 1, 3)))
    found = recognise(shapes_of(tensors))
    assert (found.task, found.num_classes, found.model) == ("matting", None, {"width": WIDTH})
    assert found.encoder == {"name": "resnet34", "width": WIDTH, "depths": [2, 1, 3]}
    fitting = [one.name for one in candidates(found.stages)]
    assert fitting == (WITHOUT_WEIGHTS if name in WITHOUT_WEIGHTS else [name])


@pytest.mark.parametrize("aliases", ["first", "last"])
@pytest.mark.parametrize("name", ["a2u", "fade", "indexnet_m2o"])
def test_what_is_recognised_loads_whole(name: str, aliases: str) -> None:
    """By either spelling of keys."""
    options = {"width": 8, "depths": (1, 1, 1)}
    source, target = MattingResNet34(name, **options), MattingResNet34(name, **options)
    tensors = unwrap(published(official(source, aliases)))
    assert [one.name for one in candidates(recognise(shapes_of(tensors)).stages)] == [name]
    report = load_official(target, tensors)
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], {})
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in target.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_segformer_and_its_upsampler(name: str, backbone: dict[str, tuple[int, ...]]) -> None:
    with torch.device("meta"):
        head = official(SegFormerHead([32, 64, 160, 256], 7, name, embed_dim=WIDTH))
    found = recognise({**backbone, **{f"decode_head.{key}": shape for key, shape in shapes_of(head).items()}})
    assert (found.task, found.num_classes, found.model) == ("segmentation", 7, {"embed_dim": WIDTH})
    fitting = [one.name for one in candidates(found.stages)]
    assert fitting == (WITHOUT_WEIGHTS if name in WITHOUT_WEIGHTS else [name])


@pytest.mark.parametrize("variant", [v if v in ("b0", "b1", "b2") else pytest.param(v, marks=SLOW) for v in VARIANTS])
def test_every_mix_transformer(variant: str) -> None:
    with torch.device("meta"):
        tensors = official(SegFormer(variant, 3, "bilinear", embed_dim=8))
    assert recognise(shapes_of(tensors)).encoder == {"name": f"mit_{variant}"}


def test_the_variants_differ_in_what_is_looked_at() -> None:
    assert [variant_of(sizes) for sizes in VARIANTS.values()] == list(VARIANTS)
    assert variant_of({"hidden_sizes": [1, 2, 3, 4], "depths": [1, 1, 1, 1]}) is None


@pytest.mark.parametrize(("name", "options"), [(name, one) for name, several in OPTIONS.items() for one in several])
def test_options_are_read_from_the_shapes(name: str, options: dict[str, Any]) -> None:
    (found,) = candidates(stages(name, **options))
    assert registry.UPSAMPLERS.factories[found.name][0] is registry.UPSAMPLERS.factories[name][0]
    assert {key: options_of(found)[key] for key in options} == options
    assert candidates(stages(name, **options), name, options)[0].options.items() >= options.items()


def test_every_operator_with_weights_has_other_settings_here() -> None:
    factories = {registry.UPSAMPLERS.factories[name][0] for name in OPTIONS}
    assert {registry.UPSAMPLERS.factories[name][0] for name in NAMES if name not in WITHOUT_WEIGHTS} == factories


@pytest.mark.parametrize("name", UNTOLD)
def test_options_that_no_shape_tells_are_named(name: str) -> None:
    (found,) = candidates(stages(name))
    assert (found.untold, found.others) == (UNTOLD[name], [])
    given = dict.fromkeys(UNTOLD[name], 3)
    assert candidates(stages(name), name, given)[0].untold == ()


def test_settings_of_the_same_shapes_are_listed() -> None:
    """Of SAPA-D only products show: the defaults are taken, and said to be one of several; else all are candidates."""
    (usual,) = candidates(stages("sapa_d"))
    assert usual.options["groups"] == 4
    assert usual.others
    unusual = candidates(stages("sapa_d", groups=2, points=4, embed_channels=16))
    assert len(unusual) > 1
    assert any(one.options["groups"] == 2 and one.options["points"] == 4 for one in unusual)
    (told,) = candidates(stages("sapa_d", groups=2, points=4, embed_channels=16), "sapa_d", {"groups": 2, "points": 4})
    assert told.options["embed_channels"] == 16


def test_what_is_asked_for_and_does_not_fit_is_no_candidate() -> None:
    assert not candidates(stages("fade"), "carafe")
    assert not candidates(stages("fade"), "fade", {"kernel_size": 7})
    assert not candidates(stages("dysample"), "dysample_pl")
    assert candidates(stages("dysample_pl"), "dysample")[0].options["style"] == "pl"
    with pytest.raises(ValueError, match="upsampler 'fade' has no option colour, valid: kernel_size"):
        candidates(stages("fade"), "fade", {"colour": 1})
    with pytest.raises(ValueError, match="fixes style='pl', but style is 'lp'"):
        candidates(stages("dysample"), "dysample_pl", {"style": "lp"})
    with pytest.raises(ValueError, match="Did you mean 'fade'"):
        candidates(stages("fade"), "fad")


@pytest.mark.parametrize("file", ["matting", "segformer"])
def test_the_published_key_lists(file: str) -> None:
    for name, case in manifest(file).items():
        prefix = "decode_head." if name.startswith("head") else ""
        shapes = {f"{prefix}{key}": tuple(shape) for key, shape in case["state_dict"].items()}
        if prefix:
            backbone = manifest("segformer")["backbone_mit_b1"]["state_dict"]
            shapes |= {f"backbone.{key}": tuple(shape) for key, shape in backbone.items()}
        if name == "backbone_mit_b1":
            with pytest.raises(ValueError, match=r"Mix Transformer b1, an encoder alone, .* encoder\.pretrained=PATH"):
                recognise(shapes)
            continue
        found = recognise(shapes)
        assert found.encoder["name"] == ("resnet34" if file == "matting" else "mit_b1")
        expected = next(
            kind for kind in ("fade", "carafe", "a2u", "indexnet", "bilinear") if kind in name.split("repo")[-1]
        )
        assert expected in [one.name for one in candidates(found.stages)]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "no weights"),
        ({"conv1.weight": (64, 3, 7, 7), "layer1.0.conv1.weight": (64, 64, 3, 3)}, "a ResNet of [1, 0, 0, 0] blocks"),
        ({"segformer.encoder.x": (1,)}, "a SegFormer of transformers"),
        ({"decode_head.convs.0.conv.weight": (1,)}, "in the layout of mmsegmentation 1"),
        ({"a": (1,), "b": (2,)}, "unknown weights, a, b, …"),
        ({"layer0.0.weight": (32, 4, 3, 3), "pred.1.weight": (1, 1, 3, 3)}, "another matting network"),
    ],
)
def test_what_it_is_instead_is_said(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        recognise(shapes)


def test_an_operator_from_elsewhere_is_recognised_by_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.UPSAMPLERS, "factories", dict(registry.UPSAMPLERS.factories))

    @registry.register_upsampler("mine")
    class Mine(registry.Upsampler):
        def __init__(self, de_channels: int, en_channels: int | None = None, scale_factor: int = 2, *, size: int = 3):
            super().__init__(de_channels, en_channels, scale_factor)
            self.mix = torch.nn.Conv2d(de_channels, de_channels, size)

    assert [one.name for one in candidates(stages("mine"))] == ["mine"]
    assert not candidates(stages("mine", size=5))
    assert candidates(stages("mine", size=5), "mine", {"size": 5})[0].options == {"size": 5}

"""Every decoder of segmentation_models.pytorch: which of its steps are replaced, and by what guided."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from denseup.integrations.smp import example_of, replace_upsampling, replacements, restore_upsampling

WHY = "it is not installed beside torch's CPU build: torch==2.14.1 torchvision==0.29.1 have it"
smp = pytest.importorskip("segmentation_models_pytorch", reason=WHY, exc_type=ImportError)

X = (2, 3, 128, 160)  # PAN pools to a sixteenth three times more


IMAGE = "decoder's features[0]"
DENSE = ["x_0_0", "x_1_1", "x_2_2", "x_3_3", "x_0_1", "x_1_2", "x_2_3", "x_0_2", "x_1_3", "x_0_3"]
PYRAMID = [f"decoder.p{i}'s skip" for i in (4, 3, 2)] + [f"decoder.p{i}" for i in (4, 3, 2, 3, 2, 2)]
LATERAL = [f"decoder.fpn_lateral_blocks.{i}.conv_norm_relu" for i in range(3)]
GUIDES = {
    "Unet": [*(f"decoder.blocks.{i}'s skip_connection" for i in range(4)), IMAGE],
    "UnetPlusPlus": [*(f"decoder.blocks.{name}'s skip" for name in DENSE), IMAGE],
    "MAnet": [*(f"decoder.blocks.{i}'s skip" for i in range(4)), IMAGE],
    "Linknet": [*(f"decoder.blocks.{i}'s skip" for i in range(4)), IMAGE],
    "FPN": PYRAMID,
    "UPerNet": [*LATERAL, *["decoder.fpn_conv_blocks.2"] * 3],
    "Segformer": ["decoder's features[2]"] * 3,
    "PAN": [*(f"decoder.fpa.{name}" for name in ("down2", "down1", "mid")), "decoder.gau2's x", "decoder.gau1's x"],
    "DeepLabV3Plus": ["decoder's features[2]"],
}
LEFT = {
    "FPN": ["nothing learned"],
    "UPerNet": [*["its map is pooled"] * 3, "it makes maps smaller", "its result is of the same", "nothing learned"],
    "Segformer": ["its result is of the same", "it makes maps smaller", "nothing learned"],
    "PAN": ["its map is pooled", "its result is of the same", "nothing learned"],
    "DeepLabV3Plus": ["its map is pooled", "nothing learned"],
}


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return getattr(smp, name)("resnet18", encoder_weights=None, classes=2).eval()


@pytest.mark.parametrize("name", GUIDES)
def test_decoder(name: str) -> None:
    model = network(name)
    state = {key: x.clone() for key, x in model.state_dict().items()}
    shapes = [model(torch.randn(x)).shape for x in (X, (1, 3, 160, 128))]
    assert replace_upsampling(model, "fade", start="neutral") is model
    report = replacements(model)
    assert [step.guide for step in report.replaced] == GUIDES[name]
    for step, reason in zip(report.left, LEFT.get(name, []), strict=True):
        assert step.reason.startswith(reason)
    assert [model(torch.randn(x)).shape for x in (X, (1, 3, 160, 128))] == shapes
    after = model.state_dict()
    gone = {key for key in state if key not in after}
    assert all(name == "Linknet" and ".block.1.0." in key for key in gone)  # transposed convolutions
    kept = [key for key in state if key not in gone]
    torch.testing.assert_close({k: after[k] for k in kept}, {k: state[k] for k in kept}, rtol=0, atol=0)
    model.train()(torch.randn(X)).square().mean().backward()
    lacking = [key for key, p in model.named_parameters() if key not in state and p.grad is None]
    assert lacking == []


@pytest.mark.parametrize("name", ["DeepLabV3", "PSPNet"])
def test_decoders_without_a_step(name: str) -> None:
    """Pooled summaries and logits are all that they raise."""
    model = network(name)
    with pytest.warns(UserWarning, match="found nothing to replace"):
        replace_upsampling(model, "fade")
    assert len(replacements(replace_upsampling(model, "carafe", logits=True)).replaced) == 1


def test_the_head_is_taken_if_asked() -> None:
    model = replace_upsampling(network("FPN"), "carafe", logits=True)
    assert replacements(model)[-1].module == "segmentation_head.1"
    assert replacements(model)[-1].upsampler == "carafe"
    assert model(torch.randn(X)).shape == (2, 2, 128, 160)


def test_joined_guides_alone() -> None:
    model = replace_upsampling(network("Unet"), "fade", guides="joined", otherwise="dysample")
    assert [step.upsampler for step in replacements(model)] == ["fade"] * 4 + ["dysample"]


@pytest.mark.parametrize("name", ["UPerNet", "Segformer"])
def test_bilinear_is_what_was(name: str) -> None:
    """Their decoders use half-pixel centres."""
    model, x = network(name), torch.randn(X)
    before = model(x)
    assert torch.equal(replace_upsampling(model, "bilinear")(x), before)


def test_nearest_is_what_was() -> None:
    for name in ("Unet", "UnetPlusPlus", "MAnet"):
        model, x = network(name), torch.randn(X)
        before = model(x)
        assert torch.equal(replace_upsampling(model, "nearest")(x), before)


def test_a_unet_by_hand() -> None:
    """What the first block gives, from its own weights and its skip."""
    model = replace_upsampling(network("Unet"), "fade")
    *_, skip, last = model.encoder(torch.randn(X))
    block = model.decoder.blocks[0]
    raised: Tensor = block.upsampling.upsampler(last, skip)
    expected = block.conv2(block.conv1(torch.cat([raised, skip], 1)))
    torch.testing.assert_close(block(last, *skip.shape[2:], skip), expected)


def test_copies_and_another_operator() -> None:
    model, x = replace_upsampling(network("Unet"), "fade"), torch.randn(X)
    expected = model(x)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), expected)
    replace_upsampling(model, "carafe")
    assert {step.upsampler for step in replacements(model)} == {"carafe"}
    assert list(restore_upsampling(model).state_dict()) == list(network("Unet").state_dict())


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "tu-resnet10t"])
def test_other_encoders_and_channels(encoder: str) -> None:
    model = smp.Unet(encoder, encoder_weights=None, in_channels=4).eval()
    assert example_of(model).shape[1] == 4
    replace_upsampling(model, "fade")
    assert len(replacements(model).replaced) == 5


def test_an_encoder_without_a_map_at_half_the_size() -> None:
    model = smp.Unet("mit_b0", encoder_weights=None).eval()
    replace_upsampling(model, "fade")
    assert [step.upsampler for step in replacements(model)] == ["fade"] * 3 + [None, "fade"]
    assert replacements(model)[3].reason == "fade is guided, and no map of its result's size was made before it"
    replace_upsampling(model, "fade", otherwise="dysample")
    assert replacements(model)[3].upsampler == "dysample"


def test_another_models_name_in_the_error() -> None:
    with pytest.raises(ValueError, match="model is Conv2d, expected one of segmentation_models_pytorch"):
        replace_upsampling(nn.Conv2d(3, 3, 1), "fade")


def test_a_unet_exports() -> None:
    model = replace_upsampling(network("Unet"), "fade")
    x = torch.randn(X)
    with torch.no_grad():
        program = torch.export.export(model, (x,))
        torch.testing.assert_close(program.module()(x), model(x))

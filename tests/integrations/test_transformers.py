"""Networks of transformers, small ones with random weights, offline: what is replaced in them, and by what guided."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from denseup.integrations.torch import Report, Step, replace_upsampling, replacements

transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install 'denseup[train]'")

SMALL = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}
STAGES = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
VIT = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 64}


def segformer() -> nn.Module:
    config = transformers.SegformerConfig(**SMALL, num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16)
    return transformers.SegformerForSemanticSegmentation(config)


def upernet() -> nn.Module:
    backbone = transformers.ConvNextConfig(**SMALL, **STAGES)
    heads = {"auxiliary_in_channels": 24, "auxiliary_channels": 8}
    config = transformers.UperNetConfig(backbone_config=backbone, hidden_size=16, **heads)
    return transformers.UperNetForSemanticSegmentation(config)


def dpt() -> nn.Module:
    neck = {"neck_hidden_sizes": [8, 8, 16, 16], "fusion_hidden_size": 16, "backbone_out_indices": [0, 1, 2, 3]}
    return transformers.DPTForDepthEstimation(transformers.DPTConfig(**VIT, **neck, patch_size=16))


def mask2former() -> nn.Module:
    backbone = transformers.SwinConfig(
        image_size=128, embed_dim=8, depths=[1] * 4, num_heads=[1, 1, 2, 2], window_size=4, **STAGES
    )
    widths = dict.fromkeys(("feature_size", "mask_feature_size", "hidden_dim"), 32)
    depths = {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "num_queries": 5}
    config = transformers.Mask2FormerConfig(backbone_config=backbone, **widths, **depths, encoder_feedforward_dim=32)
    return transformers.Mask2FormerForUniversalSegmentation(config)


def glpn() -> nn.Module:
    config = transformers.GLPNConfig(**SMALL, num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16)
    return transformers.GLPNForDepthEstimation(config)


HEAD, FUSION = "decode_head", "neck.fusion_stage"
DECODER = "model.pixel_level_module.decoder"
GUIDES: dict[Callable[[], nn.Module], list[tuple[str, str]]] = {
    segformer: [(HEAD, "decode_head's encoder_hidden_states[0]")] * 3,
    upernet: [(HEAD, f"decode_head.lateral_convs.{i}") for i in (2, 1, 0)] + [(HEAD, "decode_head.fpn_convs.0")] * 3,
    dpt: [(f"{FUSION}.layers.{2 - i}", f"{FUSION}'s hidden_states[{i}]") for i in (2, 1, 0)],
    mask2former: [(DECODER, f"{DECODER}.adapter_1")],
    glpn: [(f"decoder.stages.{2 - i}.upsample", f"decoder's hidden_states[{i}]") for i in (2, 1, 0)],
}


@pytest.mark.parametrize("make", GUIDES, ids=lambda make: make.__name__)
def test_guided(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = make().train()
    state = {key: x.clone() for key, x in model.state_dict().items()}
    replace_upsampling(model, "fade", {"pixel_values": torch.randn(1, 3, 128, 128)}, start="neutral")
    assert [(step.module, step.guide) for step in replacements(model).replaced] == GUIDES[make]
    after = model.state_dict()
    assert [key for key in after if "upsampl" not in key or key in state] == list(state)
    torch.testing.assert_close({key: after[key] for key in state}, state, rtol=0, atol=0)
    out = model.eval()(pixel_values=torch.randn(2, 3, 128, 64) if make is not dpt else torch.randn(2, 3, 64, 64))
    first(out).square().mean().backward()
    new = {key: p for key, p in model.named_parameters() if key not in state}
    assert new
    assert [key for key, p in new.items() if p.grad is None] == []


def first(out) -> Tensor:
    """The first output that the head makes."""
    return next(out[key] for key in ("logits", "predicted_depth", "masks_queries_logits") if key in out)


def reasons(report: Report) -> list[tuple[str, str]]:
    return [(step.module, re.split(r": | \(", step.reason)[0]) for step in report.left]


def test_left_in_upernet() -> None:
    model = replace_upsampling(upernet(), "carafe", {"pixel_values": torch.randn(1, 3, 256, 256)})
    pooled = ("decode_head.psp_modules", "its map is pooled to a fixed size")
    logits = ("", "nothing learned comes after it")
    assert reasons(replacements(model)) == [pooled] * 4 + [logits] * 2
    assert len(replacements(model).replaced) == 6


def test_left_in_dpt() -> None:
    """At other sizes than its own it resizes its position embedding."""
    model = replace_upsampling(dpt(), "fade", (torch.randn(1, 3, 128, 128),))
    report = replacements(model)
    positions, *others = report.left
    assert positions.reason.startswith("what it raises does not depend on the input")
    assert [step.module for step in others] == [
        "neck.reassemble_stage.layers.0.resize",
        "neck.reassemble_stage.layers.1.resize",
        "neck.fusion_stage.layers.3",
        "head.head.1",
    ]
    assert all("meets no map of its size" in step.reason for step in others)
    unguided = replacements(replace_upsampling(model, "dysample", torch.randn(1, 3, 128, 128)))
    assert {step.module for step in unguided.replaced} >= {step.module for step in others}
    assert notes(unguided[1]) == ["its learned weights are gone"]


def notes(step: Step) -> list[str]:
    return step.notes


def test_bilinear_segformer_is_what_it_was() -> None:
    model, x = segformer().eval(), torch.randn(1, 3, 64, 96)
    before = model(x).logits
    after = replace_upsampling(model, "bilinear", {"pixel_values": x})(x).logits
    assert torch.equal(before, after)


def test_the_class_keeps_its_name(tmp_path: Path) -> None:
    model = replace_upsampling(segformer(), "fade", {"pixel_values": torch.randn(1, 3, 64, 64)})
    model.save_pretrained(tmp_path)
    assert '"SegformerForSemanticSegmentation"' in (tmp_path / "config.json").read_text()
    kind = transformers.SegformerForSemanticSegmentation
    assert isinstance(model, kind)
    again = replace_upsampling(kind.from_pretrained(tmp_path), "fade", {"pixel_values": torch.randn(1, 3, 64, 64)})
    again.load_state_dict(model.state_dict())  # transformers leaves out what its class does not have
    x = torch.randn(1, 3, 96, 64)
    assert torch.equal(again.eval()(x).logits, model.eval()(x).logits)


def test_compiled_segformer() -> None:
    torch._dynamo.reset()
    x = torch.randn(1, 3, 64, 64)
    head = replace_upsampling(segformer().eval(), "fade", {"pixel_values": x})
    compiled = torch.compile(head, backend="eager", dynamic=False)
    torch.testing.assert_close(compiled(x).logits, head(x).logits)

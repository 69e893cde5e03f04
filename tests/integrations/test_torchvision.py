"""Networks of torchvision, random weights, and one of timm: what is replaced in them, and by what guided."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from denseup.integrations.torch import find_upsampling, replace_upsampling, replacements

WHY = "it is not installed beside torch's CPU build: torch==2.14.1 torchvision==0.29.1 have it"
X = (2, 3, 128, 128)


@pytest.fixture(scope="module")
def models():
    return pytest.importorskip("torchvision", reason=WHY, exc_type=ImportError).models


BARE = {"weights": None, "weights_backbone": None, "num_classes": 3}


@pytest.mark.parametrize(
    ("name", "options"), [("deeplabv3_mobilenet_v3_large", {"aux_loss": True}), ("fcn_resnet50", {})]
)
def test_networks_that_raise_their_logits_only(models, name: str, options: dict) -> None:
    model = getattr(models.segmentation, name)(**BARE, **options).eval()
    x = torch.randn(X)
    with pytest.warns(UserWarning, match="found nothing to replace"):
        replace_upsampling(model, "fade", x)
    pooled = ["its map is pooled"] * name.startswith("deeplab")
    logits = ["nothing learned comes after"] * (1 + name.startswith("deeplab"))
    for step, reason in zip(replacements(model), pooled + logits, strict=True):
        assert step.reason.startswith(reason)
    replace_upsampling(model, "carafe", x, logits=True)
    assert [step.module for step in replacements(model).replaced] == [""] * len(logits)
    assert model(torch.randn(1, 3, 96, 64))["out"].shape == (1, 3, 96, 64)


def test_lraspp(models) -> None:
    model = models.segmentation.lraspp_mobilenet_v3_large(**BARE).eval()
    replace_upsampling(model, "fade", torch.randn(X))
    assert [step.guide for step in replacements(model)] == ["classifier's input['low']", None]
    out = model(torch.randn(1, 3, 100, 72))["out"]
    out.sum().backward()
    assert all(p.grad is not None for p in model.classifier.upsampling.parameters())


@pytest.mark.parametrize("name", ["fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "retinanet_resnet50_fpn"])
def test_feature_pyramids_of_detectors(models, name: str) -> None:
    """They take a list of images, and what they find decides how often later parts run."""
    model = getattr(models.detection, name)(**BARE, min_size=128, max_size=128)
    replace_upsampling(model, "fade", ([torch.rand(3, 128, 128)],))
    levels = (1, 0) if name.startswith("retina") else (2, 1, 0)
    assert [step.guide for step in replacements(model).replaced] == [f"backbone.fpn.inner_blocks.{i}" for i in levels]
    assert replacements(model)[0].reason == "what it raises is the input, or nothing learned of it"
    larger = getattr(models.detection, name)(**BARE, min_size=160, max_size=160)  # which raises the image first
    report = find_upsampling(larger, ([torch.rand(3, 64, 64)],))
    assert [step.guide for step in report.replaced] == [step.guide for step in replacements(model).replaced]
    images = [torch.rand(3, 128, 96), torch.rand(3, 90, 128)]
    box = {"boxes": torch.tensor([[8.0, 8.0, 60.0, 60.0]]), "labels": torch.tensor([1])}
    if name.startswith("mask"):
        box["masks"] = torch.ones(1, 128, 128, dtype=torch.uint8)
    losses = model.train()(images, [box, {**box, "masks": torch.ones(1, 90, 128, dtype=torch.uint8)}])
    sum(losses.values()).backward()
    ups = model.backbone.fpn.named_parameters()
    assert [key for key, p in ups if "upsampling" in key and p.grad is None] == []


def test_bilinear_lraspp_is_what_it_was(models) -> None:
    model = models.segmentation.lraspp_mobilenet_v3_large(**BARE).eval()
    x = torch.randn(X)
    before = model(x)["out"]
    assert torch.equal(replace_upsampling(model, "bilinear", x)(x)["out"], before)


class Pyramid(nn.Module):
    """An FPN by hand on any backbone of timm that gives features only."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.laterals = nn.ModuleList([nn.Conv2d(c, 16, 1) for c in backbone.feature_info.channels()])
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        *maps, top = (conv(y) for conv, y in zip(self.laterals, self.backbone(x), strict=True))
        for lateral in reversed(maps):
            top = lateral + F.interpolate(top, size=lateral.shape[2:], mode="nearest")
        return self.head(top)


def test_a_pyramid_on_timm() -> None:
    timm = pytest.importorskip("timm", reason=WHY, exc_type=ImportError)
    backbone = timm.create_model("resnet10t", pretrained=False, features_only=True)
    model = replace_upsampling(Pyramid(backbone), "fade", torch.randn(X))
    assert [step.guide for step in replacements(model)] == [f"laterals.{i}" for i in (3, 2, 1, 0)]
    assert model.eval()(torch.randn(1, 3, 75, 90)).shape == (1, 2, 38, 45)


def test_hrnet_of_timm() -> None:
    """Ten steps in modules of their own; each meets the branch that it is added to."""
    timm = pytest.importorskip("timm", reason=WHY, exc_type=ImportError)
    model = timm.create_model("hrnet_w18_small", pretrained=False, features_only=True).eval()
    found = find_upsampling(model, torch.randn(X), "fade")
    assert len(found.replaced) == len(found) == 10
    for step in found:
        stage, _, _, output, *_ = step.module.split(".")
        assert step.guide in (f"{stage}.0's x[{output}]", f"{stage}.0.fuse_layers.{output}.0")

"""What `replace_upsampling` leaves as it is, with the reason."""

import pytest
import torch
from integrations.planted import Encoder, Planted, Unet, marking
from torch import Tensor, nn
from torch.nn import functional as F
from upsamplers.sample_operators import JointBilateral

from denseup.integrations.torch import Step, find_upsampling, replace_upsampling, replacements
from denseup.upsamplers.registry import UPSAMPLERS

__all__ = ["marking"]  # the fixture


class One(Planted):
    """One step on the map of 1/8, in a module of its own."""

    def __init__(self, step: nn.Module, channels: int = 16) -> None:
        super().__init__(channels)
        self.step = step

    def neck(self, one: Tensor, two: Tensor, three: Tensor) -> Tensor:
        return self.step(three)


class Lambda(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.position = nn.Parameter(torch.randn(1, 16, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


class OwnForward(nn.ConvTranspose2d):
    def forward(self, x):
        return super().forward(x) * 2


UP = {"scale_factor": 2}
LEFT = {
    "smaller": (Lambda(lambda _, x: F.interpolate(x, scale_factor=0.5)), "it makes maps smaller"),
    "smaller in one direction": (Lambda(lambda _, x: F.interpolate(x, size=(8, 3))), "it makes maps smaller"),
    "the same size": (Lambda(lambda _, x: F.interpolate(x, size=(4, 6))), "its result is of the same size"),
    "one dimension": (Lambda(lambda _, x: F.interpolate(x.flatten(2), **UP)[..., None]), "its map has 1 dimensions"),
    "three": (Lambda(lambda _, x: F.interpolate(x[:, :, None], **UP)[:, :, 0]), "its map has 3 dimensions"),
    "antialias": (
        Lambda(lambda _, x: F.interpolate(x, scale_factor=2, mode="bilinear", antialias=True)),
        "antialias=True asks for a certain filter",
    ),
    "bytes": (Lambda(lambda _, x: F.interpolate((x > 0).byte(), **UP).float()), "its map is torch.uint8: no feature"),
    "position embedding": (
        Lambda(lambda self, x: x + F.interpolate(self.position, size=x.shape[2:])),
        "what it raises does not depend on the input",
    ),
    "pooled": (
        Lambda(lambda _, x: x + F.interpolate(F.adaptive_avg_pool2d(x, (2, 3)) * 2, size=x.shape[2:])),
        "its map is pooled to a fixed size",
    ),
    "mean": (
        Lambda(lambda _, x: x + F.interpolate(x.mean((2, 3), keepdim=True), size=x.shape[2:])),
        "its map is pooled to a fixed size",
    ),
    "pixel shuffle": (
        nn.Sequential(nn.Conv2d(16, 64, 1), nn.PixelShuffle(2)),
        "the convolution before it makes what is shuffled",
    ),
    "functional": (
        Lambda(lambda self, x: F.conv_transpose2d(x, self.position.mT[:, :16].expand(16, 16, 3, 2), stride=(3, 2))),
        "its weights are not those of an nn.ConvTranspose2d",
    ),
    "stride 1": (nn.ConvTranspose2d(16, 16, 3), "its stride is (1, 1): it is a convolution"),
    "dilated": (
        nn.ConvTranspose2d(16, 16, 2, stride=2, dilation=2, padding=1, output_padding=1),
        "its dilation is (2, 2)",
    ),
    "2h + 1": (nn.ConvTranspose2d(16, 16, 3, stride=2), "its result is not its stride times its map"),
    "a forward of its own": (OwnForward(16, 16, 2, stride=2), "OwnForward has a forward of its own"),
    "on the object": (Lambda(None), "its module's forward is set on the object"),
    "max unpooling": (
        Lambda(lambda _, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
        "it goes by the indices of its pooling",
    ),
}


@pytest.mark.parametrize("case", LEFT)
def test_left_with_the_reason(case: str) -> None:
    step, reason = LEFT[case]
    model = One(step).eval()
    if case == "on the object":
        step.forward = lambda x: F.interpolate(x, scale_factor=2)
    x = torch.randn(1, 3, 32, 48)
    before, classes = model(x), [type(module) for module in model.modules()]
    with pytest.warns(UserWarning, match="found nothing to replace in One"):
        assert replace_upsampling(model, "carafe", x) is model
    (found,) = replacements(model)
    assert reason in found.reason
    assert found.upsampler is None
    assert torch.equal(model(x), before)
    assert [type(module) for module in model.modules()] == classes


def only(model: nn.Module, upsampler: str, **options) -> Step:
    (step,) = find_upsampling(model, torch.randn(1, 3, 32, 48), upsampler, **options)
    return step


class Logits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.act = nn.Sigmoid()

    def forward(self, x):
        return self.act(F.interpolate(self.encoder(x)[0], x.shape[2:], mode="bilinear"))


def test_logits_are_left_unless_asked() -> None:
    assert only(Logits(), "carafe").reason.startswith("nothing learned comes after it")
    assert only(Logits(), "carafe", logits=True).upsampler == "carafe"
    assert "meets no map" in only(Logits(), "fade", logits=True).reason
    assert only(Logits(), "fade", logits=True, guides="any").guide == "the model's x"


class Input(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()

    def forward(self, x):
        return self.encoder(F.interpolate(x, scale_factor=1.5, mode="bilinear"))[0]


def test_the_input_is_no_feature() -> None:
    assert only(Input(), "carafe").reason == "what it raises is the input, or nothing learned of it"


@pytest.mark.parametrize(
    ("step", "upsampler", "reason"),
    [
        (nn.Upsample(size=(10, 13)), "deconv", r"deconv cannot make \(10, 13\) of \(4, 6\)"),
        (nn.Upsample(scale_factor=(2, 4)), "pixel_shuffle", r"pixel_shuffle cannot make \(8, 24\)"),
        (nn.Upsample(scale_factor=2), "dysample_pl", None),
        (nn.Upsample(size=(10, 13)), "carafe", None),
    ],
)
def test_what_an_operator_cannot_do(step: nn.Module, upsampler: str, reason: str | None) -> None:
    found = only(One(step), upsampler)
    assert (found.upsampler is None) == (reason is not None)
    if reason is not None:
        with pytest.raises(ValueError, match=f"{upsampler} can do none of the steps; step: {reason}"):
            replace_upsampling(One(step), upsampler, torch.randn(1, 3, 32, 48))


def test_an_upsampler_that_fits_no_step() -> None:
    with pytest.raises(
        ValueError, match="dysample can do none of the steps; step: groups is 3, expected a divisor of de_channels, 16"
    ):
        replace_upsampling(One(nn.Upsample(scale_factor=2)), "dysample", torch.randn(1, 3, 32, 48), groups=3)


def test_the_other_channels_of_a_module_that_has_one_number() -> None:
    class Both(Planted):
        def __init__(self) -> None:
            super().__init__(24)
            self.step = Lambda(lambda _, x: F.interpolate(x, size=(16, 24)))

        def neck(self, one, two, three):
            return torch.cat([self.step(two), self.step(three)], 1)

    assert "maps of 8 and 16 channels" in only(Both(), "carafe").reason


def test_scripted_parts_are_told() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(16, 16, 1)))
    step = only(One(scripted), "carafe")
    assert (step.module, step.reason) == ("step", "torch.jit compiled it: its code is fixed")
    with pytest.raises(ValueError, match=r"compiled by torch\.jit"):
        replace_upsampling(torch.jit.script(nn.Conv2d(3, 3, 1)), "fade", torch.randn(1, 3, 4, 4))


def test_a_step_that_is_the_model_itself() -> None:
    model = nn.ConvTranspose2d(3, 3, 2, stride=2)
    (step,) = find_upsampling(model, torch.randn(1, 3, 4, 4), "carafe", logits=True)
    assert step.upsampler is None


def test_the_image_for_operators_that_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UPSAMPLERS.factories, "bilateral", (JointBilateral, {}))
    model = replace_upsampling(Unet().eval(), "bilateral", torch.randn(2, 3, 32, 48))
    assert len(replacements(model).replaced) == 3
    x = torch.randn(1, 3, 32, 40)
    by_hand = next(up for up in model.modules() if isinstance(up, JointBilateral))
    seen = []
    by_hand.register_forward_hook(lambda module, args, kwargs, out: seen.append((args, kwargs, out)), with_kwargs=True)
    model(image=x)
    ((de, _), kwargs, out) = seen[0]
    assert torch.equal(kwargs["image"], x)
    torch.testing.assert_close(out, by_hand.upsample(de, None, (8, 10), None, image=x))
    with pytest.raises(RuntimeError, match="the model's image was not there: it is kept while the model is called"):
        model.blocks[2](torch.randn(1, 8, 4, 4))

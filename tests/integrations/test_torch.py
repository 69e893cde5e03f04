"""`denseup.integrations.torch` finds the steps, however they are called, and replaces each by one that fits."""

import pytest
import torch
from integrations.planted import (
    IMAGE,
    Block,
    Features,
    Planted,
    Shared,
    Sometimes,
    Transposed,
    Unet,
    guides,
    marked,
    marking,
    outputs,
    resized,
)
from torch import nn
from torch.nn import functional as F

from denseup.integrations.torch import find_upsampling, replace_upsampling, replacements

__all__ = ["marking"]  # the fixture


def test_one_upsample_at_two_places(marking: str) -> None:
    model = Shared()
    out, (one, two, three) = outputs(model, marking)
    x = model.conv(marked(three, two)) + two
    torch.testing.assert_close(out, model.head(torch.cat([one, marked(x, one)], 1)))
    assert isinstance(model.up, nn.Upsample)
    assert {step.function for step in replacements(model)} == {"nn.Upsample"}


class Twice(Planted):
    """A shared decoder: one step with two uses, each with its own guide."""

    def __init__(self) -> None:
        super().__init__(8)
        self.block = Block(16, 8, 8)

    def forward(self, x):
        first, second = (self.encoder(part) for part in (x, x.flip(3)))
        return self.head(self.block(first[2], first[1]) - self.block(second[2], skip=second[1]))


def test_a_module_that_is_called_twice(marking: str) -> None:
    model = Twice().eval()
    x = torch.randn(IMAGE)
    replace_upsampling(model, marking, x)
    both = [model.encoder(part) for part in (x, x.flip(3))]
    first, second = (model.block.conv(torch.cat([marked(three, two), two], 1)) for _, two, three in both)
    torch.testing.assert_close(model(x), model.head(first - second))
    assert [step.uses for step in replacements(model)] == [2]


class Siamese(Planted):
    """The whole network twice: the guide is what a module of the same pass returned last."""

    def __init__(self) -> None:
        super().__init__(16)
        self.lateral = nn.Conv2d(8, 16, 1)

    def forward(self, x):
        first, second = (self.neck(*self.encoder(part)) for part in (x, x.flip(3)))
        return self.head(first * 2 - second)

    def neck(self, one, two, three):
        return self.lateral(two) + F.interpolate(three, scale_factor=2)


def test_each_pass_has_the_guide_of_its_own(marking: str) -> None:
    model = Siamese().eval()
    x = torch.randn(IMAGE)
    replace_upsampling(model, marking, x)
    sides = []
    for part in (x, x.flip(3)):
        _, two, three = model.encoder(part)
        lateral = model.lateral(two)
        sides.append(lateral + marked(three, lateral))
    torch.testing.assert_close(model(x), model.head(sides[0] * 2 - sides[1]))


class Pooled(nn.Sequential):
    """A Sequential with a forward of its own: what is registered in it would be called."""

    def forward(self, x, like):
        for module in self:
            x = module(x)
        return F.interpolate(x, size=like.shape[2:]) + like


class InContainers(Planted):
    """Steps in a Sequential of its own kind, in a plain one, in a ModuleList and in a ModuleDict."""

    def __init__(self) -> None:
        super().__init__(4)
        self.parts = nn.ModuleDict({"list": nn.ModuleList([Pooled(nn.Conv2d(16, 8, 1))])})
        self.plain = nn.Sequential(nn.Conv2d(8, 4, 1), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 4, 1))

    def neck(self, one, two, three):
        return self.plain(self.parts["list"][0](three, two)) + one


def test_containers(marking: str) -> None:
    model = InContainers()
    out, (one, two, three) = outputs(model, marking)
    x = model.parts["list"][0][0](three)
    x = model.plain[0](marked(x, two) + two)
    torch.testing.assert_close(out, model.head(model.plain[2](marked(x, one)) + one))
    assert len(model.parts["list"][0]) == 1
    assert type(model.plain[1]).__name__ == "RaisingUpsample"


def test_a_call_that_comes_at_some_sizes_only(marking: str) -> None:
    model = Sometimes().eval()
    replace_upsampling(model, marking, torch.randn(IMAGE))
    x = torch.randn(1, 3, 36, 52)
    _, two, three = model.encoder(x)
    lateral = resized(model.lateral(two), [10, 14])
    torch.testing.assert_close(model(x), model.head(lateral + marked(three, lateral)))


class Packed(Planted):
    """Maps in a data class, a step in a loop, a guide that is the output of a module within a structure."""

    def __init__(self) -> None:
        super().__init__(8)
        self.pack = Pack()
        self.convs = nn.ModuleList([nn.Conv2d(16, 8, 1), nn.Conv2d(8, 8, 1)])

    def neck(self, one, two, three):
        packed = self.pack(one, two)
        for conv, name in zip(self.convs, ("low", "high"), strict=True):
            three = conv(F.interpolate(three, scale_factor=2)) + getattr(packed, name).sum(1, keepdim=True)
        return three


class Pack(nn.Module):
    def forward(self, one, two):
        return Features(low=two * 2, high=one * 3)


def test_maps_in_structures_and_steps_in_loops(marking: str) -> None:
    model = Packed()
    out, (one, two, three) = outputs(model, marking)
    x = model.convs[0](marked(three, two * 2)) + (two * 2).sum(1, keepdim=True)
    x = model.convs[1](marked(x, one * 3)) + (one * 3).sum(1, keepdim=True)
    torch.testing.assert_close(out, model.head(x))
    assert guides(model) == ["pack['low']", "pack['high']"]


def test_a_transposed_convolution_with_other_channels(marking: str) -> None:
    model = Transposed()
    out, (_, two, three) = outputs(model, marking)
    torch.testing.assert_close(out, model.head(torch.cat([marked(model.up.project(three), two), two], 1)))
    assert model.up is model.again
    (step,) = replacements(model)
    assert (step.module, step.function, step.guide) == ("up", "nn.ConvTranspose2d", "encoder[1]")
    assert step.notes == ["its learned weights are gone, a 1×1 convolution gives 8 channels"]


class Padded(Planted):
    """The classic U-Net: what was raised is padded to its skip."""

    def __init__(self) -> None:
        super().__init__(24)
        self.up = nn.UpsamplingBilinear2d(scale_factor=2)

    def neck(self, one, two, three):
        x = self.up(three)
        x = F.pad(x, (0, two.shape[3] - x.shape[3], 0, two.shape[2] - x.shape[2]), mode="replicate")
        return torch.cat([x, two], 1)


def test_any_size_has_the_shapes_of_before() -> None:
    x = torch.randn(IMAGE)
    for model in (Padded(), Sometimes(), Unet(), InContainers(), Shared()):
        sizes = ((32, 48), (64, 40)) if not isinstance(model, (Padded, Sometimes)) else ((36, 52), (40, 76), (32, 48))
        shapes = [model.eval()(torch.randn(3, 3, *size)).shape for size in sizes]
        for name in ("fade", "carafe"):
            replace_upsampling(model, name, x)
            assert [model(torch.randn(3, 3, *size)).shape for size in sizes] == shapes


def test_finding_changes_nothing() -> None:
    model = Unet().train()
    before, state = repr(model), {key: x.clone() for key, x in model.state_dict().items()}
    random = torch.get_rng_state()
    found = find_upsampling(model, torch.randn(IMAGE, generator=torch.Generator()), "fade")
    assert torch.equal(random, torch.get_rng_state())
    assert repr(model) == before
    assert len(replacements(model)) == 0
    torch.testing.assert_close(model.state_dict(), state, rtol=0, atol=0)
    replace_upsampling(model, "fade", torch.randn(IMAGE))
    assert str(found) == str(replacements(model))


@pytest.mark.parametrize(
    "settings", [{"scale_factor": (1.5, 2.3)}, {"scale_factor": 1.7}, {"size": 13}, {"size": (9, 31)}]
)
def test_factors_that_are_not_whole(marking: str, settings: dict) -> None:
    """The size is torch's, for one number or two, and the table says which factor the upsampler is built for."""

    class Network(Planted):
        def __init__(self) -> None:
            super().__init__(16)
            self.up = nn.Upsample(**settings)

        def neck(self, one, two, three):
            x = self.up(three)
            return x + F.adaptive_avg_pool2d(one, x.shape[2:]).sum(1, keepdim=True)

    for name in ("carafe", marking):
        model = Network().eval()
        sizes = ((32, 48), (40, 56), (64, 72))
        shapes = [model(torch.randn(2, 3, *size)).shape for size in sizes]
        replace_upsampling(model, name, torch.randn(IMAGE), guides="any", otherwise="dysample")
        assert [model(torch.randn(2, 3, *size)).shape for size in sizes] == shapes
        (step,) = replacements(model)
        assert step.notes == [f"the sizes are no ×{model.up.upsampler.scale_factor} here, of which it is built"]

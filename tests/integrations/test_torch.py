"""`denseup.integrations.torch` finds the steps of networks that were planted, and gives each the right guide."""

import torch
from integrations.planted import Block, Encoder, Features, Marking, Planted, Unet, marked, marking
from torch import Tensor, nn
from torch.nn import functional as F

from denseup import FADE
from denseup.integrations.torch import find_upsampling, replace_upsampling, replacements

__all__ = ["marking"]  # the fixture

IMAGE = (2, 3, 32, 48)


def outputs(model: nn.Module, marking: str, **options) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Of the model with `marking` in, in training mode, with the encoder's maps for the truth by hand."""
    x = torch.randn(IMAGE)
    assert replace_upsampling(model.eval(), marking, x, **options) is model
    other = torch.randn(3, 3, 64, 40)  # another batch, other sizes
    out = model(other)
    out.sum().backward()
    for step in (module for module in model.modules() if isinstance(module, Marking)):
        assert step.gain.grad is not None
    return out, model.encoder(other)


def guides(model: nn.Module) -> list[str | None]:
    return [step.guide for step in replacements(model)]


def test_a_skip_that_is_an_argument(marking: str) -> None:
    model = Unet().eval()
    out, (one, two, three) = outputs(model, marking)
    first, second, last = model.blocks
    x = first.conv(torch.cat([marked(three, two), two], 1))
    x = second.conv(torch.cat([marked(x, one), one], 1))
    x = last.conv(F.interpolate(x, scale_factor=2, mode="bilinear"))
    torch.testing.assert_close(out, model.head(x))
    assert guides(model) == ["blocks.0's skip", "blocks.1's skip", None]
    assert "meets no map of its size" in replacements(model)[2].reason
    assert str(replacements(model)).splitlines()[1].split() == (
        f"blocks.0, line {step_line(model)} F.interpolate bilinear 16 × 4×6 → 8×12 marking, guided by blocks.0's skip"
    ).split()


def step_line(model: nn.Module) -> int:
    (((_, line),),) = {step.lines for step in replacements(model)}
    return line


def test_any_guide_is_at_last_the_image(marking: str) -> None:
    model = Unet().eval()
    replace_upsampling(model, marking, {"image": torch.randn(IMAGE)}, guides="any")
    assert guides(model) == ["blocks.0's skip", "blocks.1's skip", "the model's image"]
    image, received = torch.randn(1, 3, 64, 40), []
    model.blocks[2].upsampling.upsampler.register_forward_pre_hook(lambda module, args: received.append(args[1]))
    torch.testing.assert_close(model(image), model(image=image))  # by position as well as by name
    assert [torch.equal(en, image) for en in received] == [True, True]


def test_otherwise_is_for_steps_without_a_guide() -> None:
    model = replace_upsampling(Unet(), "fade", torch.randn(IMAGE), otherwise="dysample", start="neutral")
    assert [step.upsampler for step in replacements(model)] == ["fade", "fade", "dysample"]
    assert {up.start for up in model.modules() if isinstance(up, FADE)} == {"neutral"}


class LateralLater(Planted):
    """As in FPN: the lateral convolution runs after the step."""

    def __init__(self) -> None:
        super().__init__(16)
        self.merge = Merge()

    def neck(self, one, two, three):
        return self.merge([three, {"skip": two}])


class Merge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(8, 16, 1)

    def forward(self, maps):
        x = F.interpolate(maps[0], scale_factor=2.0)
        return F.relu(self.lateral(maps[1]["skip"])) + x


def test_what_it_meets_is_made_later_of_what_was_there(marking: str) -> None:
    model = LateralLater()
    out, (_, two, three) = outputs(model, marking)
    torch.testing.assert_close(out, model.head(F.relu(model.merge.lateral(two)) + marked(three, two)))
    assert guides(model) == ["merge's maps[1]['skip']"]


class InPlace(Planted):
    """The lateral map is changed in place before the step and by it, and so is what was raised."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.Sequential(nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16))
        self.doubling = Doubling()

    def neck(self, one, two, three):
        x = self.lateral(two)
        self.doubling(x)
        x += F.interpolate(three, size=x.shape[2:], mode="nearest")
        three += 1
        return x


class Doubling(nn.Module):
    def forward(self, x):
        return x.mul_(2)


def test_guides_that_change_in_place(marking: str) -> None:
    model = InPlace()
    out, (_, two, three) = outputs(model, marking)
    x = model.lateral(two) * 2
    torch.testing.assert_close(out, model.head(x + marked(three, x)))
    assert guides(model) == ["doubling"]


class Cascade(Planted):
    """All maps are raised, the coarsest first, and joined at once: only the finest has detail."""

    def __init__(self) -> None:
        super().__init__(28)

    def neck(self, *maps):
        size = maps[0].shape[2:]
        raised = [F.interpolate(x, size=size, mode="bilinear") for x in reversed(maps)]
        return torch.cat(raised, 1)


def test_a_raised_map_guides_no_other(marking: str) -> None:
    model = Cascade()
    out, (one, two, three) = outputs(model, marking)
    torch.testing.assert_close(out, model.head(torch.cat([marked(three, one), marked(two, one), one], 1)))
    assert [step.upsampler for step in replacements(model)] == ["marking", "marking", None]
    assert replacements(model)[2].reason == "its result is of the same size"


class Shared(nn.Module):
    """One nn.Upsample for maps of 16 and of 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.up = nn.Upsample(scale_factor=2)
        self.conv = nn.Conv2d(16, 8, 1)
        self.head = nn.Conv2d(12, 2, 1)

    def forward(self, image):
        one, two, three = self.encoder(image)
        x = self.conv(self.up(three)) + two
        return self.head(torch.cat([one, self.up(x)], 1))


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


class Sometimes(Planted):
    """A second call before the step, at sizes of which no half is whole; both in a helper."""

    def __init__(self) -> None:
        super().__init__(16)
        self.lateral = nn.Conv2d(8, 16, 1)

    def neck(self, one, two, three):
        x, size = self.lateral(two), [2 * n for n in three.shape[2:]]
        if list(x.shape[2:]) != size:
            x = resized(x, size)
        return x + resized(three, size)


def resized(x: Tensor, size: list[int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear")


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


class Transposed(Planted):
    """The usual U-Net: fewer channels and twice the size by one transposed convolution, registered twice."""

    def __init__(self) -> None:
        super().__init__(16)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.again = self.up

    def neck(self, one, two, three):
        return torch.cat([self.again(three, output_size=two.shape[2:]), two], 1)


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

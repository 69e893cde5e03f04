"""The guide of each step is the right one: networks that were planted, beside the same written out by hand."""

import torch
from integrations.planted import IMAGE, Planted, Unet, guides, marked, marking, outputs
from torch import nn
from torch.nn import functional as F

from denseup import FADE
from denseup.integrations.torch import replace_upsampling, replacements

__all__ = ["marking"]  # the fixture


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
    where, line = replacements(model)[0].row[0].split(", line ")
    row = f"{where}, line {line}  F.interpolate bilinear  16 × 4×6 → 8×12    marking, guided by blocks.0's skip"
    assert str(replacements(model)).splitlines()[1] == row


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

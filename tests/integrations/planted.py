"""Small networks with a step each of which it is known what guides it, and an operator that shows its guide."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.integrations.torch import replace_upsampling, replacements
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import UPSAMPLERS

IMAGE = (2, 3, 32, 48)


class Marking(Upsampler):
    """Nearest neighbour plus the guide's sum over channels: what comes out tells what came in."""

    guided = True

    def __init__(self, de_channels, en_channels=None, scale_factor=2):
        super().__init__(de_channels, en_channels, scale_factor)
        self.gain = nn.Parameter(torch.ones(1))

    def upsample(self, de, en, size, state):
        return marked(de, en, self.gain)


def marked(de: Tensor, en: Tensor, gain: Tensor | float = 1.0) -> Tensor:
    """What `Marking` gives; the products make autograd keep both maps."""
    return F.interpolate(de, en.shape[2:]) * gain + (en * gain).sum(1, keepdim=True)


@pytest.fixture
def marking(monkeypatch: pytest.MonkeyPatch) -> str:
    """Its name, while a test runs: other tests go over all names that are registered."""
    monkeypatch.setitem(UPSAMPLERS.factories, "marking", (Marking, {}))
    return "marking"


class Encoder(nn.Module):
    """Maps of 4, 8 and 16 channels at 1/2, 1/4 and 1/8."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4))
        self.two = nn.Conv2d(4, 8, 3, 2, 1)
        self.three = nn.Conv2d(8, 16, 3, 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        one = self.one(x)
        two = self.two(one)
        return [one, two, self.three(two)]


class Planted(nn.Module):
    """An encoder, a neck that a test is about, and a head that learns."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Conv2d(channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.neck(*self.encoder(x)))

    def neck(self, one: Tensor, two: Tensor, three: Tensor) -> Tensor:
        """`two` and `three` brought together."""
        raise NotImplementedError


class Block(nn.Module):
    """Raises and joins with a skip, as smp's do."""

    def __init__(self, channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + skip_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = F.interpolate(
            x,
            scale_factor=2,
            mode="bilinear",
        )
        if skip is not None:
            x = torch.cat([x, skip], 1)
        return self.conv(x)


class Unet(nn.Module):
    """Two skips, and a last step without; BatchNorm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.blocks = nn.ModuleList([Block(16, 8, 8), Block(8, 4, 8), Block(8, 0, 8)])
        self.drop = nn.Dropout2d()
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        *skips, x = self.encoder(image)
        x = self.blocks[0](x, skip=skips[1])
        x = self.blocks[1](self.drop(x), skips[0])
        return self.head(self.blocks[2](x))


@dataclass
class Features:
    """What some libraries return instead of a tuple."""

    low: Tensor
    high: Tensor


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


class Transposed(Planted):
    """The usual U-Net: fewer channels and twice the size by one transposed convolution, registered twice."""

    def __init__(self) -> None:
        super().__init__(16)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.again = self.up

    def neck(self, one, two, three):
        return torch.cat([self.again(three, output_size=two.shape[2:]), two], 1)


def outputs(model: nn.Module, marking: str, **options) -> tuple[Tensor, list[Tensor]]:
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

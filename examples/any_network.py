"""A network of one's own, before and after: its up-sampling steps done by FADE, trained a few steps on the demo data.

python examples/any_network.py [UPSAMPLER] [STEPS]
"""

import sys
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.data.demo.manifest import DEMO_CLASSES
from denseup.data.demo.scenes import DemoScenes
from denseup.integrations.torch import replace_upsampling, replacements


def layer(channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Convolution, norm, activation."""
    convolution = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class Network(nn.Module):
    """A small U-Net: a transposed convolution, an nn.Upsample and F.interpolate, as one finds them."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem, self.down1 = layer(3, 16, 2), layer(16, 32, 2)
        self.down2, self.down3 = layer(32, 64, 2), layer(64, 64, 2)
        self.up3 = nn.Upsample(scale_factor=2, mode="bilinear")
        self.merge3 = layer(64 + 64, 64)
        self.up2 = nn.ConvTranspose2d(64, 32, 2, stride=2)
        self.merge2 = layer(32 + 32, 32)
        self.lateral = nn.Conv2d(16, 32, 1)
        self.head = nn.Conv2d(32, classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits `[B, classes, H, W]`."""
        one = self.stem(image)
        two = self.down1(one)
        three = self.down2(two)
        x = self.merge3(torch.cat([self.up3(self.down3(three)), three], 1))
        x = self.merge2(torch.cat([self.up2(x), two], 1))
        x = self.lateral(one) + F.interpolate(x, size=one.shape[2:], mode="nearest")
        return F.interpolate(self.head(x), size=image.shape[2:], mode="bilinear")


def batch(scenes: DemoScenes, step: int, size: int = 4) -> tuple[Tensor, Tensor]:
    """Images `[B, 3, H, W]` and labels `[B, H, W]`, others at each step."""
    samples = [scenes[step, i] for i in range(size)]
    return torch.stack([s["image"] for s in samples]), torch.stack([s["label"] for s in samples]).long()


def train(model: nn.Module, scenes: DemoScenes, steps: int) -> list[float]:
    """The loss at each step."""
    optimizer, losses = torch.optim.AdamW(model.parameters(), 2e-3), []
    for step in range(steps):
        images, labels = batch(scenes, step)
        loss = F.cross_entropy(model(images), labels, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main(upsampler: str = "fade", steps: int = 30) -> None:
    """The network as it was, then with the upsampler in."""
    scenes = DemoScenes("train", image_size=128, crop_size=96)
    for name in (None, upsampler):
        torch.manual_seed(0)
        model, start = Network(len(DEMO_CLASSES)), time.perf_counter()
        if name is not None:
            replace_upsampling(model, name, batch(scenes, 0)[0], start="neutral")
            print(replacements(model))
        losses = train(model, scenes, steps)
        first, last = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
        parameters = sum(p.numel() for p in model.parameters())
        print(
            f"{name or 'as it was'}: {parameters} parameters, loss {first:.3f} → {last:.3f} in {steps} steps, "
            f"{time.perf_counter() - start:.0f} s"
        )


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))

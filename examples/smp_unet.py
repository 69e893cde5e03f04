"""A Unet of segmentation_models.pytorch with FADE in every step, trained a few steps on the demo data, and exported.

pip install segmentation-models-pytorch
python examples/smp_unet.py [UPSAMPLER] [DECODER] [STEPS]
"""

import sys
import time

import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.data.demo.manifest import DEMO_CLASSES
from denseup.data.demo.scenes import DemoScenes
from denseup.integrations.smp import replace_upsampling, replacements


def batch(scenes: DemoScenes, step: int, size: int = 4) -> tuple[Tensor, Tensor]:
    """Images `[B, 3, H, W]` and labels `[B, H, W]`, others at each step."""
    samples = [scenes[step, i] for i in range(size)]
    return torch.stack([s["image"] for s in samples]), torch.stack([s["label"] for s in samples]).long()


def main(upsampler: str = "fade", decoder: str = "Unet", steps: int = 10) -> None:
    """Swap, train, export."""
    torch.manual_seed(0)
    # encoder_weights="imagenet" where there is a network
    model = getattr(smp, decoder)("mobilenet_v2", encoder_weights=None, classes=len(DEMO_CLASSES))
    replace_upsampling(model, upsampler, start="neutral")
    print(replacements(model))

    scenes, start = DemoScenes("train", image_size=128, crop_size=96), time.perf_counter()
    optimizer, losses = torch.optim.AdamW(model.parameters(), 1e-3), []
    for step in range(steps):
        images, labels = batch(scenes, step)
        loss = F.cross_entropy(model(images), labels, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"loss {losses[0]:.3f} → {losses[-1]:.3f} in {steps} steps, {time.perf_counter() - start:.0f} s")

    x = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        program = torch.export.export(model.eval(), (x,))
        print(f"exported; differs by {(program.module()(x) - model(x)).abs().max():.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))

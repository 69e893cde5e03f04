"""Tasks with networks of random weights, whose outputs fill their range: an export can be wrong in them."""

import torch
from configuring import TINY, configure
from torch import Tensor, nn

from denseup import create_upsampler
from denseup.cli.build import build_data, build_task
from denseup.tasks import DenseTask, MattingTask, SegmentationTask

WIDTH = 32


class TwoScales(nn.Module):
    """One stage, which pools and raises: normalised RGB and trimap `[B, 4, H, W]` → alpha around a half."""

    def __init__(self, upsampler: str) -> None:
        super().__init__()
        self.encode, self.deepen = nn.Conv2d(4, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.upsample, self.head = create_upsampler(upsampler, de_channels=WIDTH), nn.Conv2d(WIDTH, 1, 1)
        nn.init.constant_(self.head.bias, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        en = self.encode(x).relu()
        pooled, state = self.upsample.downsample(en)
        return self.head(self.upsample(self.deepen(pooled).relu(), en, image=x[:, :3], state=state))


def small_matting(upsampler: str = "fade") -> MattingTask:
    """Of a network that is traced in a second."""
    torch.manual_seed(0)
    return MattingTask(TwoScales(upsampler)).eval()


def whole_task(name: str, upsampler: str) -> DenseTask:
    """The network of quick runs from random weights, with every stage of the published ones."""
    cfg = configure(f"task={name}", f"upsampler={upsampler}", *TINY[name])
    torch.manual_seed(0)
    task = build_task(cfg, build_data(cfg), training=False).eval()
    if not isinstance(task, SegmentationTask):
        _spread(task)
    return task


@torch.no_grad()
def _spread(task: DenseTask) -> None:
    """Alpha of a deviation of 0.3, half of it above 0: where it is 0 and 1 alone, it tells nothing."""
    alpha = task.network(torch.rand(1, task.in_channels, 64, 96))
    task.network.get_parameter("head.3.weight").mul_(0.3 / alpha.std() * alpha.mean().sign())

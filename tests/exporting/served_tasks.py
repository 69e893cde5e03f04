"""Tasks with small networks of random weights, whose outputs fill their range: so an export can be wrong."""

import torch
from configuring import TINY, configure

from denseup.cli.build import build_data, build_task
from denseup.networks import MattingNetwork
from denseup.tasks import DenseTask, MattingTask, SegmentationTask


def whole_task(name: str, upsampler: str) -> DenseTask:
    """The network that quick runs from random weights have, with every stage of the published ones."""
    cfg = configure(f"task={name}", f"upsampler={upsampler}", *TINY[name])
    torch.manual_seed(0)
    return _spread(build_task(cfg, build_data(cfg), training=False).eval())


def small_matting(upsampler: str = "fade") -> DenseTask:
    """An encoder of few layers, and a stage for each of its halvings."""
    torch.manual_seed(0)
    network = MattingNetwork({"name": "resnet34", "width": 8, "depths": (1, 1, 1), "in_channels": 4}, upsampler)
    return _spread(MattingTask(network).eval())


def _spread(task: DenseTask) -> DenseTask:
    """Alpha around a half: where it is 0 and 1 alone, an export could not be told from a constant."""
    if isinstance(task, SegmentationTask):
        return task
    weight = task.network.get_submodule("head")[3].weight  # type: ignore[index]
    with torch.no_grad():
        weight *= 0.5 / task.network(torch.rand(1, task.in_channels, 64, 96)).mean()
    return task

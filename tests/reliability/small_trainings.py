"""Trainings of some seconds: every upsampler in small networks of both tasks, on images that can be learned."""

from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from rounding import Nudge, nudge
from torch import Tensor, nn
from torch.utils.data import DataLoader

from denseup.engine.callbacks.randomness import RandomByStep
from denseup.engine.precision import with_precision
from denseup.networks import MattingResNet34, SegmentationNetwork
from denseup.tasks import DenseTask, MattingTask, SegmentationTask
from denseup.tasks.optimization import Optimization

TASKS = ("matting", "segmentation")
SIZE, BATCH, CLASSES = 32, 2, 3


def build(task: str, upsampler: Any, lr: float = 0.002, **recipe: Any) -> DenseTask:
    """A task with a network of its own kind, no wider than the operators take."""
    torch.manual_seed(0)
    optimization = Optimization(partial(torch.optim.SGD, momentum=0.9), lr, **recipe)
    if task == "matting":
        return MattingTask(MattingResNet34(upsampler, width=8, depths=(1, 1, 1), dropout=0.0), optimization)
    encoder = {"name": "resnet34", "width": 8, "depths": (1, 1, 1)}
    network = SegmentationNetwork(encoder, CLASSES, upsampler, embed_dim=16, dropout=0.0)
    return SegmentationTask(network, optimization, num_classes=CLASSES)


def sample(place: int) -> dict[str, Any]:
    """Stripes of a colour on another one, whose alpha and class the colours tell, but for noise."""
    generator = torch.Generator().manual_seed(place)
    rows, columns = torch.meshgrid(*2 * [torch.linspace(0, 1, SIZE)], indexing="ij")
    alpha = (
        ((6 * (rows + columns * torch.rand((), generator=generator))).sin() * 2).clamp(-1, 1).mul(0.5).add(0.5)[None]
    )
    front, back = (torch.rand(3, 1, 1, generator=generator).expand(3, SIZE, SIZE) for _ in range(2))
    image = alpha * front + (1 - alpha) * back + 0.05 * torch.rand(3, SIZE, SIZE, generator=generator)
    levels = (alpha * 255).round().byte()
    trimap = torch.where((alpha > 0) & (alpha < 1), torch.full_like(levels, 128), levels)
    label = (alpha[0] * (CLASSES - 0.01)).long()
    return {
        "image": image.clamp(0, 1),
        "alpha": alpha,
        "trimap": trimap,
        "foreground": front.clone(),
        "background": back.clone(),
        "label": label,
        "name": f"sample {place}",
    }


class Losses(pl.Callback):
    """Of each batch."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.values.append(float(outputs["loss"]))


class Moved(pl.Callback):
    """A float32 training whose weights, inputs and activations are moved by one unit of another format in each step."""

    def __init__(self, dtype: torch.dtype, seed: int) -> None:
        self.nudge = _units(dtype, nudge(seed))
        self.kept: list[Tensor] = []
        self.handles: list[Any] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        def output(module: nn.Module, args: Any, out: Any) -> Any:
            return self.nudge(out) if isinstance(out, Tensor) else out

        def inputs(module: nn.Module, args: Any) -> Any:
            return tuple(self.nudge(x) if isinstance(x, Tensor) and x.is_floating_point() else x for x in args)

        network = pl_module.network
        leaves = [part for part in network.modules() if not any(part.children())]
        self.handles = [part.register_forward_hook(output) for part in leaves]
        self.handles.append(network.register_forward_pre_hook(inputs))

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.kept = [p.detach().clone() for p in pl_module.network.parameters()]
        with torch.no_grad():
            for p in pl_module.network.parameters():
                p.copy_(self.nudge(p))

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        with torch.no_grad():
            for p, own in zip(pl_module.network.parameters(), self.kept, strict=True):
                p.copy_(own)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        for handle in self.handles:
            handle.remove()


def _units(dtype: torch.dtype, by_one: Nudge) -> Nudge:
    """x moved by one unit of `dtype`, up, down or not at all, with the gradient of that factor."""
    units = torch.finfo(dtype).eps / torch.finfo(torch.float32).eps

    def move(x: Tensor) -> Tensor:
        factor = 1 + (by_one(torch.ones_like(x)) - 1) * units
        return x * factor

    return move


def fit(
    task: DenseTask, steps: int, *callbacks: pl.Callback, batch: int = BATCH, of: int | None = None, **options: Any
) -> list[float]:
    """Train on the same `of` samples (None: one batch) again and again; the losses."""
    losses = Losses()
    count = steps * batch * options.get("accumulate_grad_batches", 1)
    samples = [sample(place % (of or batch)) for place in range(count)]
    trainer = pl.Trainer(
        **with_precision({"accelerator": "cpu", **options}),
        max_steps=steps,
        callbacks=[RandomByStep(0), *callbacks, losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(task, DataLoader(samples, batch))  # type: ignore[arg-type]
    return losses.values

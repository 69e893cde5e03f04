"""A batch in parts has the gradient of the whole; memory that runs out makes the parts smaller and nothing else."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from denseup.engine.callbacks.randomness import RandomByStep
from denseup.tasks import MattingTask, SegmentationTask
from denseup.tasks.optimization import Optimization
from denseup.tasks.parts import MemoryExhaustedError, is_out_of_memory, part_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SIZE, LENGTH, BATCH = 8, 24, 8
CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1.00 GiB"


class Network(nn.Module):
    """Convolution, batch norm, dropout, convolution; `heed` sees each batch on its way forward and backward."""

    def __init__(self, channels: int = 4, outputs: int = 1, dropout: float = 0.3) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.dropout, self.last = nn.Dropout(dropout), nn.Conv2d(4, outputs, 1)
        self.heed: Callable[[Tensor, str], None] = lambda x, way: None

    def backbone_parameters(self) -> list[nn.Parameter]:
        return list(self.first.parameters())

    def forward(self, x: Tensor) -> Tensor:
        x = Watch.apply(self.norm(self.first(x)), self)  # type: ignore[no-untyped-call]
        return self.last(self.dropout(x.relu()))


class Watch(torch.autograd.Function):
    """The identity, which tells the network of its batch."""

    @staticmethod
    def forward(context: Any, x: Tensor, network: Network) -> Tensor:
        context.network = network
        network.heed(x, "forward")
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        context.network.heed(gradient, "backward")
        return gradient, None


def samples(length: int = LENGTH) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(1)
    draw = partial(torch.rand, generator=generator)
    levels = torch.tensor([0, 128, 255], dtype=torch.uint8)
    return [
        {
            "image": draw(3, SIZE, SIZE),
            "alpha": draw(1, SIZE, SIZE),
            "foreground": draw(3, SIZE, SIZE),
            "background": draw(3, SIZE, SIZE),
            "trimap": levels[torch.randint(3, (1, SIZE, SIZE), generator=generator)],
            "label": torch.tensor([0, 1, 2, 255])[torch.randint(4, (SIZE, SIZE), generator=generator)],
            "name": f"sample {place}",
        }
        for place in range(length)
    ]


def matting(dropout: float = 0.3, **recipe: Any) -> MattingTask:
    torch.manual_seed(0)
    return MattingTask(Network(dropout=dropout), Optimization(partial(torch.optim.SGD, momentum=0.9), 0.1, **recipe))


def segmentation(average: Any, **recipe: Any) -> SegmentationTask:
    torch.manual_seed(0)
    optimization = Optimization(torch.optim.SGD, 0.1, **recipe)
    return SegmentationTask(Network(3, 3, 0.0), optimization, num_classes=3, average=average)


class Steps(pl.Callback):
    """Gradients of each step, and the samples that came."""

    def __init__(self) -> None:
        self.gradients: list[list[Tensor]] = []
        self.names: list[str] = []
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.names += batch["name"]

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.gradients.append([p.grad.clone() for p in pl_module.network.parameters()])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["loss"]))


def train(task: Any, batch: int = BATCH, *callbacks: pl.Callback, **options: Any) -> Steps:
    """One epoch of all samples."""
    steps = Steps()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[RandomByStep(0), steps, *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        **options,
    )
    trainer.fit(task, DataLoader(samples(), batch))  # type: ignore[arg-type]
    assert steps.names == [sample["name"] for sample in samples()]
    return steps


def close(found: list[Tensor], expected: list[Tensor]) -> None:
    """Sums of the same numbers in another order, in float64: 16 units of the largest magnitude for each sample."""
    for one, other in zip(found, expected, strict=True):
        scale = max(float(x.abs().max()) for x in expected)
        torch.testing.assert_close(one, other, rtol=0, atol=8 * 16 * 2**-53 * scale)


TASKS = {
    "matting": lambda: matting(0.0, freeze_norms_after=0.0),
    "segmentation, all pixels": lambda: segmentation("all", freeze_norms_after=0.0),
    "segmentation, valid pixels": lambda: segmentation("valid", freeze_norms_after=0.0),
}


@pytest.mark.parametrize("micro_batch", [4, 3, 1])
@pytest.mark.parametrize("name", TASKS)
def test_parts_have_the_gradient_of_the_whole_batch(name: str, micro_batch: int) -> None:
    """With batch norms that are frozen: others would see smaller batches. Also for parts that differ in size."""
    whole, parts = TASKS[name](), TASKS[name]()
    parts.micro_batch = micro_batch
    expected, found = (train(task, precision="64-true") for task in (whole, parts))
    assert len(found.gradients) == len(expected.gradients) == LENGTH // BATCH
    for one, other in zip(found.gradients, expected.gradients, strict=True):
        close(one, other)
    assert found.losses == pytest.approx(expected.losses, rel=1e-12)


def test_accumulated_batches_are_one_batch() -> None:
    """Of Lightning's own accumulation, with parts inside; the loss is a mean over samples."""
    whole, parts = (matting(0.0, freeze_norms_after=0.0) for _ in range(2))
    parts.micro_batch = 2
    expected = train(whole, precision="64-true")
    found = train(parts, BATCH // 2, precision="64-true", accumulate_grad_batches=2)
    for one, other in zip(found.gradients, expected.gradients, strict=True):
        close(one, other)


def raising(limit: int, way: str, first_step: int, task: Any, error: Callable[[], BaseException]) -> None:
    """Let a task's network run out of memory, from a step on, with more than `limit` samples."""

    def heed(x: Tensor, where: str) -> None:
        if where == way and len(x) > limit and task.global_step >= first_step:
            raise error()

    task.network.heed = heed


class PartsFrom(pl.Callback):
    """What running out of memory is to come to: smaller parts from a step on."""

    def __init__(self, step: int, size: int) -> None:
        self.step, self.size = step, size

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step >= self.step:
            pl_module.micro_batch = self.size


ERRORS = {
    "cuda": lambda: torch.OutOfMemoryError(CUDA),
    "cpu": lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you"),
    "python": MemoryError,
}


LIMITS = [(4, 1, None), (3, 0, None), (1, 1, 4)]
"""Samples that fit, the step from which on no more do, and the parts before."""
HALVED = [
    pytest.param(way, *LIMITS[k], error, id=f"{way}, {LIMITS[k][0]} fit, {error}")
    for way, shift in (("forward", 0), ("backward", 1))
    for k, error in zip(range(3), [*ERRORS, *ERRORS][shift:], strict=False)
]
"""Both ways with every limit and with every error: errors are told apart in one place, before it matters where."""


@pytest.mark.parametrize(("way", "limit", "first_step", "micro_batch", "error"), HALVED)
def test_out_of_memory_halves_the_parts(
    way: str, limit: int, first_step: int, micro_batch: int | None, error: str
) -> None:
    """To the bit what the smaller parts would have given: weights, running statistics, dropout masks, momentum."""
    fitting = {4: 4, 3: 2, 1: 1}[limit]
    short, small = matting(), matting()
    short.micro_batch = small.micro_batch = micro_batch
    raising(limit, way, first_step, short, ERRORS[error])
    with pytest.warns(UserWarning, match=f"out of memory .*with {fitting} at once, the batch is still 8; batch norms"):
        found = train(short)
    expected = train(small, BATCH, PartsFrom(first_step, fitting))
    for key, value in small.state_dict().items():
        assert torch.equal(short.state_dict()[key], value), key
    assert found.names == expected.names
    assert short.network.norm.num_batches_tracked == small.network.norm.num_batches_tracked


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_gradients_from_before_survive(way: str) -> None:
    """The second of two accumulated batches runs out of memory: the first one's gradients stay."""
    short, small = matting(), matting()
    small.micro_batch = 2
    calls = []

    def heed(x: Tensor, where: str) -> None:
        calls.append(where)
        if where == way and len(x) > 2 and len([w for w in calls if w == way]) > 1:
            raise torch.OutOfMemoryError(CUDA)

    short.network.heed = heed
    train(short, 4, accumulate_grad_batches=2)
    train(small, 4, PartsOfTheFirst(), accumulate_grad_batches=2)
    for key, value in small.state_dict().items():
        assert torch.equal(short.state_dict()[key], value), key


class PartsOfTheFirst(pl.Callback):
    """The first batch whole, the others in parts of two."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        pl_module.micro_batch = None if batch_idx == 0 else 2


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_one_sample_that_does_not_fit_ends_the_run(way: str) -> None:
    task = matting(freeze_norms_after=0.0)
    raising(0, way, 1, task, ERRORS["cuda"])
    words = r"step 2: out of memory with 1 sample at once \(CUDA out of memory.*expected a smaller data\.crop_size"
    told = pytest.warns(UserWarning, match="step 2: out of memory with 8 samples at once")
    with told, pytest.raises(MemoryExhaustedError, match=words):
        train(task)


def test_other_errors_are_nobodys_business() -> None:
    task = matting()
    raising(0, "forward", 0, task, lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(task)


def test_what_is_told_by_errors_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.float64)
    assert is_out_of_memory(caught.value)
    assert all(is_out_of_memory(make()) for make in ERRORS.values())
    assert not is_out_of_memory(RuntimeError("shape '[3]' is invalid for input of size 4"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_part_has_all_that_the_batch_has() -> None:
    batch = {"image": torch.rand(4, 3, 2, 2), "maps": [torch.rand(4, 1), torch.rand(4, 2)], "name": [*"abcd"], "k": 3}
    part = part_of(batch, 1, 3)
    assert torch.equal(part["image"], batch["image"][1:3])
    assert [len(tensor) for tensor in part["maps"]] == [2, 2]
    assert (part["name"], part["k"]) == (["b", "c"], 3)
    assert part_of(batch, 0, 4) is batch


def test_half_precision_scales_every_part_alike() -> None:
    """The scaler's factor and bfloat16 cancel out: the parts add up to what the whole gives, to their own rounding."""
    whole, parts = (matting(0.0, freeze_norms_after=0.0) for _ in range(2))
    parts.micro_batch = 4
    expected, found = (train(task, precision="bf16-mixed") for task in (whole, parts))
    for one, other in zip(found.gradients[0], expected.gradients[0], strict=True):
        scale = max(float(x.abs().max()) for x in expected.gradients[0])
        torch.testing.assert_close(one, other, rtol=0, atol=16 * 2**-8 * scale)

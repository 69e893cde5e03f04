"""Trainings in bfloat16 and float16 go where float32 goes, as far as moving it by one unit of the format allows.

Autocast rounds what a layer takes, its weights and what it gives, forward and backward: some six roundings of half a
unit at most, each of a variance of eps²/12 relative to the number. `Moved` moves weights and outputs of each layer of a
float32 training by one unit, up, down or not at all: two moves with a variance of 2/3·eps², which is more than twice
that of the six. What either does to a gradient or to a training of 50 steps, the network's condition decides, for both
alike. So the distance to float32 may be `FACTOR` times the farther of two moved trainings: an upsampler of several
steps is rounded more often than it is moved.
"""

import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from reliability.small_trainings import TASKS, Moved, build, fit
from torch import Tensor
from upsamplers.stages import FEWER

from denseup.engine.precision import with_precision
from denseup.losses import matting_loss, segmentation_loss
from denseup.upsamplers import list_upsamplers, upsampler_factory

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

FACTOR = 4.0
STEPS = 50
SCALE = 2.0**8
FORMATS = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
KINDS = {"bilinear": "matting", "fade": "segmentation", "dysample": "segmentation", "naf": "segmentation"}
KINDS["freqfusion"] = "segmentation"
"""One of each kind, on a task: fixed, kernels, sampling, attention, frequencies."""
ALL = [(name, task) for name in list_upsamplers() for task in TASKS]

Gradients = dict[str, Tensor]
Trained = tuple[dict[str, Tensor], list[float]]


def in_precision(precision: str) -> dict[str, Any]:
    """Trainer's arguments; float16 with a scale at which no step is left out, so that all see the same batches."""
    if precision != "16-mixed":
        return {"precision": precision}
    return {"plugins": [MixedPrecision(precision, "cpu", torch.amp.GradScaler("cpu", init_scale=SCALE))]}


class FirstGradients(pl.Callback):
    """Of the first step."""

    def __init__(self) -> None:
        self.found: Gradients = {}

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        gradients = {name: p.grad.double() for name, p in pl_module.network.named_parameters() if p.grad is not None}
        assert all(gradient.isfinite().all() for gradient in gradients.values())
        self.found = gradients


def first_gradients(task: str, upsampler: Any, *callbacks: pl.Callback, **options: Any) -> dict[str, Gradients]:
    """Those of the upsamplers, where they have weights, and those of the rest."""
    first = FirstGradients()
    fit(build(task, upsampler), 1, *callbacks, first, **options)
    parts: dict[str, Gradients] = {"upsamplers": {}, "the rest": {}}
    for key, gradient in first.found.items():
        parts["upsamplers" if "upsamplers." in key else "the rest"][key] = gradient
    return {part: gradients for part, gradients in parts.items() if gradients}


def distance(one: Gradients, other: Gradients) -> float:
    """Relative, of all numbers together."""
    off = sum((one[key] - value).square().sum() for key, value in other.items())
    size = sum(value.square().sum() for value in other.values())
    return math.sqrt(float(off) / float(size))


def check_first_gradients(upsampler: Any, task: str) -> None:
    plain = first_gradients(task, upsampler)
    for precision, dtype in FORMATS.items():
        found = first_gradients(task, upsampler, **in_precision(precision))
        moved = [first_gradients(task, upsampler, Moved(dtype, seed)) for seed in range(2)]
        for part, gradients in plain.items():
            allowed = FACTOR * max(distance(one[part], gradients) for one in moved)
            assert distance(found[part], gradients) <= allowed, (precision, part)


def trained(task: str, name: str, steps: int, *callbacks: pl.Callback, **options: Any) -> Trained:
    """Weights after the steps, and the losses on the way."""
    module = build(task, name)
    losses = fit(module, steps, *callbacks, **options)
    return {key: p.detach().double() for key, p in module.network.named_parameters()}, losses


def check_training(name: str, task: str, steps: int, *precisions: str) -> None:
    plain = trained(task, name, steps)
    for precision in precisions:
        moved = [trained(task, name, steps, Moved(FORMATS[precision], seed)) for seed in range(2)]
        check_trained(trained(task, name, steps, **in_precision(precision)), plain, moved)


def check_trained(found: Trained, plain: Trained, moved: list[Trained]) -> None:
    losses = found[1]
    assert all(math.isfinite(loss) for loss in losses)
    assert sum(losses[-5:]) / 5 < 0.9 * losses[0]
    assert distance(found[0], plain[0]) <= FACTOR * max(distance(one[0], plain[0]) for one in moved)
    assert between(losses, plain[1]) <= FACTOR * max(between(one[1], plain[1]) for one in moved)


def between(losses: list[float], others: list[float]) -> float:
    return math.dist(losses, others)


@pytest.mark.parametrize(("name", "task"), KINDS.items())
def test_a_gradient_is_that_of_float32_but_for_rounding(name: str, task: str) -> None:
    check_first_gradients(upsampler_factory(name, **FEWER.get(name, {})), task)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), ALL)
def test_every_gradient_is_that_of_float32_but_for_rounding(name: str, task: str) -> None:
    check_first_gradients(name, task)


def test_a_training_goes_where_float32_goes() -> None:
    check_training("carafe", "segmentation", 20, "bf16-mixed")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), ALL)
def test_every_training_goes_where_float32_goes(name: str, task: str) -> None:
    check_training(name, task, STEPS, *FORMATS)


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("task", TASKS)
def test_losses_are_computed_in_float32(task: str, precision: str) -> None:
    """Under autocast too: of the network's own output in half precision, to the bit what float32 makes of it."""
    dtype, generator = FORMATS[precision], torch.Generator().manual_seed(0)
    if task == "matting":
        alpha = torch.rand(2, 1, 64, 64, generator=generator)
        colours = tuple(torch.rand(2, 3, 64, 64, generator=generator) for _ in range(3))
        arguments = (torch.rand(2, 1, 64, 64, generator=generator), torch.ones(2, 1, 64, 64), colours)
        run, output = matting_loss, alpha
    else:
        output, run = 50 * torch.randn(2, 5, 16, 16, generator=generator), segmentation_loss
        arguments = (torch.randint(5, (2, 64, 64), generator=generator),)
    half = output.to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype):
        loss = run(half, *arguments)
    expected = run(half.detach().float(), *arguments)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)


@pytest.mark.parametrize("precision", ["16-mixed", 16, "16"])
@pytest.mark.parametrize("accelerator", ["cpu", "auto"])
def test_float16_on_a_cpu_is_float16(accelerator: str, precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning alone would say that it takes bfloat16, and do so."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("pytorch_lightning.accelerators.cuda.num_cuda_devices", lambda: 0)
    trainer = pl.Trainer(**with_precision({"accelerator": accelerator, "precision": precision}), logger=False)
    assert trainer.precision == "16-mixed"
    assert trainer.precision_plugin.scaler is not None
    with trainer.precision_plugin.forward_context():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float16


def test_a_network_in_half_precision_is_measured_against_the_truth() -> None:
    """Lightning alone would round what a batch holds, and torchmetrics the sums that a metric keeps."""
    trainer = pl.Trainer(**with_precision({"accelerator": "cpu", "precision": "bf16-true"}, ["prompt"]), logger=False)
    assert trainer.precision == "bf16-true"
    given = {key: torch.rand(2, 3, generator=torch.Generator().manual_seed(0)) for key in ("image", "prompt", "depth")}
    batch = trainer.precision_plugin.convert_input(given | {"name": ["a", "b"]})
    assert {key: x.dtype for key, x in batch.items() if key != "name"} == {
        "image": torch.bfloat16,
        "prompt": torch.bfloat16,
        "depth": torch.float32,
    }
    assert torch.equal(batch["depth"], given["depth"])
    assert batch["name"] == ["a", "b"]


@pytest.mark.parametrize("task", TASKS)
def test_metrics_of_a_task_in_half_precision_are_exact(task: str) -> None:
    """Those that it has summed before it is converted too."""
    plain, half = build(task, "bilinear"), build(task, "bilinear")
    generator = torch.Generator().manual_seed(0)
    for number in range(20):
        if number == 10:
            half.to(torch.bfloat16)
        if task == "matting":
            alpha, prediction = torch.randint(256, (2, 1, 9, 11), dtype=torch.uint8, generator=generator)
            batch = {"alpha": alpha[None], "trimap": torch.full((1, 1, 9, 11), 128, dtype=torch.uint8)}
        else:
            label, prediction = torch.randint(3, (2, 1, 9, 11), generator=generator)
            batch = {"label": label}
        for module in (plain, half):
            module.update_metrics(prediction, batch)
    assert half.metrics.compute() == plain.metrics.compute()
    assert half.compute_baseline() == plain.compute_baseline()


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bf16-mixed"},
        {"accelerator": "cuda", "precision": "16-mixed"},
        {"strategy": "fsdp", "precision": "bf16-true"},
        {},
    ],
)
def test_other_precisions_are_lightnings(options: dict[str, Any]) -> None:
    assert with_precision(options) == options

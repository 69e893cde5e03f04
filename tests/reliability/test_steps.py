"""Optimizer steps: the logged norm, clipping, and what float16's scaler leaves out."""

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from configuring import TINY, tiny_run
from processes import python_module
from reliability.small_trainings import build, fit
from torch import Tensor
from wandb_server import clean_environment

from denseup.cli import train
from denseup.engine import RunFolder
from denseup.engine.callbacks.averaging import AverageWeights
from denseup.engine.options import check_trainer
from denseup.tasks.divergence import DivergedError
from denseup.tasks.optimization import warmup_poly

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

CLIP = {"norm": 0.05, "value": 1e-3}
GROWTH = 3
"""Good steps after which a scaler of these tests doubles its scale."""


class Steps(pl.Callback):
    """Of each optimizer step: the norm that was logged, the gradients before and after clipping."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self.raw: list[Tensor] = []
        self.used: list[Tensor] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.raw.append(self.gradients(pl_module))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if len(self.norms) < len(self.raw):
            self.norms.append(float(trainer.callback_metrics["train/grad_norm"]))
            self.used.append(self.gradients(pl_module))  # nobody has forgotten them yet

    @staticmethod
    def gradients(module: Any) -> Tensor:
        return torch.cat([p.grad.flatten().double() for p in module.network.parameters() if p.grad is not None])


class Halving(pl.Callback):
    """A device on which more than two samples at once do not fit."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        def look(module: Any, inputs: Any) -> None:
            if len(inputs[0]) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")

        self.handle = pl_module.network.register_forward_pre_hook(look)


def clipped(raw: Tensor, algorithm: str) -> Tensor:
    """By definition: all scaled to the norm, or each cut to the value."""
    if algorithm == "value":
        return raw.clamp(-CLIP["value"], CLIP["value"])
    return raw * min(1.0, CLIP["norm"] / raw.norm().item())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("algorithm", CLIP)
def test_the_norm_is_logged_before_the_gradients_are_clipped(algorithm: str, precision: str) -> None:
    """Of float16: both are unscaled, else norm and clipped gradients were 65536 times what they are."""
    steps, task = Steps(), build("segmentation", "carafe")
    options = {"gradient_clip_val": CLIP[algorithm], "gradient_clip_algorithm": algorithm, "precision": precision}
    fit(task, 2, steps, accumulate_grad_batches=2, **options)
    assert len(steps.norms) == len(steps.raw) == len(steps.used) == 2
    for norm, raw, used in zip(steps.norms, steps.raw, steps.used, strict=True):
        assert raw.norm() > CLIP["norm"]  # so that there is something to clip
        # Sums of squares and one division in float32; torch divides by the norm plus 1e-6.
        assert norm == pytest.approx(raw.norm().item(), rel=64 * torch.finfo(torch.float32).eps)
        assert (used - clipped(raw, algorithm)).norm() <= 1e-4 * used.norm()


@pytest.mark.parametrize("algorithm", CLIP)
def test_parts_of_a_batch_are_clipped_as_the_whole(algorithm: str) -> None:
    """Accumulated, in parts, and in halves after memory ran out: in float64, where an order of sums is nothing."""
    options = {"gradient_clip_val": CLIP[algorithm], "gradient_clip_algorithm": algorithm, "precision": "64-true"}
    whole, found = Steps(), {name: Steps() for name in ("accumulated", "parts", "halves")}
    tasks = {name: build("segmentation", "bilinear", freeze_norms_after=0.0) for name in (*found, "whole")}
    fit(tasks["whole"], 2, whole, batch=4, **options)
    fit(tasks["accumulated"], 2, found["accumulated"], batch=2, of=4, accumulate_grad_batches=2, **options)
    tasks["parts"].micro_batch = 1
    fit(tasks["parts"], 2, found["parts"], batch=4, **options)
    fit(tasks["halves"], 2, found["halves"], Halving(), batch=4, **options)
    for name, steps in found.items():
        assert steps.norms == pytest.approx(whole.norms, rel=2**-26), name  # half of the digits of float64
        for one, other in zip(steps.used, whole.used, strict=True):
            assert (one - other).norm() <= 2**-26 * other.norm(), name


@pytest.mark.parametrize("value", ["sum", 3, True])
def test_another_algorithm_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"trainer\.gradient_clip_algorithm is .*, expected norm or value"):
        check_trainer({"gradient_clip_algorithm": value})


def test_a_run_logs_the_norm_of_every_step(tmp_path: Path) -> None:
    train.run(tiny_run("trainer.gradient_clip_val=0.1"), RunFolder(tmp_path))
    with (tmp_path / "metrics.csv").open() as file:
        norms = {
            int(row["step"]): float(row["train/grad_norm"]) for row in csv.DictReader(file) if row["train/grad_norm"]
        }
    assert list(norms) == [0, 1, 2, 3]
    assert all(0 < norm < float("inf") for norm in norms.values())


class Watching(pl.Callback):
    """Of each step: whether it was left out, the weights, the rate, and how many steps the average has seen."""

    def __init__(self, average: AverageWeights) -> None:
        self.average, self.seen = average, []

    def look(self, trainer: Any, task: Any) -> None:
        weights = torch.cat([p.detach().flatten() for p in task.network.parameters()])
        averaged = int(self.average.state_dict()["n_averaged"])
        self.seen.append((task.left_out, weights, trainer.optimizers[0].param_groups[0]["lr"], averaged))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.look(trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.look(trainer, pl_module)


def scaled_by(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=scale, growth_interval=GROWTH)
    )


def test_a_step_that_the_scaler_leaves_out_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled_by(2.0**24, monkeypatch)
    average = AverageWeights(0.5)
    task, watching = build("segmentation", "bilinear", schedule=partial(warmup_poly, warmup_steps=0)), Watching(average)
    fit(task, 12, average, watching, precision="16-mixed")
    left_out = [left for left, *_ in watching.seen[1:]]
    assert any(left_out)
    assert not all(left_out)
    assert task.trainer.global_step == 12  # the batch is spent
    for (_, weights, rate, seen), (left, now, rate_now, seen_now) in zip(
        watching.seen, watching.seen[1:], strict=False
    ):
        assert torch.equal(weights, now) is left
        assert (rate == rate_now) is left
        assert seen_now - seen == (not left)
    steps = left_out.count(False)
    assert watching.seen[-1][2] == pytest.approx(watching.seen[0][2] * (1 - steps / 12), rel=1e-12)


@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "64-true"])
def test_the_average_is_that_of_the_weights(precision: Any) -> None:
    """In float32 at least: in bfloat16 a step of a hundredth of the way is none."""

    class Weights(pl.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            seen.append(torch.cat([p.detach().double().flatten() for p in pl_module.network.parameters()]))

    seen: list[Tensor] = []
    average, weights = AverageWeights(1.0), Weights()
    task = build("segmentation", "bilinear")
    fit(task, 40, weights, average, precision=precision)
    expected = seen[0]  # the first step begins the average
    for now in seen[1:]:
        expected = torch.lerp(expected, now, 1 / 40)
    kept = {key.removeprefix("module."): value for key, value in average.state_dict().items()}
    found = torch.cat([kept[key].double().flatten() for key, _ in task.network.named_parameters()])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    with average.in_place(task):
        there = torch.cat([p.detach().double().flatten() for p in task.network.parameters()])
    rounding = {"bf16-true": 2**-8}.get(precision, 1e-6)
    torch.testing.assert_close(there, expected, rtol=rounding, atol=1e-6)


def test_a_step_left_out_is_no_divergence_and_a_true_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient that no scale makes finite: half the scale, a quarter, … and at 1 it is the run's own."""
    scaled_by(8.0, monkeypatch)
    task = build("segmentation", "bilinear")
    next(task.network.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError, match=r"step 4: the gradients' norm is (inf|nan)"):
        fit(task, 9, precision="16-mixed")


def test_a_loss_that_is_not_finite_is_no_matter_of_scale() -> None:
    task = build("segmentation", "bilinear")
    next(task.network.parameters()).data.fill_(float("nan"))
    with pytest.raises(DivergedError, match="step 1: the loss is nan"):
        fit(task, 2, precision="16-mixed")


def scaler_of(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["MixedPrecision"]


def test_a_resumed_run_has_the_scaler_that_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale and number of good steps since it changed; and so the same weights."""
    scaled_by(2.0**12, monkeypatch)
    still = (
        "trainer.precision=16-mixed",
        "recipe.optimization.schedule=null",
        "recipe.optimization.freeze_norms_after=1",
    )
    whole, first = tmp_path / "whole", tmp_path / "first"
    train.run(tiny_run(*still), RunFolder(whole))
    train.run(tiny_run(*still, "trainer.max_steps=2"), RunFolder(first))
    assert (scaler_of(first)["scale"], scaler_of(first)["_growth_tracker"]) == (2.0**12, 2)
    train.run(tiny_run(*still, f"resume='{first}/checkpoints/last.ckpt'"), RunFolder(tmp_path / "second"))
    assert scaler_of(tmp_path / "second") == scaler_of(whole)
    assert (scaler_of(whole)["scale"], scaler_of(whole)["_growth_tracker"]) == (2.0**13, 1)
    ends = [torch.load(path / "checkpoints/last.ckpt", weights_only=True) for path in (whole, tmp_path / "second")]
    for key, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][key]), key
    results = [
        json.loads((path / "result.json").read_text())["metrics"]["last"] for path in (whole, tmp_path / "second")
    ]
    assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo back end")
def test_two_processes_log_and_clip_the_norm_of_both(tmp_path: Path) -> None:
    """One batch of four samples, taken by one process or shared by two: the same norm, to float32's rounding."""
    options = ["task=matting", "upsampler=bilinear", *TINY["matting"], "trainer.max_steps=2", "logger=csv"]
    options += ["recipe.effective_batch_size=4", "recipe.optimization.freeze_norms_after=0", "trainer.accelerator=cpu"]
    options += ["trainer.gradient_clip_val=0.05", "trainer.log_every_n_steps=1", "trainer.val_check_interval=2"]
    options += ["data.image_size=64", "data.val_length=2", "data.batch_size=2", "model.dropout=0"]
    environment = clean_environment() | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    norms = []
    for name, trainer in (("one", "trainer=default"), ("two", "trainer=ddp")):
        folder = tmp_path / name
        done = python_module("src.train", trainer, *options, f"hydra.run.dir={folder}", env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        with (folder / "metrics.csv").open() as file:
            norms.append([float(row["train/grad_norm"]) for row in csv.DictReader(file) if row["train/grad_norm"]])
    assert len(norms[0]) == 2
    assert norms[0][0] > 0.05  # so that the first step was clipped, which decides the second norm
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)  # float32's rounding, times what the network makes of it

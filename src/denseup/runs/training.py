"""`train`: what `denseup train` does with a config, with objects."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml

from denseup.data.datamodules import DenseData
from denseup.engine import training
from denseup.engine.folder import RunFolder
from denseup.engine.info import RunInfo
from denseup.engine.processes import is_rank_zero
from denseup.engine.state import STAYS_INTERRUPTED, lock_run, read_result
from denseup.runs.describing import described_run
from denseup.tasks import DenseTask
from denseup.tasks.checks import check_whole

CSV = {"csv": {"_target_": "denseup.engine.loggers.csv_file.csv_logger"}}
"""metrics.csv, which the report reads."""

TRAINER = {
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10,
    "deterministic": "warn",
    "enable_model_summary": False,
}
"""Arguments of Lightning's trainer as conf/trainer/default.yaml gives them (`tests/runs/test_training.py`)."""


def train(
    task: Callable[[], DenseTask],
    data: DenseData,
    folder: str | Path,
    *,
    max_steps: int,
    val_every: int | None = None,
    seed: int = 0,
    upsampler: str | None = None,
    average: float | None = None,
    effective_batch_size: int | None = None,
    resume: str | Path | None = None,
    logger: Mapping[str, Mapping[str, Any]] = CSV,
    callbacks: Sequence[pl.Callback] = (),
    trainer: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a task, and leave a run folder that the report reads beside those of `denseup train`.

    Args:
        task: makes the task, with its network and optimization; called once the seed is set, so that everything but the
            upsampler starts equal at equal seed.
        data: of the same task; its own seed draws the training samples.
        folder: of the run; made.
        max_steps: training steps.
        val_every: steps between evaluations; None: one, at the end.
        seed: of the weights, dropout masks and workers.
        upsampler: what tables call the upsampler; None: the registered name of the network's first one.
        average: evaluate an exponential average of the weights too, over this share of the steps.
        effective_batch_size: samples of a step, of which each process runs `data.batch_size` at once; None: so many of
            each process are the step's.
        resume: checkpoint of a run to go on from.
        logger: name → options of each logger with its `_target_`, as in conf/logger; {} for none.
        callbacks: of Lightning's trainer, beside those that every run has.
        trainer: further arguments of `pytorch_lightning.Trainer`, and `compile`.
        settings: what else sets this run apart, in plain values: only runs that agree in it are compared. Public
            attributes of task, network and data are seen by themselves; weights loaded by hand are not.

    Returns:
        What result.json holds: status "finished", metrics by evaluation (best, last and perhaps averaged), the trivial
        answer (baseline), params, steps, seconds.

    Raises:
        ValueError: an argument that no run can have; data of another task; a folder that holds a finished run, or in
            which another process trains.
        DivergedError: a loss, gradient, weight or prediction is not finite.
    """
    check_whole("max_steps", max_steps, 1)
    check_whole("seed", seed, 0, 2**32 - 1)
    if effective_batch_size is not None:
        check_whole("effective_batch_size", effective_batch_size, 1)
    if val_every is not None:
        check_whole("val_every", val_every, 1)
    options = {**TRAINER, **(trainer or {}), "max_steps": max_steps, "val_check_interval": val_every or max_steps}
    pl.seed_everything(seed, workers=True, verbose=False)
    made = task()
    if data.task != made.name:
        raise ValueError(f"data is {type(data).__name__} for task {data.task!r}, expected one for {made.name!r}")
    lengths = {"average": average, "effective_batch_size": effective_batch_size}
    config = described_run(made, data, options, seed=seed, upsampler=upsampler, recipe=lengths, settings=settings or {})
    info = RunInfo(made.name, config["upsampler"]["name"], seed, config, {key: dict(logger[key]) for key in logger})
    with _holding(RunFolder(folder), info) as mine:
        return training.train(
            made,
            data,
            mine,
            info,
            trainer=options,
            resume=resume,
            callbacks=callbacks,
            average=average,
            effective_batch_size=effective_batch_size,
        )


@contextmanager
def _holding(folder: RunFolder, info: RunInfo) -> Iterator[RunFolder]:
    """The folder, held and with its config written; what fails within is noted in it.

    Of several processes that train together the first one holds it.
    """
    if not is_rank_zero():
        yield folder
        return
    if folder.finished():
        raise ValueError(f"folder is {folder.path}, which holds a finished run; choose another one, or remove it")
    with lock_run(folder):
        folder.write_config(yaml.safe_dump(info.config, sort_keys=False))
        try:
            yield folder
        except BaseException as error:
            if read_result(folder).get("status") != "finished":
                status = "killed" if isinstance(error, STAYS_INTERRUPTED) else "failed"
                folder.write_error(error)
                folder.write_result({**info.describe(), "status": status, "error": f"{type(error).__name__}: {error}"})
            raise

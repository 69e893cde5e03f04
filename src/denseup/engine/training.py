"""One training run: fit, evaluate, keep the best, write down what came out."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from denseup.data.datamodules import DenseData
from denseup.engine.batching import batches_of, check_norms, check_processes
from denseup.engine.callbacks.averaging import AverageWeights
from denseup.engine.callbacks.checkpoints import KeepCheckpoints, KeepGradients, StoreConfig, checkpoints
from denseup.engine.callbacks.feature_evolution import FeatureEvolution
from denseup.engine.callbacks.history import KeepHistory, flat
from denseup.engine.callbacks.predictions import SavePredictions
from denseup.engine.callbacks.progress import RunProgress
from denseup.engine.callbacks.randomness import RandomByStep
from denseup.engine.callbacks.steps import SameSteps
from denseup.engine.classes import class_entries
from denseup.engine.compiling import COMPILE, compiled, without_compile
from denseup.engine.determinism import check_repeats, fresh_memory, naming_the_option
from denseup.engine.ending import evaluate_at_the_end
from denseup.engine.folder import FEATURES, RunFolder
from denseup.engine.info import RunInfo
from denseup.engine.loggers.context import RunContext, run_id
from denseup.engine.loggers.making import finish_loggers, log_summary, log_table, make_loggers, notes
from denseup.engine.options import check_trainer
from denseup.engine.per_image import Row, write_images
from denseup.engine.precision import with_precision
from denseup.engine.processes import is_rank_zero
from denseup.engine.quiet import only_printed, quiet_lightning
from denseup.engine.resuming import GoOn, Resumed, find_resumed, read_resumed, take_along
from denseup.engine.room import check_room, name_failed_saves
from denseup.engine.summary import print_summary
from denseup.engine.together import training_together
from denseup.faults import naming_dead_workers
from denseup.tasks import DenseTask
from denseup.tasks.divergence import DivergedError


def train(
    task: DenseTask,
    data: DenseData,
    folder: RunFolder,
    info: RunInfo,
    *,
    trainer: dict[str, Any],
    resume: str | Path | None = None,
    callbacks: Sequence[pl.Callback] = (),
    average: float | None = None,
    effective_batch_size: int | None = None,
) -> dict[str, Any]:
    """Train a task and write its run folder. Of several processes (DDP) all call it, and the first one writes.

    Args:
        task: with its optimization.
        data: of the same task.
        folder: where everything goes.
        info: names the run.
        trainer: arguments of `pytorch_lightning.Trainer`, and `compile` (`compiling.compiled`).
        resume: checkpoint to go on from; if it is a damaged last.ckpt, a warning, and the one before it that is whole.
        callbacks: of the trainer, beside those that every run has; `KeepCheckpoints` among them says how often
            checkpoints are written and how many are kept.
        average: evaluate an exponential average of the weights too (`AverageWeights`), over this share of the steps.
        effective_batch_size: samples of a step, see `batching.batches_of`; None: `data.batch_size` of each process.

    Returns:
        What result.json holds: status "finished", metrics (best, last and perhaps averaged), the trivial answer,
        parameters, seconds.

    Raises:
        ValueError: an argument of the trainer, or the checkpoint to go on from, that no run can have; that of all
            checkpoints to go on from none is whole is a NothingWholeError.
        DivergedError: a loss, gradient, weight or prediction is not finite.
        LostProcessError: of several processes another one was killed or failed.
        WriteError, WorkerDiedError: a fault of the machine; the run can go on from its last checkpoint.
        Whatever else the training raises, after the loggers have been closed as failed. Once result.json says
        "finished" nothing is raised any more: what fails after it is printed.
    """
    started = time.monotonic()
    check_trainer(trainer)
    resumed = None
    if resume is not None:
        resume = find_resumed(resume)
        resumed = read_resumed(resume, task, folder, info.config, trainer.get("max_steps", -1))
    result = {"status": "running", **info.describe(), "params": sum(p.numel() for p in task.network.parameters())}
    loggers = _start(folder, info, result, resumed) if is_rank_zero() else []
    history = KeepHistory()
    weights = None if average is None else AverageWeights(average)
    own = [*([] if weights is None else [weights]), *callbacks, *_kept_unless_in(callbacks)]
    images: list[Row] = []
    exit_code = 1
    try:
        with quiet_lightning(), naming_dead_workers(), _naming_what_is_kept(history), naming_the_option():
            own += _everyone(task, folder, info, trainer, history, resume, resumed)
            lightning = _trainer(task, folder, trainer, loggers, [history, *own])
            with (
                batches_of(effective_batch_size, task, data, lightning),
                compiled(task, trainer.get(COMPILE, False)),
                training_together(lightning.strategy.launcher, folder, lambda: lightning.interrupted),
                fresh_memory(trainer.get("deterministic")),
            ):
                lightning.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
                evaluate_at_the_end(lightning, task, data, folder, history, weights)
        result |= {"status": "finished", "steps": lightning.global_step, **_outcome(task, history, folder)}
        result |= _features(callbacks)
        images = history.image_rows(task)
        result["seconds"] = round(time.monotonic() - started, 3)
        if is_rank_zero():
            write_images(folder, images, history.image_counts(task))
            folder.write_result(result)
        exit_code = 0
    finally:
        found = _close(loggers, exit_code, history, images, result)
    if is_rank_zero():
        with only_printed("the summary"):
            print_summary(result, task, folder, found)
    return result


def _trainer(
    task: DenseTask, folder: RunFolder, options: dict[str, Any], loggers: list[Logger], callbacks: list[pl.Callback]
) -> pl.Trainer:
    """Lightning's, with what it must be able to do for this task and these options."""
    trainer = pl.Trainer(
        logger=loggers or False,
        callbacks=callbacks,
        default_root_dir=folder.path,
        **with_precision(without_compile(options), task.prompts),
    )
    check_processes(trainer)
    name_failed_saves(trainer)
    check_norms(trainer)
    check_repeats(task, trainer, options.get("deterministic"))
    return trainer


def _close(
    loggers: list[Logger], exit_code: int, history: KeepHistory, images: Sequence[Row], result: dict[str, Any]
) -> list[str]:
    """Tell the loggers what came out, if the run has finished, and close them; where their runs are to be found."""
    found: list[str] = []
    if exit_code == 0:
        with only_printed("logging the result"):
            log_table(loggers, "evaluations", history.evaluations)
            log_table(loggers, "per_image", images)
            log_summary(loggers, _flat_summary(result))
            found = notes(loggers)
    with only_printed("closing the loggers"):  # in a run that failed, its own error is the one to be seen
        finish_loggers(loggers, exit_code)
    return found


@contextmanager
def _naming_what_is_kept(history: KeepHistory) -> Iterator[None]:
    """Add to the error of a run that diverged which of its checkpoints are good."""
    try:
        yield
    except DivergedError as error:
        kept = "no checkpoint was kept"
        if history.history:
            kept = f"the checkpoints are those up to the evaluation at step {history.history[-1]['step']}"
        raise DivergedError(f"{error}; {kept}") from error


def _start(folder: RunFolder, info: RunInfo, result: dict[str, Any], resumed: Resumed | None) -> list[Logger]:
    """Write down that the run has begun, if there is room for it, and open its loggers."""
    check_room(folder, result["params"])
    folder.write_result(result)
    config = {**info.config, "params": result["params"]}
    done = () if resumed is None else (resumed.step, resumed.logged)
    id = run_id("train", result["config_hash"], str(folder.path.resolve()))
    return make_loggers(RunContext(folder.path, config, "train", id, *done), info.logger)


def _kept_unless_in(callbacks: Sequence[pl.Callback]) -> list[pl.Callback]:
    """What says how checkpoints are kept, where a run's own callbacks do not."""
    kept = [] if any(isinstance(callback, KeepCheckpoints) for callback in callbacks) else [KeepCheckpoints()]
    return [*kept, KeepGradients()]


def _everyone(
    task: DenseTask,
    folder: RunFolder,
    info: RunInfo,
    options: dict[str, Any],
    history: KeepHistory,
    resume: str | Path | None,
    resumed: Resumed | None,
) -> list[pl.Callback]:
    """Callbacks after the history, which must be in a checkpoint that is saved after the same evaluation."""
    best, last = checkpoints(folder, task)
    everyone: list[pl.Callback] = [SavePredictions(folder), StoreConfig(info.config), RandomByStep(info.seed)]
    if options.get("enable_progress_bar") is not False:
        everyone.append(RunProgress())
    if resume is not None and resumed is not None:
        everyone.append(GoOn(best, history, take_along(resume, resumed.step, folder)))
    return [*everyone, SameSteps(), best, last]


def _outcome(task: DenseTask, history: KeepHistory, folder: RunFolder) -> dict[str, Any]:
    metrics = history.outcomes(task)
    per_class = {kind: history.per_class[place] for kind, place in history.places(task).items()}
    return {
        "monitor": task.monitor,
        "mode": task.mode,
        "metric_info": task.metrics.describe(),
        "metrics": metrics,
        **class_entries(task, per_class),
        "baseline": task.baseline,
        "checkpoint": str((folder.checkpoints / "best.ckpt").relative_to(folder.path)),
        "picture": f"images/val_{int(metrics['best']['step']):06d}.png" if task.num_examples else None,
    }


def _features(callbacks: Sequence[pl.Callback]) -> dict[str, str]:
    """Where the pictures of features are, if the run was to draw them."""
    drawn = any(isinstance(callback, FeatureEvolution) for callback in callbacks)
    return {"features": f"{FEATURES}/contact_sheet.png"} if drawn else {}


def _flat_summary(result: dict[str, Any]) -> dict[str, Any]:
    measured = flat({**result["metrics"], "baseline": result["baseline"]})
    return measured | {"params": result["params"], "seconds": result["seconds"]}

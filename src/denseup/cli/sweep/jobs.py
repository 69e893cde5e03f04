"""A sweep: every job of a multirun in a process of its own, so that no job can harm the others, however it ends.

`denseup train -m …` comes here for each job. The same command again finds each run by its folder, whose name has
the hash of its config: finished runs are skipped, interrupted ones go on from their last checkpoint, failed ones are
retried (`sweep.rerun` overrides). At the end a table lists all of them, and the exit code tells whether any failed.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from denseup.cli import report, stopping
from denseup.cli.config import mask_keys, record_failure, run_info
from denseup.cli.going_on import SWEEP
from denseup.cli.importing import quick_imports
from denseup.cli.sweep import tuning
from denseup.cli.sweep.processes import run_process, search_path
from denseup.cli.sweep.table import print_table
from denseup.cli.trusted import targets, trust
from denseup.cli.writable import require_writable
from denseup.engine import RunFolder
from denseup.engine.folder import config_hash
from denseup.engine.masking import masked
from denseup.engine.state import FolderInUseError, lock_run, note_death, plan, read_result

JOURNAL = "DENSEUP_SWEEP_JOURNAL"


def is_sweep_job() -> bool:
    """Whether this is a job of a multirun, still to be given a process of its own."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def run_name(*, _root_: DictConfig) -> str:
    """Folder name of a run within its sweep: <task>_<upsampler>_seed<seed>_<first digits of the config's hash>."""
    config: dict[str, Any] = {
        str(key): OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in ((key, _root_[key]) for key in _root_ if key != "hydra")
    }
    return f"{config['task']['name']}_{config['upsampler']['name']}_seed{config['seed']}_{config_hash(config)[:8]}"


def direction_of_monitor(*, _root_: DictConfig) -> str:
    """What a study does with the monitor of its task: "minimize" or "maximize".

    Raises:
        ValueError: the tasks are several, whose monitors nobody can compare.
    """
    for override in _root_.hydra.overrides.task:
        name, _, choice = override.partition("=")
        if name == "task" and not choice.isidentifier():
            raise ValueError(f"task={choice}: a study is of one task, for each task's monitor has a scale of its own")
    with quick_imports():
        task: Any = get_class(_root_.task._target_)
    return {"min": "minimize", "max": "maximize"}[task.mode]


OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("direction_of_monitor", direction_of_monitor, replace=True)


def run_job(cfg: DictConfig, folder: RunFolder) -> float | None:
    """Do what has to be done with the run of one job, and note in the sweep's journal what became of it.

    Returns:
        The task's monitor at the best evaluation, also of a run that had finished before; None of one that failed.
    """
    try:
        entry = _run_job(cfg, folder)
    except FolderInUseError as error:
        entry = {"status": "in use", "action": "none", "error": str(error)}
    except Exception as error:  # the others go on; the closing table has it
        record_failure(folder, error, cfg)  # not in a folder that holds a finished run: the table has it from here
        entry = {"status": "failed", "action": "none", "error": f"{type(error).__name__}: {error}"}
    named = targets(cast(dict[str, Any], OmegaConf.to_container(cfg)))
    _note({"folder": str(folder.path), "overrides": list(HydraConfig.get().overrides.task), **entry, "targets": named})
    return monitored(folder) if entry["status"] in ("finished", "skipped") else None


def monitored(folder: RunFolder) -> float | None:
    """The task's monitor at the best evaluation of a finished run; None where it is not finite."""
    result = read_result(folder)
    value: float | None = result["metrics"]["best"][result["monitor"]]
    return value


def _run_job(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if cfg.sweep.tuning:
        found = tuning.tuned(cfg, folder.path.parent, _train_trial)
        settings = {**found, "protocol.tuned": sorted(found)}
        cfg = tuning.apply(cfg, settings)
    label = "{0.task} · {0.upsampler} · seed {0.seed}".format(run_info(cfg))
    return _train(cfg, folder, label, tuning.overrides(settings))


def _train_trial(folder: RunFolder, cfg: DictConfig, changes: list[str]) -> None:
    info = run_info(cfg)
    _train(cfg, folder, f"{info.task} · {info.upsampler} · {folder.path.name} of tuning", changes)


def _train(cfg: DictConfig, folder: RunFolder, label: str, changes: Sequence[str]) -> dict[str, Any]:
    """Train what is still to be trained in a folder: the config of a job, with `changes` to its command line."""
    info = run_info(cfg)
    started = time.monotonic()
    with lock_run(folder):  # of another sweep's living run nothing may be planned, let alone removed
        action, checkpoint = plan(folder, info.config, cfg.sweep.rerun)
        if action == "start":
            clear(folder)
        elif action == "resume":
            folder.error.unlink(missing_ok=True)  # of its former end
    if action != "skip":
        Console().print(
            f"{label}: {action}, output in {folder.path}/output.log", highlight=False, soft_wrap=True, markup=False
        )
        code = run_process(folder, checkpoint, cfg.trainer.devices, changes)
        note_death(folder, code, info.describe(), several=cfg.trainer.devices not in (1, "auto"))
    status = "skipped" if action == "skip" else read_result(folder)["status"]
    seconds = time.monotonic() - started
    Console().print(f"{label}: {status} ({seconds:.0f} s)", highlight=False, markup=False)
    return {"status": status, "action": action}


def clear(folder: RunFolder) -> None:
    """Make a folder ready for a run from nothing: what an earlier one left would pass for its own."""
    for file in (folder.result, folder.error, folder.per_image, folder.per_image_counts, folder.path / "metrics.csv"):
        file.unlink(missing_ok=True)
    for file in (*folder.checkpoints.glob("*.ckpt"), *folder.images.glob("*.png"), *folder.features.glob("*")):
        file.unlink()


def _note(entry: dict[str, Any]) -> None:
    journal = os.environ.get(JOURNAL)
    if journal:
        with Path(journal).open("a") as file:
            file.write(json.dumps(masked(entry)) + "\n")


class ClosingTable(Callback):
    """Hydra callback of the launching process: starts the journal of the jobs, and prints the table at the end."""

    failed: int = 0
    """Jobs of the last sweep of this process that did not end well."""
    journal: Path | None = None
    """Of the sweep that this process has begun and not ended."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Start the journal, a file in the sweep's folder."""
        folder = Path(config.hydra.sweep.dir).resolve()
        stopping.advise(lambda: SWEEP)
        require_writable(folder)
        mask_keys(config, RunFolder(folder))
        journal = folder / f".journal_{os.getpid()}.jsonl"
        journal.unlink(missing_ok=True)
        os.environ[JOURNAL] = str(journal)
        os.environ["PYTHONPATH"] = search_path(with_sources=True)
        ClosingTable.journal = journal

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Find out whether the run's folder can be written to, before Hydra writes there."""
        require_writable(Path(config.hydra.run.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Read the journal, and print what became of each job."""
        close_early()
        mask_keys(config, RunFolder(Path(config.hydra.sweep.dir).resolve()))  # Hydra writes multirun.yaml meanwhile
        if config.sweep.report:
            report.write_at_the_end(Path(config.hydra.sweep.dir).resolve())


def close_early() -> None:
    """Print what became of each job, if that has not been done: a sweeper that raises ends Hydra without a word."""
    journal, ClosingTable.journal = ClosingTable.journal, None
    if journal is None:
        return
    os.environ.pop(JOURNAL)
    os.environ["PYTHONPATH"] = search_path(with_sources=False)
    entries = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    journal.unlink(missing_ok=True)
    trust(target for entry in entries for target in entry.get("targets", ()))  # for the report of these very runs
    ClosingTable.failed = print_table(entries) if entries else 0

"""Settings of an upsampler's own, each found with the same small budget: `sweep=tuned`.

Before an upsampler's first run, an Optuna study tries settings, each in a training of its own on a part of the training
images and measured on the rest of them. What is reported is never looked at. Trials are runs in folders below the
sweep's, so that the same command goes on with a study as with a sweep.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf, open_dict

from denseup.cli.config import plain, run_info
from denseup.engine import RunFolder
from denseup.engine.folder import config_hash, write_atomic
from denseup.engine.state import read_result
from denseup.locking import locked

FOLDER = "tuning"
"""In the folder of a sweep."""
Train = Callable[[RunFolder, DictConfig, list[str]], None]
"""(folder, config, overrides) trains what the config says, unless it has been; the overrides make it of the job's."""
Settings = dict[str, float]


def apply(cfg: DictConfig, settings: Mapping[str, Any]) -> DictConfig:
    """A config with other values of some of its keys."""
    changed = cast(DictConfig, OmegaConf.create(OmegaConf.to_container(cfg, resolve=False)))
    with open_dict(changed):
        for key, value in settings.items():
            OmegaConf.update(changed, key, value)
    return changed


def overrides(settings: Mapping[str, Any]) -> list[str]:
    """Settings as a command line says them."""
    return [f"{key}={value!r}" if isinstance(value, float) else f"{key}={value}" for key, value in settings.items()]


def tuned(cfg: DictConfig, sweep: Path, train: Train) -> Settings:
    """The settings with which the upsampler of a job did best on held-out images.

    Args:
        cfg: of the job; `sweep.tuning` says what is searched and how long.
        sweep: folder of the sweep.
        train: runs a trial.

    Raises:
        ValueError: no trial finished, or the study's settings are none.
    """
    plan = plain(cfg.sweep.tuning)
    fixed = {"seed": plan["seed"], "protocol.hold_out": plan["hold_out"]}
    base = apply(cfg, fixed)
    info = run_info(base)
    study = sweep / FOLDER / f"{info.task}_{info.upsampler}_{config_hash(info.config)[:8]}"
    study.mkdir(parents=True, exist_ok=True)
    with locked(study / ".lock", wait=True):  # of jobs side by side, one tunes and the others wait
        found = _known(study / "best.json", plan)
        if found is None:
            found = _search(base, study, plan, fixed, train)
    return found


def _known(file: Path, plan: Mapping[str, Any]) -> Settings | None:
    """What an earlier job or command found with the same plan."""
    try:
        known = json.loads(file.read_text())
        return cast(Settings, known["settings"]) if known["plan"] == plan else None
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not what a study writes
        return None


def _search(
    base: DictConfig, folder: Path, plan: Mapping[str, Any], fixed: Mapping[str, Any], train: Train
) -> Settings:
    study = _study(base, plan)
    tried: list[dict[str, Any]] = []
    for number in range(plan["trials"]):
        trial = study.ask()
        settings = {key: trial.suggest_float(key, *limits, log=True) for key, limits in plan["search"].items()}
        run = RunFolder(folder / f"trial_{number}")
        train(run, apply(base, settings), overrides({**fixed, **settings}))
        value = _measured(run, base.protocol.evaluation)
        tried.append({"settings": settings, "value": value})
        if value is None:
            study.tell(trial, state=_failed())
        else:
            study.tell(trial, value)
    return _chosen(folder, plan, tried, study.direction.name == "MINIMIZE")


def _chosen(folder: Path, plan: Mapping[str, Any], tried: Sequence[dict[str, Any]], least: bool) -> Settings:
    finished = [trial for trial in tried if trial["value"] is not None]
    if not finished:
        raise ValueError(f"none of the {len(tried)} trials in {folder} finished; their errors are in their folders")
    best = (min if least else max)(finished, key=lambda trial: trial["value"])
    write_atomic(
        folder / "best.json", json.dumps({"settings": best["settings"], "plan": plan, "trials": tried}, indent=2) + "\n"
    )
    return cast(Settings, best["settings"])


def _study(cfg: DictConfig, plan: Mapping[str, Any]) -> Any:
    """A study whose first trial is the recipe's own settings, the same for the same plan."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ValueError("sweep.tuning needs optuna: pip install 'denseup[optuna]'") from error
    from hydra.utils import get_class

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = {"min": "minimize", "max": "maximize"}[cast(Any, get_class(cfg.task._target_)).mode]
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=plan["seed"]))
    study.enqueue_trial({key: OmegaConf.select(cfg, key) for key in plan["search"]})
    return study


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


def _measured(folder: RunFolder, evaluation: str) -> float | None:
    """The monitor of a trial, at the evaluation that its protocol tells; None if it failed, or is not finite."""
    result = read_result(folder)
    if result.get("status") != "finished":
        return None
    metrics = result["metrics"]
    value: float | None = metrics.get(evaluation, metrics["last"])[result["monitor"]]
    return value

"""Tasks and networks built again from what a run left behind: `denseup.load`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor

from denseup.cli.build import build_data, build_task
from denseup.cli.trusted import BUILT, held
from denseup.data.datamodules import DenseData
from denseup.engine import RunFolder
from denseup.engine.evaluation import read_checkpoint
from denseup.engine.former import upgraded
from denseup.exporting.facts import Facts, facts_of
from denseup.exporting.folder import is_exported, read_facts, read_folder
from denseup.runs.describing import FROM_PYTHON
from denseup.tasks import DenseTask

CONFIG = "the config of the run"
"""What a config is called in messages whose file is not known."""


def load(source: str | Path, task: DenseTask | None = None) -> DenseTask:
    """The task of a run with its weights, in evaluation mode, on the CPU.

    Args:
        source: checkpoints/best.ckpt or another one of a run; a run's folder, for the weights that its protocol tells;
            or a folder that `src.export format=safetensors` wrote. Nothing else is read.
        task: what the weights are loaded into; None: built from the run's config, which a run of `denseup.runs.train`
            does not have.

    Returns:
        The task: `task.network` is the network alone, `task(image, …)` runs it on images in [0, 1], and
        `task.predict(batch)` gives what the evaluation measures.

    Raises:
        ValueError: no such file, or not a checkpoint of a run; a run of `denseup.runs.train` and no task; weights
            that do not fit the task; a config that asks for more than it may (`denseup.cli.trusted`).
    """
    config, weights = _read(source)
    if task is None:
        task = rebuilt_task(config)
        task.load_state_dict(weights)
        return task.eval()
    try:
        task.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"task has another network than the run of {source}: {error}") from error
    return task.eval()


def weights_of(source: str | Path) -> Path:
    """Where `load` takes the weights from: a checkpoint, or an exported folder."""
    return Path(source) if is_exported(Path(source)) else told_checkpoint(source)


def read_config(source: str | Path) -> dict[str, Any]:
    """The config of the run whose weights `load` would take; errors as there."""
    return _read(source)[0]


def _read(source: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and weights."""
    if is_exported(Path(source)):
        facts, weights = read_folder(Path(source))
        config = upgraded(facts["config"])
    else:
        config, weights = read_checkpoint(told_checkpoint(source))
    return held(config, f"ckpt={source}"), weights


def load_described(source: str | Path) -> tuple[DenseTask, Facts]:
    """The task of `load`, and what is known of its weights; errors as there."""
    if is_exported(Path(source)):
        return load(source), read_facts(Path(source))
    checkpoint = told_checkpoint(source)
    task = load(checkpoint)
    return task, facts_of(checkpoint, task)


def told_checkpoint(source: str | Path) -> Path:
    """The checkpoint that a path stands for: itself, or in a run's folder the one that the run's protocol tells.

    Raises:
        ValueError: a folder without such a checkpoint.
    """
    folder = RunFolder(source)
    if not folder.path.is_dir():
        return folder.path
    found = folder.weights(_evaluation(folder))
    if not found.is_file():
        what = "a run's folder with checkpoints/best.ckpt, or one that format=safetensors wrote"
        raise ValueError(
            f"ckpt={source}: there are no weights in this folder; expected a checkpoint, {what}{_runs_in(folder.path)}"
        )
    return found


def _runs_in(folder: Path) -> str:
    """The first few runs that lie in a folder, for an error."""
    inside = sorted(file.parent.parent.relative_to(folder).as_posix() for file in folder.rglob("checkpoints/best.ckpt"))
    return f"; runs in it: {', '.join(inside[:5])}{' …' if len(inside) > 5 else ''}" if inside else ""


def _evaluation(folder: RunFolder) -> str:
    config: Any = OmegaConf.load(folder.config) if folder.config.is_file() else {}
    return str((config.get("protocol") or {}).get("evaluation", "best"))


def rebuilt_task(config: Mapping[str, Any], data: DenseData | None = None) -> DenseTask:
    """The task of a run's config, for evaluation, with fresh weights; for other data than the run's, if there are.

    Raises:
        ValueError: the config asks for more than one from a file may, see `held`.
    """
    if config.get("made_by") == FROM_PYTHON:
        raise ValueError(
            f"the run was made by {FROM_PYTHON}: its config says what it was, and can't build it; "
            "denseup.load(checkpoint, task=…) takes its task"
        )
    cfg = OmegaConf.create(held(config, CONFIG, [part for part in BUILT if part != "data" or data is None]))
    for part in ("model", "encoder"):  # whatever weights it started from, they are not needed now
        if "pretrained" in (cfg.get(part) or {}):
            cfg[part].pretrained = False
    return build_task(cfg, data or rebuilt_data(config), training=False)


def rebuilt_data(config: Mapping[str, Any]) -> DenseData:
    """The data module of a run's config; it reads nothing before it is asked for data. Errors as in `rebuilt_task`."""
    return build_data(OmegaConf.create(held(config, CONFIG, ["data"])))

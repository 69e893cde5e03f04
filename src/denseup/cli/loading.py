"""Tasks and networks built again from what a run or the authors left behind: `denseup.load`."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor

from denseup.cli import official
from denseup.cli.build import build_data, build_task
from denseup.cli.places import OFFICIAL, is_official, path_of
from denseup.cli.trusted import BUILT, held
from denseup.data.datamodules import DenseData
from denseup.engine import RunFolder
from denseup.engine.evaluation import read_checkpoint
from denseup.engine.former import upgraded
from denseup.exporting.facts import Facts, facts_of, facts_of_file
from denseup.exporting.folder import is_exported, read_facts, read_folder
from denseup.runs.describing import FROM_PYTHON
from denseup.tasks import DenseTask
from denseup.weights import read_weights

CONFIG = "the config of the run"
"""What a config is called in messages whose file is not known."""


def load(
    source: str | Path, task: DenseTask | None = None, *, upsampler: str | Mapping[str, Any] | None = None
) -> DenseTask:
    """The task of a run with its weights, in evaluation mode, on the CPU.

    Args:
        source: checkpoints/best.ckpt or another one of a run; a run's folder, for the weights that its protocol tells;
            a folder that `src.export format=safetensors` wrote; or "official:PATH", a file of the authors. Nothing else
            is read.
        task: what the weights are loaded into; None: built from the run's config, which a run of `denseup.runs.train`
            does not have, or from what a file of the authors tells.
        upsampler: of a file of the authors that does not tell it: its name, or a mapping of its name and options.

    Returns:
        The task: `task.network` is the network alone, `task(image, …)` runs it on images in [0, 1], and
        `task.predict(batch)` gives what the evaluation measures.

    Raises:
        ValueError: no such file, or not a checkpoint of a run; a run of `denseup.runs.train` and no task; weights
            that do not fit the task; a config that asks for more than it may (`denseup.cli.trusted`); `upsampler` of
            anything but a file of the authors, or one that contradicts it.
    """
    if is_official(source):
        loaded, notes = load_official_file(str(source), task, upsampler)
        for note in notes:
            if note.startswith(official.WARNING):
                warnings.warn(note.removeprefix(official.WARNING), stacklevel=2)
        return loaded
    if upsampler is not None:
        raise ValueError(f"upsampler is {upsampler!r}, but {source} is no {OFFICIAL}PATH: its config says it")
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


def load_official_file(
    source: str, task: DenseTask | None = None, upsampler: str | Mapping[str, Any] | None = None
) -> tuple[DenseTask, list[str]]:
    """The task of a file of the authors, and what has to be said of it; arguments and errors as in `load`."""
    if task is not None:
        tensors = read_weights(path_of(source), "ckpt")
        return task.eval(), [str(official.load_into(task, tensors, source))]
    *_, built, notes = _of_authors(source, upsampler)
    return built, notes


def _of_authors(
    source: str, upsampler: str | Mapping[str, Any] | None
) -> tuple[official.OfficialFile, dict[str, Any], DenseTask, list[str]]:
    """A file of the authors, the config that a run of its network would have, the task, and what has to be said."""
    given = official.given_upsampler(upsampler)
    file = official.read_file(source, given)
    config = official.whole_config(file, given)
    task = rebuilt_task(config)
    report = official.load_into(task, file.tensors, source)
    return file, config, task.eval(), [*file.notes(), str(report)]


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


def load_described(
    source: str | Path, upsampler: str | Mapping[str, Any] | None = None
) -> tuple[DenseTask, Facts, list[str]]:
    """The task of `load`, what is known of its weights, and what has to be said of a file of the authors.

    Arguments and errors as in `load`.
    """
    if is_official(source):
        file, config, task, notes = _of_authors(str(source), upsampler)
        return task, facts_of_file(file.path, config, task), notes
    if upsampler is not None:
        raise ValueError(f"upsampler is {upsampler!r}, but ckpt={source} is no {OFFICIAL}PATH: its config says it")
    if is_exported(Path(source)):
        return load(source), read_facts(Path(source)), []
    checkpoint = told_checkpoint(source)
    task = load(checkpoint)
    return task, facts_of(checkpoint, task), []


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

"""Config → objects, shared by the entry points. Hydra stays here and in them; the library takes plain arguments."""

import difflib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import hydra
import pytorch_lightning as pl
import torch.distributed as dist
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from denseup.data import check_datasets
from denseup.data.datamodule import DenseData
from denseup.runs import RunFolder
from denseup.runs.processes import is_first
from denseup.runs.state import FolderInUseError, read_result
from denseup.runs.training import RunInfo
from denseup.tasks import DenseTask
from denseup.upsamplers import UpsamplerFactory, upsampler_factory
from src import elsewhere  # noqa: F401  # registers the data of conf/evaluate.yaml
from src.checks import refuse_unreadable

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
IN_CHANNELS = {"matting": 4, "segmentation": 3}
"""Of each task's network: an image, for matting with its trimap."""


USER_ERRORS = (ValueError, OSError, CompactHydraException, OmegaConfBaseException, MisconfigurationException)
"""What is shown as a message; the last is Lightning's own, of arguments of the trainer that do not go together."""


class RunError(CompactHydraException):
    """An error that the user can mend: Hydra prints its message without a traceback and exits with 1."""


@contextmanager
def user_errors(folder: RunFolder, cfg: DictConfig | None = None) -> Iterator[None]:
    """Record a failure in the run folder; show wrong input as a message, anything else with its traceback.

    A folder that holds a finished run, or in which another process is running, is left alone: RunError. With `cfg`, the
    record names the run.
    """
    if folder.finished():
        raise RunError(f"{folder.path} holds a finished run; choose another hydra.run.dir, or remove it")
    try:
        yield
    except FolderInUseError as error:
        raise RunError(str(error)) from error
    except BaseException as error:
        record_failure(folder, error, cfg)
        if isinstance(error, USER_ERRORS):
            raise RunError(f"{_cause(error)}\n(traceback: {folder.error})") from error
        raise


def record_failure(folder: RunFolder, error: BaseException, cfg: DictConfig | None) -> None:
    """Write error.txt, and a result.json that names the run as far as its config allows.

    Its status is "failed", or "killed" where a person or the system ended the process: such a run can be resumed. Of
    several processes that train it together the first to fail is heard: the others lose it and fail for that. A run
    that has finished stays finished, whatever comes after it.
    """
    if folder.finished():
        return
    if dist.is_available() and dist.is_initialized() and read_result(folder).get("status") == "failed":
        return
    folder.make()
    folder.write_error(error)
    try:
        described = run_info(cfg).describe() if cfg is not None else {}
    except OmegaConfBaseException:  # a value is missing, which may be the very error
        described = {}
    ended = isinstance(error, KeyboardInterrupt | SystemExit)  # Lightning makes the latter of Ctrl-C
    status = "killed" if ended else "failed"
    folder.write_result({**described, "status": status, "error": f"{type(error).__name__}: {_cause(error)}"})


def run_info(cfg: DictConfig) -> RunInfo:
    """Names and plain config of a run."""
    return RunInfo(cfg.task.name, cfg.upsampler.name, cfg.seed, plain(cfg), plain(cfg.logger))


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Resolved config as dictionaries, lists and numbers."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True))


def configured_upsampler(name: str) -> UpsamplerFactory:
    """The factory of a registered upsampler with the options of conf/upsampler/<name>.yaml, if there is one."""
    file = CONF / "upsampler" / f"{name}.yaml"
    options = plain(cast(DictConfig, OmegaConf.load(file))) if file.is_file() else {"name": name}
    return upsampler_factory(**options)


def build_data(cfg: DictConfig) -> DenseData:
    """The data module; a ValueError if it is for another task."""
    data: DenseData = hydra.utils.instantiate(cfg.data)
    if data.task != cfg.task.name:
        raise ValueError(f"data is {type(data).__name__}, which serves task={data.task}, but task={cfg.task.name}")
    return data


def group_file(data: DictConfig | None) -> dict[str, Any]:
    """What the file of conf/data says whose class these options are for, unresolved; {} if there is none."""
    target = None if data is None else data.get("_target_")
    files = (cast(DictConfig, OmegaConf.load(file)) for file in sorted((CONF / "data").glob("*.yaml")))
    found = (file for file in files if target is not None and file.get("_target_") == target)
    return cast(dict[str, Any], OmegaConf.to_container(next(found, OmegaConf.create({})), resolve=False))


def build_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """The callbacks that conf/callbacks switches on; a config made before there were any has none."""
    return [hydra.utils.instantiate(options) for options in (cfg.get("callbacks") or {}).values() if options]


def build_task(cfg: DictConfig, data: DenseData, training: bool = True) -> DenseTask:
    """Network, recipe and task."""
    factory = upsampler_factory(**plain(cfg.upsampler))
    classes: dict[str, Any] = {}
    network: dict[str, Any] = {"upsampler": factory}
    if cfg.task.name == "segmentation":
        classes = {name: getattr(data, name) for name in ("num_classes", "class_names", "ignore_index")}
        network["num_classes"] = data.num_classes
    # Objects are passed by an ordinary call: `instantiate` would turn the recipe's dataclass into a config again.
    make = hydra.utils.instantiate({key: value for key, value in cfg.task.items() if key != "name"}, _partial_=True)
    optimization = hydra.utils.instantiate(cfg.recipe.optimization) if training else None
    task: DenseTask = make(hydra.utils.instantiate(cfg.model, **network), optimization, **classes)
    return task


def check_data(data: DenseData, stage: str, limit: int) -> None:
    """Look the files up and read up to `limit` samples of each split; one ValueError lists every problem.

    What is not wrong but suspicious is printed on standard error, by the first process of several.
    """
    data.setup(stage)
    splits = {"fit": ("train", "val"), "test": ("test",)}[stage]
    for split in splits:
        if not len(cast(Any, data.dataset(split))):
            raise ValueError(f"the {split} split of {type(data).__name__} is empty, expected at least one sample")
    report = check_datasets({split: cast(Any, data.dataset(split)) for split in splits if limit}, limit)
    for line in report.warnings if is_first() else ():
        print(f"warning: {line}", file=sys.stderr)
    if report.problems:
        raise ValueError("\n  ".join([f"{len(report.problems)} broken samples:", *report.problems]))


def suggest(argv: list[str]) -> None:
    """Before Hydra says that a choice is unknown, name the nearest known one on standard error.

    What Hydra could not even read ends here, with a message.
    """
    groups = {
        folder.name: sorted(f.stem for f in folder.glob("*.yaml")) for folder in CONF.iterdir() if folder.is_dir()
    }
    refuse_unreadable(argv, list(groups))
    for argument in argv:
        group, _, choices = argument.partition("=")
        for choice in choices.split(",") if group in groups else ():
            if choice.isidentifier() and choice not in groups[group]:
                nearest = difflib.get_close_matches(choice, groups[group], n=1, cutoff=0.4)
                hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
                print(f"{group} {choice!r} is unknown.{hint} Known: {', '.join(groups[group])}", file=sys.stderr)


def _cause(error: BaseException) -> str:
    """The message of the error that a failed instantiation hides behind its own."""
    if isinstance(error, hydra.errors.InstantiationException) and error.__cause__ is not None:
        return str(error.__cause__)
    return str(error)

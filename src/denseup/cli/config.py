"""What is done with a config before anything heavy is imported: names, messages, and the record of a failure.

Nothing here needs torch, so that `--help` and a wrong option are answered at once (`tests/test_startup.py`).
"""

import difflib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from hydra.errors import CompactHydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import denseup.cli.evaluation_data  # noqa: F401  # registers the data of conf/evaluate.yaml
from denseup.cli import stopping
from denseup.cli.going_on import how_to_go_on
from denseup.cli.places import CONF
from denseup.cli.plugins import refuse_missing
from denseup.cli.quoting import refuse_unreadable
from denseup.engine import RunFolder
from denseup.engine.info import RunInfo
from denseup.engine.masking import mask_files, masked, masked_text
from denseup.engine.processes import is_rank_zero
from denseup.engine.state import STAYS_INTERRUPTED, RefusedFolderError, read_result
from denseup.engine.together import LostProcessError
from denseup.faults import MachineError

FORMER_OPTIONS = ("model.pretrained", "model.depths", "model.drop_path")
"""Options of the model that are the encoder's now."""
EXAMPLES = 2
"""Validation images of each task in a report's panel, unless told otherwise."""

ELSEWHERE = ("--config-dir", "-cd", "hydra.searchpath=")
"""What says that there are further choices, in folders that only Hydra knows."""


class RunError(CompactHydraException):
    """An error that the user can mend: Hydra prints its message without a traceback and exits with 1."""


@contextmanager
def user_errors(folder: RunFolder, cfg: DictConfig | None = None) -> Iterator[None]:
    """Record a failure in the run folder; show wrong input as a message, anything else with its traceback.

    A folder that holds a finished run, or an unfinished one of another config, or in which another process is running,
    is left alone: RunError. With `cfg`, the record names the run.
    """
    if folder.finished():
        raise RunError(f"{folder.path} holds a finished run; choose another hydra.run.dir, or remove it")
    try:
        yield
    except RefusedFolderError as error:
        raise RunError(str(error)) from error
    except BaseException as error:
        written = record_failure(folder, error, cfg)
        if stopping.stopped():  # whatever came of it meanwhile
            raise stopping.Stopped(stopping.exit_code()) from error
        if isinstance(error, _of_users()):
            where = f"\n(traceback: {folder.error})" if written else ""
            how = f"; {how_to_go_on(folder)}" if isinstance(error, MachineError) and cfg is not None else ""
            raise RunError(masked_text(f"{_cause(error)}{how}{where}")) from error
        raise


def record_failure(folder: RunFolder, error: BaseException, cfg: DictConfig | None) -> bool:
    """Write error.txt, and a result.json that names the run as far as its config allows.

    Its status is "failed", or "killed" where a person, the system or a fault of the machine ended it, or no checkpoint
    could be read: such a run can be resumed. Of several processes that train it together the first to fail is heard:
    the others lose it and fail for that. A run that has finished stays finished, whatever comes after it.

    Returns:
        Whether it is written; a full disk may have no room for it, which leaves a run that can be resumed too.
    """
    if folder.finished():
        return False
    lost = isinstance(error, LostProcessError)
    if lost and not is_rank_zero():  # the first one knows which
        return False
    if (lost or _together()) and read_result(folder).get("status") == "failed":
        return True
    try:
        folder.make()
        folder.write_error(error)
        _record(folder, error, cfg)
    except OSError:
        return False
    return True


def _record(folder: RunFolder, error: BaseException, cfg: DictConfig | None) -> None:
    try:
        described = run_info(cfg).describe() if cfg is not None else {}
    except OmegaConfBaseException:  # a value is missing, which may be the very error
        described = {}
    ended = isinstance(error, STAYS_INTERRUPTED) or (isinstance(error, LostProcessError) and error.killed)
    status = "killed" if ended or stopping.stopped() else "failed"
    folder.write_result({**described, "status": status, "error": f"{type(error).__name__}: {_cause(error)}"})


def mask_keys(cfg: DictConfig, folder: RunFolder) -> None:
    """Know the keys that a config has, and take them out of what Hydra has written of it already."""
    masked(OmegaConf.to_container(cfg, resolve=False))
    mask_files(folder.path)


def run_info(cfg: DictConfig) -> RunInfo:
    """Names and plain config of a run."""
    return RunInfo(cfg.task.name, cfg.upsampler.name, cfg.seed, plain(cfg), plain(cfg.logger))


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Resolved config as dictionaries, lists and numbers."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True))


def suggest(argv: list[str]) -> None:
    """Before Hydra says that a choice is unknown, name the nearest known one on standard error.

    What Hydra could not even read ends here, with a message, and a choice whose plugin is missing.
    """
    groups = {
        folder.name: sorted(f.stem for f in folder.glob("*.yaml")) for folder in CONF.iterdir() if folder.is_dir()
    }
    refuse_unreadable(argv, list(groups))
    refuse_missing(argv)
    for argument in argv:
        if today := moved(argument):
            print(f"{argument} is {today} now", file=sys.stderr)
    if any(argument.startswith(ELSEWHERE) for argument in argv):
        return
    for argument in argv:
        group, _, choices = argument.partition("=")
        for choice in choices.split(",") if group in groups else ():
            if choice.isidentifier() and choice not in groups[group]:
                nearest = difflib.get_close_matches(choice, groups[group], n=1, cutoff=0.4)
                hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
                print(f"{group} {choice!r} is unknown.{hint} Known: {', '.join(groups[group])}", file=sys.stderr)


def moved(argument: str) -> str | None:
    """How today's configs say what an argument of version 0.1.0 said; None where nothing has moved."""
    key, _, value = argument.lstrip("+").partition("=")
    if key in FORMER_OPTIONS:
        return f"encoder.{key.removeprefix('model.')}={value}"
    if key == "model" and value.startswith("segformer_b"):
        return f"model=segformer encoder=mit_{value.removeprefix('segformer_')}"
    return "model=matting encoder=resnet34" if argument == "model=matting_resnet34" else None


def _cause(error: BaseException) -> str:
    """The message of the error that a failed instantiation hides behind its own."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return str(error.__cause__)
    return str(error)


def _together() -> bool:
    """Whether this process trains the run together with others; before torch has been imported none does."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()


def _of_users() -> tuple[type[BaseException], ...]:
    """What is shown as a message; the last is Lightning's own, of arguments of the trainer that do not go together."""
    ours = (ValueError, OSError, MachineError, CompactHydraException, OmegaConfBaseException)
    lightning = sys.modules.get("pytorch_lightning.utilities.exceptions")
    return ours if lightning is None else (*ours, lightning.MisconfigurationException)

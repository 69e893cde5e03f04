"""Going on from a checkpoint: whether it can be done, and what is taken along from the folder it lies in."""

import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from denseup.engine.callbacks.history import KeepHistory
from denseup.engine.checkpoint_files import DamagedError, NothingWholeError, check_bytes, newest_whole
from denseup.engine.folder import CONFIG_KEY, LOGGED_KEY, RunFolder
from denseup.engine.former import upgraded
from denseup.engine.processes import is_rank_zero
from denseup.tasks import DenseTask

NETWORK = ("task.name", "upsampler", "model", "encoder")
"""Of a config: what has to be the same, for weights of the same shapes can be those of another network."""
TRAINING = ("data", "recipe", "trainer", "seed")
"""What may differ, and is said if it does."""
NOT_OURS = "not a checkpoint written by this package"


def load_checkpoint(path: str | Path, argument: str, *keys: str) -> dict[str, Any]:
    """A checkpoint that `train` wrote.

    Args:
        path: of the file.
        argument: what the path was given as, for messages.
        keys: what it has to hold.

    Raises:
        ValueError: no such file, or a file that `train` did not write, or one whose bytes have changed since.
    """
    if not Path(path).is_file():
        what = "this is a folder" if Path(path).is_dir() else "there is no such file"
        raise ValueError(f"{argument}={path}: {what}; expected the checkpoints/best.ckpt or last.ckpt of a run")
    try:
        check_bytes(Path(path))
    except (DamagedError, OSError) as error:
        raise DamagedError(f"{argument}={path}: {NOT_OURS}, or a damaged one: {error}") from error
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        missing = [key for key in keys if key not in checkpoint]
    except Exception as error:
        kind = type(error).__name__  # torch's message advises to load the file all the same
        raise ValueError(f"{argument}={path}: {NOT_OURS} ({kind})") from error
    if missing:
        raise ValueError(f"{argument}={path}: {NOT_OURS}: it lacks {', '.join(missing)}")
    return checkpoint


@dataclass(frozen=True)
class Resumed:
    """What was done when a checkpoint was written.

    Attributes:
        step: the last one.
        logged: what the loggers put into it; {} in one of an earlier version.
    """

    step: int
    logged: dict[str, Any]


def find_resumed(path: str | Path) -> str | Path:
    """The checkpoint itself, or a whole one that was kept before it, with a warning that says what is wrong.

    Raises:
        NothingWholeError: there are some, and none is whole.
    """
    try:
        found, problems = newest_whole(Path(path))
    except NothingWholeError as error:
        raise NothingWholeError(f"resume={path}: {NOT_OURS}, or a damaged one: {error}") from error
    if problems and is_rank_zero():
        warnings.warn(f"resume={path}: {'; '.join(problems)}; the run goes on from {found}", stacklevel=3)
    return found if problems else path


def read_resumed(
    path: str | Path, task: DenseTask, folder: RunFolder, config: Mapping[str, Any], max_steps: int
) -> Resumed:
    """What the checkpoint that a run goes on from has done; warns of what the run does otherwise than its first part.

    Raises:
        ValueError: it is no checkpoint of a run, of another network, or has nothing left to train.
    """
    checkpoint = load_checkpoint(path, "resume", CONFIG_KEY, "state_dict", "global_step", "optimizer_states", "loops")
    theirs, step = upgraded(checkpoint[CONFIG_KEY]), int(checkpoint["global_step"])
    found = list(_differences(theirs, config, NETWORK))
    if found:
        raise ValueError(f"resume={path}: a checkpoint of another network: {'; '.join(found)}")
    _check_shapes(path, checkpoint["state_dict"], task.state_dict())
    done = "python -m src.evaluate ckpt=… measures it, a greater recipe.max_steps goes on"
    # The last checkpoint of this very folder is that of a run that was killed before it wrote its result.
    if max_steps != -1 and (step > max_steps or (step == max_steps and not _is_in(path, folder))):
        raise ValueError(f"resume={path}: trained for {step} steps, and trainer.max_steps is {max_steps}; {done}")
    found = list(_differences(theirs, config, TRAINING))
    if found:
        warnings.warn(f"resume={path}: the run goes on with other settings: {'; '.join(found)}", stacklevel=2)
    return Resumed(step, checkpoint.get(LOGGED_KEY, {}))


def take_along(checkpoint: str | Path, step: int, folder: RunFolder) -> bool:
    """Copy the best checkpoint that lies beside the one a run goes on from, with its picture, into the run's folder.

    Returns:
        Whether the folder has the best checkpoint of the evaluations up to `step`; a warning if that is damaged.
    """
    best, mine = Path(checkpoint).with_name("best.ckpt"), folder.checkpoints / "best.ckpt"
    if not best.is_file():
        return False
    try:
        reached = int(load_checkpoint(best, "resume", "global_step")["global_step"])
    except DamagedError as error:
        warnings.warn(f"{error}; the best is sought among the evaluations to come", stacklevel=3)
        return False
    if reached > step:
        return False
    if not _is_in(checkpoint, folder) and is_rank_zero():
        for source in (best, *Path(checkpoint).parent.parent.glob(f"images/val_{reached:06d}.png")):
            target = mine if source == best else folder.images / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return True


class GoOn(pl.Callback):
    """Lets the best checkpoint of a run that goes on be known where it lies now.

    Args:
        best: the callback that keeps it; Lightning forgets its score when the folder is another one.
        history: of the run.
        kept: whether the folder has the best checkpoint; else the best is sought among the evaluations to come.
    """

    def __init__(self, best: ModelCheckpoint, history: KeepHistory, kept: bool) -> None:
        self.best, self.history, self.kept = best, history, kept

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After Lightning has loaded all states."""
        assert isinstance(pl_module, DenseTask)
        if not self.kept or not self.history.history:
            self.history.first = len(self.history.history)
            self.best.best_k_models, self.best.best_model_path = {}, ""
            return
        value = self.history.outcomes(pl_module)["best"][pl_module.monitor]
        assert self.best.dirpath is not None
        path = str(Path(self.best.dirpath) / "best.ckpt")
        worst = float("inf") if pl_module.mode == "min" else -float("inf")
        score = torch.tensor(worst if value != value else value, dtype=torch.float32, device=pl_module.device)
        self.best.best_model_path = self.best.kth_best_model_path = path
        self.best.best_model_score = self.best.kth_value = score
        self.best.best_k_models = {path: score}


def _is_in(checkpoint: str | Path, folder: RunFolder) -> bool:
    return Path(checkpoint).resolve().parent == folder.checkpoints.resolve()


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    """ "upsampler.name is 'fade' there and 'carafe' here" for all that both configs have and is not the same."""
    for key in keys:
        there, here = _flat(_at(theirs, key), key), _flat(_at(ours, key), key)
        for name in there:
            if name in here and there[name] != here[name] and not name.endswith(".pretrained"):
                yield f"{name} is {there[name]!r} there and {here[name]!r} here"


def _at(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part, {}) if isinstance(config, Mapping) else {}
    return config


def _flat(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {name: value}
    return {inner: leaf for key, item in value.items() for inner, leaf in _flat(item, f"{name}.{key}").items()}


def _check_shapes(path: str | Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """ValueError that names the first weight that one of both lacks or has in another shape."""
    for name in dict.fromkeys([*ours, *theirs]):
        there, here = (list(weights[name].shape) if name in weights else "missing" for weights in (theirs, ours))
        if there != here:
            raise ValueError(f"resume={path}: a checkpoint of another network: {name} is {there} there and {here} here")

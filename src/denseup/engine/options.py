"""Which arguments of Lightning's trainer a run can be given: a wrong one is refused before anything is written."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl

from denseup.engine.compiling import COMPILE
from denseup.tasks.checks import is_number, is_whole

Rule = tuple[Callable[[Any], bool], str]
"""Whether a value is valid, and in words what is."""


def check_trainer(options: Mapping[str, Any]) -> None:
    """ValueError that names the first of the trainer's arguments, Lightning's and `compile`, that no run can have."""
    known = [*list(inspect.signature(pl.Trainer.__init__).parameters)[1:], COMPILE]
    for name, value in options.items():
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else f", valid: {', '.join(known)}"
            raise ValueError(f"trainer.{name} is {value!r}: the trainer has no such argument{hint}")
        if name in GIVEN and value not in GIVEN[name][0]:
            raise ValueError(f"trainer.{name} is {value!r}: {GIVEN[name][1]}")
        if name in RULES and not RULES[name][0](value):
            raise ValueError(f"trainer.{name} is {value!r}, expected {RULES[name][1]}")
    _check_length(options)


def _check_length(options: Mapping[str, Any]) -> None:
    """What no argument says alone: that there is an end, and when to evaluate."""
    if options.get("max_steps", 1) == -1 and not (options.get("max_epochs", -1) != -1 or options.get("max_time")):
        raise ValueError(
            "trainer.max_steps is -1, which never ends: give trainer.max_epochs or trainer.max_time as well"
        )
    interval, epochs = options.get("val_check_interval"), options.get("check_val_every_n_epoch", 1)
    if isinstance(interval, float) and epochs is None:
        raise ValueError(
            f"trainer.val_check_interval is {interval}, a share of an epoch, which needs "
            "trainer.check_val_every_n_epoch=1; expected a number of steps (recipe.val_every)"
        )


def _whole(least: int, *others: Any) -> Callable[[Any], bool]:
    return lambda value: value is not True and (is_whole(value, least) or value in others)


def _share(value: Any) -> bool:
    """A number of batches, or a part of all; null means all."""
    return value is None or is_whole(value, 1) or (isinstance(value, float) and 0 < value <= 1)


def _interval(value: Any) -> bool:
    return _share(value) or isinstance(value, str | dict | timedelta)


def _devices(value: Any) -> bool:
    return isinstance(value, str | list) or _whole(1, -1)(value)


def _switch(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _norm(value: Any) -> bool:
    return value is None or is_number(value, 0)


SWITCHES = ("enable_progress_bar", "enable_model_summary", "detect_anomaly", "sync_batchnorm")
CLIPPING = ("norm", "value")
BATCHES = "a number of batches ≥ 1, or a share of them in (0, 1]"

RULES: dict[str, Rule] = {
    "max_steps": (_whole(1, -1), "a number of steps ≥ 1, or -1 with trainer.max_epochs; it is recipe.max_steps"),
    "max_epochs": (_whole(1, -1, None), "a number of epochs ≥ 1, or null"),
    "min_steps": (_whole(0, None), "a number of steps ≥ 0, or null"),
    "min_epochs": (_whole(0, None), "a number of epochs ≥ 0, or null"),
    "limit_train_batches": (_share, BATCHES),
    "limit_val_batches": (_share, f"{BATCHES}: a run is judged by its evaluations"),
    "limit_test_batches": (_share, BATCHES),
    "val_check_interval": (_interval, "a number of steps ≥ 1; it is recipe.val_every"),
    "check_val_every_n_epoch": (_whole(1, None), "a number of epochs ≥ 1, or null to count steps"),
    "num_sanity_val_steps": (_whole(-1), "a number of batches ≥ 0, or -1 for all"),
    "log_every_n_steps": (_whole(0, None), "a number of steps ≥ 1, or 0 for none"),
    "accumulate_grad_batches": (_whole(1), "a number of batches ≥ 1"),
    "gradient_clip_val": (_norm, "a number ≥ 0, or null"),
    "gradient_clip_algorithm": (lambda value: value in (None, *CLIPPING), f"{' or '.join(CLIPPING)}"),
    COMPILE: (lambda value: isinstance(value, bool | str), "true, false or the name of a back end of torch.compile"),
    "devices": (_devices, "a number of devices ≥ 1, -1 for all, or auto"),
    **dict.fromkeys(SWITCHES, (_switch, "true or false")),
    "fast_dev_run": (lambda value: isinstance(value, bool) or is_whole(value, 0), "true, false or a number of batches"),
}

GIVEN: dict[str, tuple[tuple[Any, ...], str]] = {
    "logger": ((None,), "the loggers of a run are those of logger=none, csv or wandb"),
    "callbacks": ((None,), "the callbacks of a run are those of the group callbacks"),
    "default_root_dir": ((None,), "the folder of a run is hydra.run.dir"),
    "enable_checkpointing": ((None, True), "a run keeps its best and its last checkpoint, expected true"),
    "barebones": ((False,), "a run evaluates, logs and keeps checkpoints, expected false"),
    "use_distributed_sampler": (
        (True,),
        "processes that see the same images would count them several times, expected true",
    ),
    "overfit_batches": (
        (0,),
        "a training sample is drawn anew in each epoch; for a few of them again and again take data.train_length",
    ),
}
"""Arguments that a run has no choice of: what may stand there, and why or where else it is said."""

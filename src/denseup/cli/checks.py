"""Values that no run can have, refused by name before any work begins."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from denseup.cli.quoting import quoted
from denseup.engine.options import check_trainer
from denseup.tasks.checks import check_number, check_whole, is_number

SEEDS = 2**32
"""NumPy takes no greater ones."""
PROTOCOLS = ("frozen", "finetune")
AVERAGED = "averaged"
EVALUATIONS = ("best", "last", AVERAGED)
LEAST = {
    "batch_size": 1,
    "num_workers": 0,
    "crop_size": 1,
    "short_side": 1,
    "long_side": 1,
    "train_length": 1,
    "val_length": 1,
    "image_size": 1,
    "num_classes": 1,
    "seed": 0,
}
"""Whole numbers among the options of data, and what each is at least."""


def check_config(cfg: DictConfig) -> None:
    """ValueError that names the first value of a run's config which no run can have, before anything is built."""
    check_whole("seed", cfg.seed, 0, SEEDS - 1)
    check_whole("check_data", cfg.check_data, 0)
    check_data_options(cfg.data)
    name = cfg.upsampler.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"upsampler.name is {name!r}, expected the name of an upsampler, such as fade")
    effective = cfg.recipe.get("effective_batch_size")
    if effective is not None:
        check_whole("recipe.effective_batch_size", effective, 1)
    if cfg.resume is not None:
        check_path("resume", cfg.resume, "file")
    check_protocol(cfg)
    check_trainer(cfg.trainer)


def check_protocol(cfg: DictConfig) -> None:
    """ValueError for a protocol that there is not, a cache that none can be, or a share of the steps that is none."""
    if cfg.protocol.name not in PROTOCOLS:
        raise ValueError(f"protocol.name is {cfg.protocol.name!r}, valid: {', '.join(PROTOCOLS)}")
    told = cfg.protocol.evaluation
    if told not in EVALUATIONS:
        raise ValueError(f"protocol.evaluation is {told!r}, valid: {', '.join(EVALUATIONS)}")
    if told == AVERAGED and cfg.recipe.get("average") is None:
        ways = f"recipe={cfg.task.name}_frozen has one, and protocol.evaluation=last does without"
        raise ValueError(f"protocol.evaluation is {told}, but recipe.average is null: there is no average; {ways}")
    check_number("cache.limit_gb", cfg.cache.limit_gb)
    if cfg.cache.folder is not None:
        check_path("cache.folder", cfg.cache.folder, "folder")
    share = cfg.recipe.get("average")
    if share is not None and not (is_number(share) and 0 < share <= 1):
        raise ValueError(f"recipe.average is {share!r}, expected a share of the steps, above 0 and at most 1, or null")


def check_data_options(options: Mapping[str, Any]) -> None:
    """ValueError for a size or number of the data that is none; null is left to the data's default."""
    for key in options:
        if key in LEAST and options[key] is not None:
            check_whole(f"data.{key}", options[key], LEAST[key])
    for key in ("root", "backgrounds"):
        if key in options:
            check_path(f"data.{key}", options[key], "folder")
    size = options.get("test_size")
    if size is not None:
        if len(size) != 2:
            raise ValueError(f"data.test_size is {list(size)}, expected [short side, long side] in pixels")
        for side in size:
            check_whole("data.test_size", side, 1)


def check_workers(value: Any) -> int:
    """The number of processes that `num_workers` says, null: one for each core; a ValueError for what is none."""
    if value is not None:
        check_whole("num_workers", value, 0)
        return int(value)
    from denseup.data.parallel import all_cores

    return all_cores()


def check_path(name: str, value: Any, kind: str) -> None:
    """ValueError for what Hydra has read as something else than a path, such as a number or a list."""
    if not isinstance(value, str) or not value:
        literal = f"{name}={quoted('PATH')}"
        raise ValueError(f"{name} is {value!r}, expected the path of a {kind}; {literal} is read as it stands")

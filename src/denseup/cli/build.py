"""Config → objects, shared by the entry points. Hydra stays in src/; the library takes plain arguments."""

import math
import sys
from collections.abc import Sequence
from typing import Any, cast

import hydra
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from denseup.cli.config import plain
from denseup.cli.places import CONF
from denseup.data import check_datasets
from denseup.data.caching import SampleCache, cache_folder
from denseup.data.datamodules import DenseData, HeldOutData
from denseup.engine.features import Features
from denseup.engine.processes import is_rank_zero
from denseup.networks.encoders.widening import RGB
from denseup.tasks import DenseTask
from denseup.upsamplers import UpsamplerFactory, upsampler_factory


def configured_upsampler(name: str) -> UpsamplerFactory:
    """The factory of a registered upsampler with the options of conf/upsampler/<name>.yaml, if there is one."""
    file = CONF / "upsampler" / f"{name}.yaml"
    options = plain(cast(DictConfig, OmegaConf.load(file))) if file.is_file() else {"name": name}
    return upsampler_factory(**options)


def instantiate_data(cfg: DictConfig) -> DenseData:
    """The data module, of whatever task."""
    data: DenseData = hydra.utils.instantiate({key: value for key, value in cfg.data.items() if key != "name"})
    return data


def build_data(cfg: DictConfig) -> DenseData:
    """The data module; a ValueError if it is for another task."""
    data = instantiate_data(cfg)
    if data.task != cfg.task.name:
        chosen = cfg.data.get("name") or type(data).__name__
        raise ValueError(f"data is {chosen}, which serves task={data.task}, but task={cfg.task.name}")
    return data


def build_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """The callbacks that conf/callbacks switches on; a config made before there were any has none."""
    return [hydra.utils.instantiate(options) for options in (cfg.get("callbacks") or {}).values() if options]


def build_network(cfg: DictConfig, in_channels: int, upsampler: UpsamplerFactory, **options: Any) -> nn.Module:
    """The network of a config's `model` and `encoder`; a model of one's own has no encoder beside it."""
    if cfg.get("encoder"):
        given = plain(cfg.encoder)
        frozen = (cfg.get("protocol") or {}).get("name") == "frozen"
        sees = RGB if frozen else in_channels  # what it has not learnt to see it can't learn
        options["encoder"] = given if given.get("in_channels") is not None else {**given, "in_channels": sees}
    network: nn.Module = hydra.utils.instantiate(cfg.model, upsampler=upsampler, **options, _convert_="all")
    return network


def task_class(cfg: DictConfig) -> type[DenseTask]:
    """The class of a config's task; a ValueError if it goes by another name there."""
    found: type[DenseTask] = hydra.utils.get_class(cfg.task._target_)
    if found.name != cfg.task.name:
        raise ValueError(f"task.name is {cfg.task.name!r}, but {cfg.task._target_} is the task {found.name!r}")
    return found


def build_task(cfg: DictConfig, data: DenseData, training: bool = True) -> DenseTask:
    """Network, recipe and task."""
    kind = task_class(cfg)
    factory = upsampler_factory(**plain(cfg.upsampler))
    network = build_network(cfg, kind.in_channels, factory, **taken(kind.network_options, data))
    optimization = hydra.utils.instantiate(cfg.recipe.optimization) if training else None
    # Objects are passed by an ordinary call: `instantiate` would turn the recipe's dataclass into a config again.
    make = hydra.utils.instantiate({key: value for key, value in cfg.task.items() if key != "name"}, _partial_=True)
    task: DenseTask = make(network, optimization, **taken(kind.data_options, data))
    return task


def apply_protocol(cfg: DictConfig, task: DenseTask, data: DenseData) -> DenseData:
    """The data that a run trains with and is measured on.

    `protocol=frozen` also freezes the task's encoder, and so does a recipe whose rate for it is 0.
    """
    if cfg.protocol.hold_out is not None:
        data = data.parted(cfg.protocol.hold_out)
    if cfg.protocol.name == "frozen":
        data = _features(cfg, data).of(task, data)
    else:
        _heed_the_encoder(cfg, task)
    return data if data.hold_out is None else HeldOutData(data)


def _heed_the_encoder(cfg: DictConfig, task: DenseTask) -> None:
    """Freeze an encoder whose rate is 0, and warn of one with random weights that a recipe keeps as they are."""
    recipe, instead = task.optimization, f"recipe={cfg.task.name}_scratch trains the whole network from random weights"
    assert recipe is not None
    if recipe.backbone_lr_scale == 0:
        try:
            task.freeze_encoder()
        except ValueError as error:
            raise ValueError(f"recipe.optimization.backbone_lr_scale is 0, but {error}; {instead}") from error
    kept = recipe.backbone_lr_scale == 0 or recipe.freeze_backbone_norms
    if kept and cfg.get("encoder") and not cfg.encoder.get("pretrained") and is_rank_zero():
        what = "the recipe keeps weights or statistics of an encoder that has no pretrained ones"
        print(f"warning: {what}; {instead}", file=sys.stderr)


def _features(cfg: DictConfig, data: DenseData) -> Features:
    on_cpu = cfg.trainer.get("accelerator", "auto") == "cpu" or not torch.cuda.is_available()
    return Features(
        SampleCache(cache_folder(cfg.cache.folder), cfg.cache.limit_gb * 1e9),
        plain(cfg),
        samples=_samples(cfg.trainer, data.batch_size, cfg.recipe.get("effective_batch_size")),
        device=torch.device("cpu" if on_cpu else "cuda"),
        progress=bool(cfg.trainer.get("enable_progress_bar", True)),
    )


def _samples(trainer: DictConfig, batch_size: int, effective: int | None) -> float:
    """How many training samples a run draws at most; infinity where no number of steps bounds it."""
    devices = trainer.devices if isinstance(trainer.devices, int) and trainer.devices > 0 else 1
    steps = trainer.max_steps if trainer.max_steps >= 0 else math.inf
    return float(steps * (effective or batch_size * devices * trainer.get("accumulate_grad_batches", 1)))


def taken(names: Sequence[str], source: Any) -> dict[str, Any]:
    """The attributes of these names, as a task or its network takes them from the data or from a config."""
    return {name: getattr(source, name) for name in names}


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
    for line in report.warnings if is_rank_zero() else ():
        print(f"warning: {line}", file=sys.stderr)
    if report.problems:
        raise ValueError("\n  ".join([f"{len(report.problems)} broken samples:", *report.problems]))

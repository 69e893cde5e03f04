"""Tasks and networks built again from what a run left behind: `denseup.load`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from denseup.cli.build import build_data, build_task
from denseup.data.datamodules import DenseData
from denseup.engine.evaluation import read_checkpoint
from denseup.runs.describing import FROM_PYTHON
from denseup.tasks import DenseTask


def load(checkpoint: str | Path, task: DenseTask | None = None) -> DenseTask:
    """The task of a run with the weights of a checkpoint, in evaluation mode, on the CPU.

    Args:
        checkpoint: checkpoints/best.ckpt or last.ckpt of a run; nothing else is read.
        task: what the weights are loaded into; None: built from the run's config, which a run of `denseup.runs.train`
            does not have.

    Returns:
        The task: `task.network` is the network alone, `task(image, …)` runs it on images in [0, 1], and
        `task.predict(batch)` gives what the evaluation measures.

    Raises:
        ValueError: no such file, or not a checkpoint of a run; a run of `denseup.runs.train` and no task; weights
            that do not fit the task.
    """
    config, weights = read_checkpoint(checkpoint)
    if task is None:
        task = rebuilt_task(config)
        task.load_state_dict(weights)
        return task.eval()
    try:
        task.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"task has another network than the run of {checkpoint}: {error}") from error
    return task.eval()


def rebuilt_task(config: Mapping[str, Any], data: DenseData | None = None) -> DenseTask:
    """The task of a run's config, for evaluation, with fresh weights; for other data than the run's, if there are."""
    if config.get("made_by") == FROM_PYTHON:
        raise ValueError(
            f"the run was made by {FROM_PYTHON}: its config says what it was, and can't build it; "
            "denseup.load(checkpoint, task=…) takes its task"
        )
    cfg = OmegaConf.create(dict(config))
    for part in ("model", "encoder"):  # whatever weights it started from, they are not needed now
        if "pretrained" in (cfg.get(part) or {}):
            cfg[part].pretrained = False
    return build_task(cfg, data or rebuilt_data(config), training=False)


def rebuilt_data(config: Mapping[str, Any]) -> DenseData:
    """The data module of a run's config; it reads nothing before it is asked for data."""
    return build_data(OmegaConf.create(dict(config)))

"""Configs for tests, composed as the command line does."""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from denseup.cli.build import build_data
from denseup.cli.places import CONF
from denseup.data.datamodules import DenseData

TINY = {
    "matting": ["encoder=matting_small", "recipe=matting_scratch", "model.width=8", "data.crop_size=64"],
    "segmentation": [
        *("encoder=segmentation_small", "recipe=segmentation_scratch", "model.embed_dim=32", "data.crop_size=64")
    ],
}
"""With encoders that need no pretrained weights; what comes later on a command line wins."""


def configure(*overrides: str, name: str = "train") -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, overrides=list(overrides))


def tiny_run(*overrides: str, task: str = "matting") -> DictConfig:
    """A training of four steps with two evaluations, in about a second."""
    small = ["trainer=short", "trainer.limit_val_batches=1", "data.batch_size=2", "data.image_size=64"]
    return configure(f"task={task}", "upsampler=bilinear", *small, *TINY[task], "logger=csv", *overrides)


def labelled(group: str, root: str | Path, **options: Any) -> DenseData:
    """The data module of a set with labels, as its yaml in conf/data says."""
    given = [f"data.{key}={value}" for key, value in {"root": f"'{root}'", **options}.items()]
    return build_data(configure("task=segmentation", f"data={group}", *given))

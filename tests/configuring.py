"""Configs for tests, composed as the command line does."""

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from src.config import CONF

TINY = {
    "matting": ["model.width=8", "data.crop_size=64"],
    "segmentation": ["model.embed_dim=32", "data.crop_size=64"],
}


def configure(*overrides: str, name: str = "train") -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, overrides=list(overrides))


def tiny_run(*overrides: str, task: str = "matting") -> DictConfig:
    """A training of four steps with two evaluations, in about a second."""
    small = ["trainer=short", "trainer.limit_val_batches=1", "data.batch_size=2", "data.image_size=64"]
    return configure(f"task={task}", "upsampler=bilinear", *small, *TINY[task], "logger=csv", *overrides)

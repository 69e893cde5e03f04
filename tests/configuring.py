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

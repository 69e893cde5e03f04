"""Every file of conf/upsampler builds its operator, and says what the operator's own defaults are."""

import inspect
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from denseup.upsamplers import create_upsampler, list_upsamplers

FILES = sorted((Path(__file__).parents[2] / "conf" / "upsampler").glob("*.yaml"))
ON_PURPOSE = {("sapa", "embed_channels"), ("sapa_cat", "embed_channels"), ("sapa_gate", "embed_channels")}
"""SAPA's published segmentation numbers are with 32 channels, its authors' constructor has 64."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_config(file: Path) -> None:
    config = OmegaConf.to_container(OmegaConf.load(file))
    name, *options = config
    assert name == "name"
    assert config["name"] == file.stem
    assert file.stem in list_upsamplers()
    module = create_upsampler(**config, de_channels=32)
    parameters = inspect.signature(type(module).__init__).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert options == list(defaults)
    differing = {(file.stem, key) for key, value in defaults.items() if config[key] != value}
    assert differing <= ON_PURPOSE

"""Every file of conf/upsampler builds its operator, and repeats the defaults of its code.

It leaves out what a preset fixes, and the start, which a recipe gives to all upsamplers (conf/train.yaml).
"""

import inspect
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from denseup.upsamplers import create_upsampler, list_upsamplers
from denseup.upsamplers.registry import UPSAMPLERS

FILES = sorted((Path(__file__).parents[2] / "conf" / "upsampler").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_config(file: Path) -> None:
    config = OmegaConf.to_container(OmegaConf.load(file))
    name, *options = config
    assert name == "name"
    assert config["name"] == file.stem
    assert file.stem in list_upsamplers()
    module = create_upsampler(**config, de_channels=32)
    parameters = inspect.signature(type(module).__init__).parameters.values()
    own = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    defaults = {key: value for key, value in own.items() if key not in {"start", *UPSAMPLERS.preset(file.stem)}}
    assert {key: config[key] for key in options} == defaults

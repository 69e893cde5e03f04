"""A new encoder takes one file and one yaml: both tasks train with it, and nothing else is edited."""

import importlib.util
from pathlib import Path

import pytest
import torch
from configuring import TINY
from hydra import compose, initialize_config_dir

from denseup.cli.build import build_data, build_task
from denseup.cli.config import suggest
from denseup.cli.places import CONF
from denseup.networks.encoders import registry
from denseup.tasks import DenseTask

FILE = '''"""Three strided convolutions."""

from torch import nn

from denseup.networks.encoders.base import Encoder
from denseup.networks.encoders.registry import register_encoder


@register_encoder("strided")
class Strided(Encoder):
    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, *, in_channels=3, width=8):
        super().__init__()
        self.in_channels = in_channels
        self.channels, self.strides = [width, 2 * width, 4 * width], [4, 8, 16]
        widths = [in_channels, *self.channels]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 4 if i == 0 else 2, 1), nn.ReLU())
            for i, (a, b) in enumerate(zip(widths, widths[1:]))
        )

    def forward(self, x):
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps[1:]
'''
YAML = "name: strided\nwidth: 4\n"


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of configs; the file has been imported as the package imports those that lie beside the others."""
    monkeypatch.setattr(registry.ENCODERS, "factories", dict(registry.ENCODERS.factories))
    (tmp_path / "strided.py").write_text(FILE)
    spec = importlib.util.spec_from_file_location("denseup.networks.encoders.strided", tmp_path / "strided.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    (tmp_path / "conf" / "encoder").mkdir(parents=True)
    (tmp_path / "conf" / "encoder" / "strided.yaml").write_text(YAML)
    return tmp_path / "conf"


def step(searched: Path | None, task: str, *overrides: str) -> DenseTask:
    """A task built as the command line builds it, after one training step."""
    more = [f"hydra.searchpath=[file://{searched}]"] if searched else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*more, f"task={task}", "data.batch_size=2", *TINY[task], *overrides])
    torch.manual_seed(0)
    data = build_data(cfg)
    built = build_task(cfg, data)
    loss = built.loss(next(iter(data.train_dataloader())))
    loss.backward()
    assert loss.isfinite()
    return built


@pytest.mark.parametrize("upsampler", ["fade", "max_unpool", "bilinear"])
@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_it_trains(added: Path, task: str, upsampler: str) -> None:
    built = step(added, task, "encoder=strided", f"upsampler={upsampler}")
    assert built.mean.flatten().tolist() == [0.5] * 3
    assert len(built.network.backbone_parameters()) == 6
    assert all(p.grad is not None for p in built.network.backbone_parameters())
    assert built.network.in_channels == (4 if task == "matting" else 3)


SMALL_CONVNEXT = ["encoder.config.depths=[1,1,1,1]", "encoder.config.hidden_sizes=[8,8,8,8]"]
SMALL_MIT = ["+encoder.depths=[1,1,1,1]", "+encoder.hidden_sizes=[8,8,8,8]", "+encoder.num_attention_heads=[1,1,1,1]"]


@pytest.mark.parametrize(
    ("task", "overrides"),
    [
        ("matting", ["encoder=convnext_tiny", *SMALL_CONVNEXT]),
        ("segmentation", ["encoder=convnext_tiny", *SMALL_CONVNEXT]),
        ("matting", ["encoder=mit_b2", *SMALL_MIT]),
        ("segmentation", ["encoder=resnet34", "encoder.width=4", "encoder.depths=[1,1,1]"]),
    ],
)
def test_the_encoder_of_either_task_is_chosen_on_the_command_line(task: str, overrides: list[str]) -> None:
    step(None, task, "upsampler=fade", *overrides)


def test_a_wrong_name_gives_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    suggest(["encoder=resnet_34"])
    assert "encoder 'resnet_34' is unknown. Did you mean 'resnet34'? Known: auto, " in capsys.readouterr().err

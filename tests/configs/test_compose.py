"""Every combination of the configs composes, builds and takes a training step that it can repeat."""

from itertools import product
from pathlib import Path

import pytest
import torch
from configuring import TINY, configure
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import OmegaConf
from torch import nn

from denseup.cli.build import build_data, build_task
from denseup.cli.config import plain, run_info
from denseup.cli.places import CONF
from denseup.data.datamodules import DenseData
from denseup.tasks import DenseTask
from denseup.upsamplers import Upsampler, list_upsamplers

TASKS = [file.stem for file in sorted((CONF / "task").glob("*.yaml"))]


def build(*overrides: str) -> tuple[DenseTask, DenseData]:
    cfg = configure(*overrides)
    data = build_data(cfg)
    return build_task(cfg, data), data


def test_every_upsampler_has_a_config_of_its_name() -> None:
    files = {file.stem for file in (CONF / "upsampler").glob("*.yaml")}
    assert files == set(list_upsamplers())
    for name in files:
        cfg = configure(f"upsampler={name}")
        assert cfg.upsampler.name == name
        options = {**OmegaConf.load(CONF / "upsampler" / f"{name}.yaml"), "start": "neutral"}
        assert cfg.upsampler == options


@pytest.mark.parametrize(
    ("overrides", "start"),
    [
        ([], "neutral"),
        (["upsampler.start=published"], "published"),
        (["recipe.start=published"], "published"),
        (["~recipe.start"], "published"),
        (["experiment=ade20k", "data.root=a"], "published"),
        (["experiment=ade20k", "data.root=a", "upsampler.start=neutral"], "neutral"),
        (["experiment=composition1k", "data.root=a", "data.backgrounds=b"], "published"),
    ],
)
def test_the_recipe_says_how_an_upsampler_starts(overrides: list[str], start: str) -> None:
    """Unless the command line does; a recipe of one's own may say nothing."""
    assert configure(*overrides).upsampler.start == start


@pytest.mark.parametrize(("task_name", "upsampler"), product(TASKS, list_upsamplers()))
def test_a_step_lowers_the_loss(task_name: str, upsampler: str) -> None:
    """Steps on one batch: gradients reach everything and point downhill."""
    torch.manual_seed(0)
    task, data = build(f"task={task_name}", f"upsampler={upsampler}", "data.batch_size=2", *TINY[task_name])
    loader = data.train_dataloader()
    batch = next(iter(loader))
    optimizer = torch.optim.Adam(task.network.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = task.loss(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for name, parameter in task.network.named_parameters():
        if parameter.grad is None:  # a paired operator's own down-sampling, in a network without such a stage
            assert is_paired(task.network, name), name
        else:
            assert parameter.grad.isfinite().all(), name


def is_paired(network: nn.Module, parameter: str) -> bool:
    """Whether a parameter belongs to a paired upsampler."""
    parents = (network.get_submodule(parameter.rsplit(".", depth)[0]) for depth in range(1, parameter.count(".") + 1))
    return any(isinstance(parent, Upsampler) and parent.paired for parent in parents)


EXPERIMENTS = {
    "ade20k": ["data.root=somewhere"],
    "composition1k": ["data.root=somewhere", "data.backgrounds=elsewhere"],
    "frozen": [],
}


@pytest.mark.parametrize("experiment", [file.stem for file in (CONF / "experiment").glob("*.yaml")])
def test_experiments_compose(experiment: str) -> None:
    config = run_info(configure(f"experiment={experiment}", *EXPERIMENTS[experiment])).config
    assert config["encoder"]["pretrained"] is True
    if experiment == "frozen":
        told = (config["protocol"]["name"], config["protocol"]["evaluation"], config["upsampler"]["start"])
        assert told == ("frozen", "averaged", "neutral")
    else:
        assert config["trainer"]["max_steps"] in (160_000, 180_000)
        assert (config["protocol"]["name"], config["upsampler"]["start"]) == ("finetune", "published")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["experiment=frozen"], ("segmentation", "lite0", "demo", 800, 4)),
        (["experiment=frozen", "task=matting"], ("matting", "lite0", "demo", 800, 8)),
        (["experiment=frozen", "data=camvid", "data.root=x"], ("segmentation", "lite0", "camvid", 800, 4)),
        (["experiment=frozen", "recipe=segmentation_quick"], ("segmentation", "lite0", "demo", 1000, 8)),
        (["experiment=frozen", "encoder=mit_b0", "encoder.pretrained=x"], ("segmentation", "mit_b0", "demo", 800, 4)),
        (["sweep=frozen", "data=camvid", "data.root=x"], ("segmentation", "lite0", "camvid", 800, 4)),
        (["sweep=tuned", "task=matting"], ("matting", "lite0", "demo", 800, 8)),
        (["sweep=demo", "task=matting"], ("matting", "lite0", "demo", 250, 8)),
    ],
)
def test_frozen_goes_with_tasks_encoders_and_data(overrides: list[str], told: tuple[object, ...]) -> None:
    cfg = configure(*overrides)
    assert (cfg.task.name, cfg.encoder.name, cfg.data.name, cfg.trainer.max_steps, cfg.data.batch_size) == told
    assert cfg.protocol.name == "frozen"


@pytest.mark.parametrize("group", ["encoder", "model", "recipe", "protocol", "trainer", "logger", "data"])
def test_every_choice_composes(group: str) -> None:
    for file in (CONF / group).glob("*.yaml"):
        cfg = configure(f"{group}={file.stem}", f"task={'matting' if 'matting' in file.stem else 'segmentation'}")
        assert cfg[group]


def test_a_users_model_wins_over_the_tasks() -> None:
    cfg = configure("task=segmentation", "model=segformer", "encoder=mit_b1")
    assert (cfg.encoder.name, cfg.model.embed_dim) == ("mit_b1", 256)
    assert configure("task=segmentation", "encoder=segmentation_small").encoder == {"name": "mit_b0", "drop_path": 0.0}


@pytest.mark.parametrize("task", TASKS)
def test_quick_runs_start_from_the_weights_of_lite0(task: str) -> None:
    sees = {"matting": 3, "segmentation": None}[task]
    assert configure(f"task={task}").encoder == {"name": "lite0", "pretrained": True, "in_channels": sees}


def test_a_wrong_key_is_refused() -> None:
    with pytest.raises(ConfigCompositionException, match=r"model\.widht"):
        configure("model.widht=3")


def test_a_wrong_choice_is_refused() -> None:
    with pytest.raises(MissingConfigException, match="fad"):
        configure("upsampler=fad")


def test_data_of_another_task_is_refused() -> None:
    cfg = configure("task=matting", "data=camvid", "data.root=somewhere")
    with pytest.raises(ValueError, match="data is camvid, which serves task=segmentation, but task=matting"):
        build_data(cfg)


def test_the_config_is_plain_yaml() -> None:
    for file in Path(CONF).rglob("*.yaml"):
        assert "\t" not in file.read_text()
    assert plain(configure())["seed"] == 0

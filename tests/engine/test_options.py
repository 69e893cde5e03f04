"""Values that no run can have are refused before it begins, by their names; those that it can have work."""

from pathlib import Path
from typing import Any

import pytest
from configuring import configure, tiny_run
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from denseup.cli import train
from denseup.cli.checks import check_config
from denseup.cli.config import RunError, user_errors
from denseup.cli.quoting import quoted, refuse_unreadable
from denseup.engine import RunFolder
from denseup.engine.options import check_trainer
from denseup.engine.state import read_result
from denseup.tasks.base import Optimization

WRONG = {
    "seed=null": "seed is None, expected an integer in 0 … 4294967295",
    "seed=-1": "seed is -1",
    "seed=1.5": "seed is 1.5",
    "seed=abc": "seed is 'abc'",
    "seed=true": "seed is True",
    "seed=4294967296": "seed is 4294967296",
    "check_data=-1": "check_data is -1, expected an integer of at least 0",
    "check_data=null": "check_data is None",
    "data.batch_size=0": r"data\.batch_size is 0, expected an integer of at least 1",
    "data.batch_size=2.5": r"data\.batch_size is 2\.5",
    "data.num_workers=-1": r"data\.num_workers is -1",
    "data.crop_size=-4": r"data\.crop_size is -4",
    "data.image_size=0": r"data\.image_size is 0",
    "data.val_length=0": r"data\.val_length is 0",
    "data.train_length=-8": r"data\.train_length is -8",
    "data.seed=abc": r"data\.seed is 'abc'",
    "upsampler.name=null": r"upsampler\.name is None, expected the name of an upsampler",
    "upsampler.name=''": "upsampler.name is ''",
    "resume=5": "resume is 5, expected the path of a file",
    "resume=[a]": "resume is",
    "resume=''": "resume is ''",
    "data.root=2024": r"data\.root is 2024, expected the path of a folder; data\.root=\"PATH\" is read",
    "data.backgrounds=[a]": r"data\.backgrounds is \['a'\], expected the path of a folder",
    "recipe.max_steps=0": r"trainer\.max_steps is 0, expected .* ≥ 1.*; it is recipe\.max_steps",
    "recipe.max_steps=2.5": r"trainer\.max_steps is 2\.5",
    "recipe.max_steps=-1": r"trainer\.max_steps is -1, which never ends: give trainer\.max_epochs",
    "recipe.val_every=0": r"trainer\.val_check_interval is 0, .* it is recipe\.val_every",
    "trainer.max_steps=-5": r"trainer\.max_steps is -5",
    "trainer.max_steps=null": r"trainer\.max_steps is None",
    "+trainer.max_epochs=0": r"trainer\.max_epochs is 0",
    "trainer.val_check_interval=-1": r"trainer\.val_check_interval is -1",
    "trainer.val_check_interval=0.5": r"val_check_interval is 0\.5, a share of an epoch, .*check_val_every_n_epoch=1",
    "trainer.check_val_every_n_epoch=0": r"check_val_every_n_epoch is 0",
    "+trainer.limit_val_batches=0": r"trainer\.limit_val_batches is 0, .*judged by its evaluations",
    "+trainer.limit_val_batches=0.0": r"trainer\.limit_val_batches is 0\.0",
    "+trainer.limit_val_batches=1.5": r"trainer\.limit_val_batches is 1\.5",
    "+trainer.limit_train_batches=0": r"trainer\.limit_train_batches is 0",
    "+trainer.limit_test_batches=-1": r"trainer\.limit_test_batches is -1",
    "+trainer.accumulate_grad_batches=0": r"trainer\.accumulate_grad_batches is 0",
    "+trainer.overfit_batches=1": r"trainer\.overfit_batches is 1: .*data\.train_length",
    "+trainer.enable_checkpointing=false": r"trainer\.enable_checkpointing is False: a run keeps",
    "+trainer.logger=false": r"trainer\.logger is False: .* logger=none, csv or wandb",
    "+trainer.callbacks=[]": r"trainer\.callbacks is \[\]",
    "+trainer.default_root_dir=x": r"trainer\.default_root_dir is 'x': .* hydra\.run\.dir",
    "+trainer.barebones=true": r"trainer\.barebones is True",
    "+trainer.max_epoch=3": r"trainer\.max_epoch is 3: .* did you mean max_epochs\?",
    "+trainer.zzz=3": r"trainer\.zzz is 3: .*valid: accelerator, ",
    "trainer.devices=0": r"trainer\.devices is 0",
    "trainer.gradient_clip_val=-1": r"trainer\.gradient_clip_val is -1",
    "trainer.log_every_n_steps=-1": r"trainer\.log_every_n_steps is -1",
    "trainer.num_sanity_val_steps=-2": r"trainer\.num_sanity_val_steps is -2",
    "trainer.enable_progress_bar=abc": r"trainer\.enable_progress_bar is 'abc', expected true or false",
}


def test_wrong_values_are_named() -> None:
    cfg = configure()
    OmegaConf.set_struct(cfg, False)
    for override, words in WRONG.items():
        wrong = OmegaConf.merge(cfg, OmegaConf.from_dotlist([override.lstrip("+")]))
        assert isinstance(wrong, DictConfig)
        with pytest.raises(ValueError, match=words):
            check_config(wrong)


@pytest.mark.parametrize("options", [{"test_size": [512]}, {"test_size": [0, 9]}])
def test_a_size_has_two_sides(options: dict[str, Any]) -> None:
    cfg = configure("task=segmentation", "data=ade20k", "data.root=x", f"data.test_size={options['test_size']}")
    with pytest.raises(ValueError, match=r"data\.test_size is"):
        check_config(cfg)


def test_every_choice_of_the_trainer_passes() -> None:
    for choice in ("default", "short", "ddp"):
        check_config(configure(f"trainer={choice}"))
    check_trainer({"max_steps": -1, "max_epochs": 2, "val_check_interval": 0.5, "check_val_every_n_epoch": 1})
    check_trainer({"max_steps": -1, "max_time": "00:01:00:00", "val_check_interval": "00:00:10:00"})


@pytest.mark.parametrize("name", ["lr", "backbone_lr_scale", "head_lr_scale", "freeze_norms_after"])
def test_a_rate_is_a_finite_number(name: str) -> None:
    for value in (-1.0, float("nan"), float("inf"), 1e39, "abc", True):
        with pytest.raises(ValueError, match=f"{name} is .*, expected a finite number of at least 0"):
            Optimization(**{"optimizer": None, "lr": 0.1, name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer.enable_progress_bar=false", "trainer.enable_model_summary=true", "task.num_examples=0"],
        ["+trainer.fast_dev_run=true"],
        ["+trainer.max_epochs=1", "trainer.max_steps=-1", "data.train_length=4", "+trainer.accumulate_grad_batches=2"],
        ["trainer.val_check_interval=0.5", "trainer.check_val_every_n_epoch=1", "data.train_length=4"],
        ["trainer.precision=bf16-mixed", "+trainer.detect_anomaly=true", "trainer.num_sanity_val_steps=1"],
    ],
    ids=lambda overrides: overrides[0].lstrip("+"),
)
def test_what_a_run_says_of_itself_is_there(overrides: list[str], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    result = train.run(tiny_run(*overrides), folder)
    assert read_result(folder)["status"] == "finished"
    assert result["metrics"]["last"]["step"] == result["steps"] > 0
    for path in filter(None, (result["checkpoint"], result["picture"], "checkpoints/last.ckpt")):
        assert (tmp_path / path).is_file(), path


def test_a_wrong_combination_is_one_message(tmp_path: Path) -> None:
    cfg = tiny_run("+trainer.max_time=abc")
    with pytest.raises(RunError, match=r"'abc'.*is not a valid duration"), user_errors(RunFolder(tmp_path), cfg):
        train.run(cfg, RunFolder(tmp_path))
    assert read_result(RunFolder(tmp_path))["status"] == "failed"


def test_no_step_is_no_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no step was trained"):
        train.run(tiny_run("+trainer.max_time=00:00:00:00"), RunFolder(tmp_path))


PATHS = [
    "a=b.ckpt",
    "a,b",
    "[a]",
    "{a}",
    "a(b)",
    "a#b",
    "a&b",
    "x y=z",
    "it's",
    'a"b=',
    "back\\slash=",
    "ü.ckpt",
    "a\\",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_quoted_path_is_read_as_it_stands(path: str) -> None:
    parse = OverridesParser.create().parse_override
    for quote in "\"'":
        assert parse(f"ckpt={quoted(path, quote)}").value() == path


UNQUOTED = ["ckpt=a=b.ckpt", "resume=runs/a=b/last.ckpt", "data.root=[a]b", "data.root=a#b", "hydra.run.dir=a=b"]


@pytest.mark.parametrize("argument", UNQUOTED)
def test_an_unquoted_path_is_named_and_shown_with_quotes(argument: str) -> None:
    key, _, value = argument.partition("=")
    with pytest.raises(SystemExit) as stopped:
        refuse_unreadable(["task=matting", argument], ["task"])
    message = str(stopped.value.code)
    assert message.startswith(f"{key}: the value {value} cannot be read")
    assert message.endswith(f"""'{key}="{value}"'""")


def test_a_comma_is_a_sweep_or_needs_quotes() -> None:
    with pytest.raises(SystemExit) as stopped:
        refuse_unreadable(["data.root=a,b"], ["data"])
    assert str(stopped.value.code).startswith("data.root: the value a,b stands for several, which only a sweep (-m)")
    for fine in (["-m", "seed=0,1"], ["upsampler=fade,carafe"], ['data.root="a,b"'], ["x=[a,b]"], ["-cd", "a=b=c"]):
        refuse_unreadable(fine, ["upsampler"])


def test_a_group_is_never_null() -> None:
    with pytest.raises(SystemExit) as stopped:
        refuse_unreadable(["data=null"], ["data"])
    assert "data=null: the group data has no such choice; leave the argument out" in str(stopped.value.code)
    refuse_unreadable(["-m", "seed=1,2", "resume=null", "a=choice(1,2)", "upsampler=glob(*)", "--cfg", "job"], ["data"])

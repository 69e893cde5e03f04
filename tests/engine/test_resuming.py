"""Going on from a checkpoint: it fits and something is left to train, or one message says why not."""

import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import pytorch_lightning as pl
import torch
from configuring import tiny_run

from denseup.cli import build, train
from denseup.engine import RunFolder
from denseup.engine.state import read_result

CALM = "recipe.optimization.lr=0"
"""Nothing is learned, so that the first evaluation stays the best."""
WHATEVER_THE_LENGTH = ("recipe.optimization.schedule=null", "recipe.optimization.freeze_norms_after=1.0")
"""Training steps that don't depend on how many there are to be."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps, the best of whose evaluations is the first."""
    path = tmp_path_factory.mktemp("first")
    train.run(tiny_run(CALM), RunFolder(path))
    assert read_result(RunFolder(path))["metrics"]["best"]["step"] == 2
    return path


def go_on(checkpoint: Path, folder: Path, *overrides: str) -> dict[str, Any]:
    return train.run(tiny_run(CALM, f'resume="{checkpoint}"', *overrides), RunFolder(folder))


def last(folder: Path) -> Path:
    return folder / "checkpoints/last.ckpt"


def copy_of(finished: Path, folder: Path) -> Path:
    return Path(shutil.copytree(finished, folder))


def assert_best_is_there(folder: Path, result: dict[str, Any], step: int) -> None:
    assert result["metrics"]["best"]["step"] == step
    assert torch.load(folder / result["checkpoint"], weights_only=True)["global_step"] == step
    assert (folder / result["picture"]).is_file()


def test_a_run_killed_before_its_result_gets_it(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path / "run")
    (folder / "result.json").unlink()
    result = go_on(last(folder), folder)
    before = read_result(RunFolder(finished))
    assert (result["status"], result["metrics"], result["baseline"]) == (
        "finished",
        before["metrics"],
        before["baseline"],
    )
    assert_best_is_there(folder, result, 2)


def test_a_finished_run_has_nothing_left(finished: Path, tmp_path: Path) -> None:
    words = r"last\.ckpt: trained for 4 steps, and trainer\.max_steps is 4; .*src\.evaluate.*greater recipe\.max_steps"
    with pytest.raises(ValueError, match=words):
        go_on(last(finished), tmp_path)
    with pytest.raises(ValueError, match=r"trained for 4 steps, and trainer\.max_steps is 3"):
        go_on(last(finished), tmp_path, "trainer.max_steps=3")
    assert not (tmp_path / "result.json").exists()


def test_the_best_comes_along_into_another_folder(finished: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"other settings: trainer\.max_steps is 4 there and 6 here"):
        result = go_on(last(finished), tmp_path, "trainer.max_steps=6")
    assert result["steps"] == 6
    assert_best_is_there(tmp_path, result, 2)


def test_without_the_best_checkpoint_the_best_is_one_that_exists(finished: Path, tmp_path: Path) -> None:
    alone = tmp_path / "checkpoints"
    alone.mkdir()
    shutil.copy(last(finished), alone / "copy.ckpt")
    with pytest.warns(UserWarning, match="other settings"):
        result = go_on(alone / "copy.ckpt", tmp_path / "run", "trainer.max_steps=6")
    assert_best_is_there(tmp_path / "run", result, 6)


def test_a_best_checkpoint_of_later_is_not_taken_for_it(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path / "run")
    content = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    torch.save({**content, "global_step": 9}, folder / "checkpoints/best.ckpt")
    with pytest.warns(UserWarning, match="other settings"):
        result = go_on(last(folder), tmp_path / "again", "trainer.max_steps=6")
    assert_best_is_there(tmp_path / "again", result, 6)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["upsampler=nearest"], r"another network: upsampler\.name is 'bilinear' there and 'nearest' here"),
        (["model.width=16"], r"another network: model\.width is 8 there and 16 here"),
    ],
)
def test_another_networks_checkpoint_is_refused(
    overrides: list[str], words: str, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        go_on(last(finished), tmp_path, "trainer.max_steps=6", *overrides)


def test_another_tasks_checkpoint_is_refused(finished: Path, tmp_path: Path) -> None:
    cfg = tiny_run(f'resume="{last(finished)}"', task="segmentation")
    with pytest.raises(ValueError, match=r"task\.name is 'matting' there and 'segmentation' here"):
        train.run(cfg, RunFolder(tmp_path))


def test_weights_of_another_shape_are_named(finished: Path, tmp_path: Path) -> None:
    content = torch.load(last(finished), weights_only=True)
    name, weight = next(iter(content["state_dict"].items()))
    content["state_dict"][name] = weight[:1]
    torch.save(content, tmp_path / "odd.ckpt")
    with pytest.raises(ValueError, match=rf"{name} is \[1, .*\] there and \[8, .*\] here"):
        go_on(tmp_path / "odd.ckpt", tmp_path, "trainer.max_steps=6")


def test_what_is_no_checkpoint_is_refused(finished: Path, tmp_path: Path) -> None:
    whole = last(finished).read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.ckpt").write_text("text")
    (tmp_path / "empty.ckpt").touch()
    torch.save({"weights": torch.ones(1)}, tmp_path / "other.ckpt")
    torch.save([1], tmp_path / "list.ckpt")
    for name in ("cut", "text", "empty", "other", "list"):
        with pytest.raises(ValueError, match=rf"resume=.*{name}\.ckpt: not a checkpoint written by this package"):
            go_on(tmp_path / f"{name}.ckpt", tmp_path)
    with pytest.raises(ValueError, match="this is a folder; expected"):
        go_on(tmp_path, tmp_path)
    with pytest.raises(ValueError, match="there is no such file; expected"):
        go_on(tmp_path / "nowhere.ckpt", tmp_path)


@pytest.mark.parametrize(
    ("samples", "workers"),
    [(100, 0), (4, 0), (6, 0), (6, 1)],
    ids=["in the first epoch", "between two epochs", "in the second epoch", "in the second epoch, with a worker"],
)
def test_a_run_that_goes_on_is_one_that_was_never_interrupted(tmp_path: Path, samples: int, workers: int) -> None:
    """The same samples under the same dropout masks, to the last digit."""
    loader = [f"data.train_length={samples}", f"data.num_workers={workers}", "trainer.val_check_interval=4"]
    options = ["model.dropout=0.5", *loader, *WHATEVER_THE_LENGTH]
    whole = train.run(tiny_run(*options, "trainer.max_steps=8"), RunFolder(tmp_path / "whole"))
    train.run(tiny_run(*options, "trainer.max_steps=4"), RunFolder(tmp_path / "first"))
    resume = f'resume="{last(tmp_path / "first")}"'
    with pytest.warns(UserWarning, match="other settings"):
        on = train.run(tiny_run(*options, resume, "trainer.max_steps=8"), RunFolder(tmp_path / "second"))
    assert on["metrics"] == whole["metrics"]
    weights = [torch.load(last(tmp_path / name), weights_only=True)["state_dict"] for name in ("whole", "second")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_masks_differ_between_steps_and_seeds(tmp_path: Path) -> None:
    class Drawn(pl.Callback):
        def __init__(self) -> None:
            self.numbers: list[float] = []

        def on_before_zero_grad(self, trainer: pl.Trainer, *_: Any) -> None:
            self.numbers.append(torch.rand(1).item())

    drawn = {}
    for seed in (0, 1):
        kept = Drawn()
        with mock.patch.object(build, "build_callbacks", lambda cfg, kept=kept: [kept]):
            train.run(tiny_run(f"seed={seed}"), RunFolder(tmp_path / str(seed)))
        drawn[seed] = kept.numbers
    assert len({number for numbers in drawn.values() for number in numbers}) == 8

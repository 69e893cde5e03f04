"""Going on from a checkpoint: it fits and something is left to train, or one message says why not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from configuring import tiny_run

from denseup.cli import train
from denseup.engine import RunFolder
from denseup.engine.state import read_result

CALM = "recipe.optimization.lr=0"
"""Nothing is learned, so that the first evaluation stays the best."""


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

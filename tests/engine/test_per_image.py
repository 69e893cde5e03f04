"""per_image.csv and per_image_counts.npz: every image of the best and of the last evaluation, also of a resumed run."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from configuring import configure, tiny_run

from denseup.cli import evaluate, train
from denseup.cli.sweep.jobs import clear
from denseup.engine import RunFolder
from denseup.engine.per_image import read_counts, read_rows
from denseup.engine.state import read_result
from denseup.metrics import MattingMetrics, SegmentationMetrics

METRICS = {"matting": MattingMetrics, "segmentation": SegmentationMetrics}
CALM = "recipe.optimization.lr=0"
"""Nothing is learned, so that the first evaluation stays the best."""


def rows(folder: Path, evaluation: str) -> list[dict[str, str]]:
    with (folder / "per_image.csv").open(newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["evaluation"] == evaluation]


@pytest.fixture(scope="module", params=["matting", "segmentation"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    train.run(tiny_run("trainer.limit_val_batches=3", CALM, task=request.param), RunFolder(path))
    return path


def test_it_has_every_image_of_both_evaluations(run: Path) -> None:
    result = read_result(RunFolder(run))
    keys = [info.key for info in METRICS[result["task"]].values]
    for kind, values in result["metrics"].items():
        found = rows(run, kind)
        assert len({row["name"] for row in found}) == 3
        assert {row["step"] for row in found} == {str(values["step"])}
        assert set(found[0]) == {"evaluation", "step", "name", *keys}
        if result["task"] == "matting":
            for key in keys:
                mean = np.mean([float(row[key]) for row in found])
                assert mean == pytest.approx(values[key], rel=1e-12)


def test_what_was_counted_gives_the_values_of_the_data_set(run: Path) -> None:
    """Of segmentation, whose values are no means of the images'; of the first two images, those of these two."""
    result, counts = read_result(RunFolder(run)), read_counts(run / "per_image_counts.npz")
    if result["task"] == "matting":
        assert counts == {}
        return
    assert set(counts) == set(result["metrics"]) == {"best", "last"}
    for kind, values in result["metrics"].items():
        assert set(counts[kind]) == {info.key for info in SegmentationMetrics.values}
        for key, found in counts[kind].items():
            assert len(found) == 3
            assert value_of(found) == pytest.approx(values[key], rel=1e-12)
            for row, of_image in zip(rows(run, kind), found, strict=True):
                assert value_of(of_image[None]) == pytest.approx(float(row[key]), rel=1e-12)


def value_of(counts: np.ndarray) -> float:
    parts, wholes = counts.sum(0)
    return float((parts[wholes > 0] / wholes[wholes > 0]).mean())


def test_an_evaluation_repeats_it(run: Path, tmp_path: Path) -> None:
    checkpoint = run / "checkpoints/best.ckpt"
    cfg = configure(f"ckpt='{checkpoint}'", "+trainer.limit_test_batches=3", name="evaluate")
    evaluate.run(cfg, RunFolder(tmp_path))
    best = [{**row, "evaluation": "test"} for row in rows(run, "best")]
    for row in best:
        del row["step"]
    assert rows(tmp_path, "test") == best
    counts = read_counts(tmp_path / "per_image_counts.npz").get("test", {})
    before = read_counts(run / "per_image_counts.npz").get("best", {})
    assert counts.keys() == before.keys()
    for key, found in counts.items():
        np.testing.assert_array_equal(found, before[key])


def test_it_is_read_as_it_was_written(run: Path) -> None:
    found = read_rows(run / "per_image.csv")
    assert set(found) == {"best", "last"}
    for kind, read in found.items():
        for mine, row in zip(rows(run, kind), read, strict=True):
            assert row["name"] == mine["name"]
            assert row["step"] == float(mine["step"])
    assert read_rows(run / "no.csv") == read_counts(run / "no.npz") == {}


def test_a_folder_that_is_cleared_has_none(run: Path, tmp_path: Path) -> None:
    """What a sweep does before it starts a run anew: what lies there would pass for its own."""
    folder = RunFolder(shutil.copytree(run, tmp_path / "run"))
    clear(folder)
    assert not any(file.exists() for file in (folder.result, folder.per_image, folder.per_image_counts))


def go_on(checkpoint: Path, folder: Path, *overrides: str) -> None:
    train.run(tiny_run("trainer.limit_val_batches=3", CALM, f"resume='{checkpoint}'", *overrides), RunFolder(folder))


@pytest.fixture(scope="module")
def matting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("matting")
    train.run(tiny_run("trainer.limit_val_batches=3", CALM), RunFolder(path))
    return path


def test_a_resumed_run_has_the_images_of_a_best_evaluation_before_it(matting: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="other settings"):
        go_on(matting / "checkpoints/last.ckpt", tmp_path, "trainer.max_steps=6")
    assert rows(tmp_path, "best") == rows(matting, "best")
    assert {row["step"] for row in rows(tmp_path, "last")} == {"6"}


def test_a_run_killed_before_its_result_has_all_of_it(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    task = read_result(RunFolder(run))["task"]
    for name in ("result.json", "per_image.csv", "per_image_counts.npz"):
        (folder / name).unlink(missing_ok=True)
    resume = f"resume='{folder / 'checkpoints/last.ckpt'}'"
    train.run(tiny_run("trainer.limit_val_batches=3", CALM, resume, task=task), RunFolder(folder))
    assert (folder / "per_image.csv").read_text() == (run / "per_image.csv").read_text()
    before, after = (read_counts(path / "per_image_counts.npz") for path in (run, folder))
    assert {kind: set(found) for kind, found in after.items()} == {kind: set(found) for kind, found in before.items()}
    for kind, counts in before.items():
        for key, found in counts.items():
            np.testing.assert_array_equal(after[kind][key], found)


def test_a_checkpoint_from_before_there_were_images_is_resumed(matting: Path, tmp_path: Path) -> None:
    """The best evaluation was before it: its images are not known."""
    folder = Path(shutil.copytree(matting, tmp_path / "run"))
    checkpoint = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    del checkpoint["callbacks"]["KeepHistory"]["per_image"]
    torch.save(checkpoint, folder / "checkpoints/last.ckpt")
    with pytest.warns(UserWarning, match="other settings"):
        go_on(folder / "checkpoints/last.ckpt", tmp_path / "more", "trainer.max_steps=6")
    assert read_result(RunFolder(tmp_path / "more"))["metrics"]["best"]["step"] == 2
    assert rows(tmp_path / "more", "best") == []
    assert len(rows(tmp_path / "more", "last")) == 3

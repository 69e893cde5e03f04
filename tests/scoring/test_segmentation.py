"""Scores of label files: those of the metric functions on all of them, and every coding that is asked about."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from configuring import configure, tiny_run
from data.sample_folders import write

import denseup
from denseup.cli import evaluate, score, train
from denseup.cli.arguments import keys_and_values
from denseup.cli.loading import rebuilt_data
from denseup.engine import RunFolder
from denseup.engine.evaluation import read_checkpoint
from denseup.engine.per_image import read_counts
from denseup.metrics import functional

CLASSES, SIZE, COUNT = 3, (24, 30), 4


def labels(seed: int, ignored: int = 255) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.integers(0, CLASSES, (SIZE[0] // 6, SIZE[1] // 6), np.uint8).repeat(6, 0).repeat(6, 1)
    found[:3, :5] = ignored
    return found


def predicted(seed: int) -> np.ndarray:
    return np.roll(np.where(labels(seed) == 255, 0, labels(seed)), 2, 1).astype(np.uint8)


def scored(root: Path, *options: str) -> dict[str, Any]:
    given = {"predictions": root / "predictions", "truth": root / "truth", "output": root / "out"}
    said = [f"{key}='{path}'" for key, path in given.items()]
    return score.run(keys_and_values("score", "", [*said, "task=segmentation", *options]))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i in range(COUNT):
        write(tmp_path / "predictions" / f"{i}.png", predicted(i))
        write(tmp_path / "truth" / f"{i}.png", labels(i))
    return tmp_path


@pytest.fixture
def expected() -> dict[str, float]:
    pred, truth = (np.stack([of(i) for i in range(COUNT)]) for of in (predicted, labels))
    functions = {
        "miou": functional.mean_iou,
        "macc": functional.mean_accuracy,
        "aacc": functional.pixel_accuracy,
        "biou": functional.boundary_iou,
    }
    return {key: function(pred, truth, CLASSES) for key, function in functions.items()}


def test_the_values_are_those_of_the_functions(
    root: Path, expected: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    result = scored(root, f"num_classes={CLASSES}")
    assert result["metrics"] == pytest.approx(expected, rel=1e-12)
    areas = functional.class_areas(
        np.stack([predicted(i) for i in range(COUNT)]), np.stack([labels(i) for i in range(COUNT)]), CLASSES
    )
    assert result["per_class"]["iou"] == pytest.approx(areas.iou.tolist(), rel=1e-12)
    with (root / "out/per_image.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [float(row["miou"]) for row in rows] == pytest.approx(
        [functional.mean_iou(predicted(i), labels(i), CLASSES) for i in range(COUNT)], rel=1e-12
    )
    parts, wholes = read_counts(root / "out/per_image_counts.npz")["score"]["miou"].sum(0)
    assert (parts / wholes).mean() == pytest.approx(expected["miou"], rel=1e-12)
    assert "each class" in capsys.readouterr().out


def test_the_number_of_classes_is_found_and_said(root: Path, expected: dict[str, float]) -> None:
    result = scored(root)
    assert result["metrics"] == pytest.approx(expected, rel=1e-12)
    assert result["notes"] == ["num_classes=3, one more than the largest class in the truth"]


def test_what_does_not_count(root: Path, expected: dict[str, float]) -> None:
    for i in range(COUNT):
        write(root / "truth" / f"{i}.png", labels(i, ignored=11))
    assert scored(root, "num_classes=3", "ignore_index=11")["metrics"] == pytest.approx(expected, rel=1e-12)
    assert scored(root, "ignore_labels=[11]")["metrics"] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match=r"4 of 4 can't be scored.*\n.*found labels 11; expected 0\.\.2"):
        scored(root, "num_classes=3")


def test_labels_that_begin_at_one(root: Path, expected: dict[str, float]) -> None:
    for i in range(COUNT):
        stored = np.where(labels(i) == 255, 0, labels(i) + np.uint8(1))
        write(root / "truth" / f"{i}.png", stored.astype(np.uint8))
    assert scored(root, "reduce_zero_label=true")["metrics"] == pytest.approx(expected, rel=1e-12)
    for i in range(COUNT):
        write(root / "predictions" / f"{i}.png", predicted(i) + np.uint8(1))
    options = ["reduce_zero_label=true", "prediction_reduce_zero_label=true"]
    assert scored(root, *options)["metrics"] == pytest.approx(expected, rel=1e-12)


def test_colours(root: Path, expected: dict[str, float]) -> None:
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)
    for i in range(COUNT):
        write(root / "predictions" / f"{i}.png", colours[predicted(i)])
    with pytest.raises(ValueError, match="prediction_colours"):
        scored(root)
    said = "prediction_colours=[[0,0,0],[128,0,0],[0,128,0]]"
    assert scored(root, said)["metrics"] == pytest.approx(expected, rel=1e-12)


def test_a_prediction_without_a_class_is_refused(root: Path) -> None:
    write(root / "predictions/1.png", labels(1))
    with pytest.raises(ValueError, match=r"1 of 4 .*\n.*predictions/1\.png: found 255.*prediction_values=\{255: 0\}"):
        scored(root)
    scored(root, "prediction_values={255: 0}")
    write(root / "predictions/1.png", predicted(1) + np.uint8(1))
    with pytest.raises(ValueError, match=r"1\.png: found labels 3; .*'prediction_values=\{3: 1\}'"):
        scored(root)


def test_masks_of_0_and_255_are_not_perfect(root: Path) -> None:
    for i in range(COUNT):
        write(root / "truth" / f"{i}.png", (labels(i) % 2 * 255).astype(np.uint8))
        write(root / "predictions" / f"{i}.png", (predicted(i) % 2).astype(np.uint8))
    for options in ([], ["num_classes=2"]):
        with pytest.raises(ValueError, match=r"class 0 and 255 \(ignored\) alone.*'label_values=\{255: 1\}'"):
            scored(root, *options)
    result = scored(root, "label_values={255: 1}", "num_classes=2")
    assert len(result["per_class"]["iou"]) == 2


def test_they_are_those_of_the_evaluation(tmp_path: Path) -> None:
    train.run(tiny_run(task="segmentation"), RunFolder(tmp_path / "run"))
    checkpoint = tmp_path / "run/checkpoints/best.ckpt"
    options = [f"ckpt='{checkpoint}'", "trainer.enable_progress_bar=false"]
    measured = evaluate.run(configure(*options, name="evaluate"), RunFolder(tmp_path / "eval"))
    task, data = denseup.load(checkpoint), rebuilt_data(read_checkpoint(checkpoint)[0])
    with torch.no_grad():
        for i, batch in enumerate(data.test_dataloader()):
            write(tmp_path / "predictions" / f"{i}.png", task.predict(batch)[0].numpy())
            write(tmp_path / "truth" / f"{i}.png", batch["label"][0].numpy().astype(np.uint8))
    result = scored(tmp_path, f"num_classes={data.num_classes}")  # type: ignore[attr-defined]
    assert result["metrics"] == pytest.approx(measured["metrics"], rel=1e-12)
    for key, values in measured["per_class"]["test"].items():
        assert result["per_class"][key] == pytest.approx(values, rel=1e-12, nan_ok=True)

"""What an evaluation writes: its tables add up, and other programs read its predictions as they are meant."""

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.sample_folders import label_folder, matting_folder, write
from evaluation.measured import measured
from evaluation.test_ways import CLASSES, a_task
from PIL import Image
from rich.console import Console

from denseup.cli import score
from denseup.cli.arguments import keys_and_values
from denseup.data.reading.label_coding import LabelCoding
from denseup.evaluation.saving import CITYSCAPES, PredictionFiles, as_words

LABELLED = ["data=segmentation_folder", "data.num_classes=4"]


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def scored(task: str, out: Path, truth: Path, *options: str) -> dict[str, Any]:
    """What src.score makes of the prediction files, read as the evaluation says."""
    reading = json.loads((out / "result.json").read_text())["predictions"]["score"]
    words = [f"task={task}", f"predictions='{out}/predictions'", f"truth='{truth}'", f"output='{out}/scored'", *options]
    return score.run(keys_and_values("score", "", [*words, *shlex.split(as_words(reading))]), Console(quiet=True))


def test_mattes_score_as_they_were_evaluated(runs: Path, tmp_path: Path) -> None:
    root = matting_folder(tmp_path / "data", count=3)
    data = ["data=matting_folder", f"data.root='{root}'", "data.trimap=trimap"]
    result = measured(runs / "matting", tmp_path / "out", *data, "save_predictions=true", "flip=true")
    assert result["predictions"] == {"folder": "predictions", "score": {}}
    again = scored("matting", tmp_path / "out", root / "alpha", f"trimap='{root}/trimap'")
    assert again["metrics"] == result["metrics"]
    with Image.open(tmp_path / "out/predictions/im0.png") as picture:
        assert (picture.mode, picture.size) == ("L", (80, 60))


@pytest.mark.parametrize(
    ("coding", "truth", "values"),
    [
        ([], [], [0, 1, 2, 3]),
        (["data.reduce_zero_label=true"], ["reduce_zero_label=true"], [1, 2, 3, 4]),
        (
            ["data.label_values={0: 0, 50: 1, 300: 2, 7: 3}"],
            ["label_values={0: 0, 50: 1, 300: 2, 7: 3}"],
            [0, 50, 300, 7],
        ),
        (
            ["data.label_colours=[[0,0,0],[9,0,0],[0,9,0],[0,0,9]]"],
            ["label_colours=[[0,0,0],[9,0,0],[0,9,0],[0,0,9]]"],
            [0, 1, 2, 3],
        ),
    ],
    ids=["classes", "as ADE20K", "as Cityscapes", "coloured"],
)
def test_label_maps_score_as_they_were_evaluated(
    runs: Path, tmp_path: Path, coding: list[str], truth: list[str], values: list[int]
) -> None:
    root = label_folder(tmp_path / "data", count=2, num_classes=4)
    for file in (root / "labels").iterdir():
        label = np.array(values, np.uint16)[np.array(Image.open(file))]
        if "label_colours" in str(coding):
            colours = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]], np.uint8)
            write(file, colours[label])
        else:
            Image.fromarray(label).save(file)
    result = measured(
        runs / "segmentation", tmp_path / "out", *LABELLED, f"data.root='{root}'", *coding, "save_predictions=true"
    )
    again = scored("segmentation", tmp_path / "out", root / "labels", *truth, "num_classes=4")
    assert again["metrics"] == result["metrics"]
    assert again["per_class"] == result["per_class"]["test"]
    stored = np.concatenate(
        [np.unique(np.array(Image.open(file))) for file in (tmp_path / "out/predictions").iterdir()]
    )
    assert set(stored.tolist()) <= set(values)


def test_the_tables_of_classes_add_up(runs: Path, tmp_path: Path) -> None:
    result = measured(runs / "segmentation", tmp_path, "data.val_length=3", "calibration=true")
    with np.load(tmp_path / "confusion.npz") as stored:
        counts, names = stored["counts"], stored["class_names"].tolist()
    assert names == result["class_names"]
    rows = table(tmp_path / "per_class.csv")
    for place, row in enumerate(rows):
        assert (int(row["class"]), row["name"]) == (place, names[place])
        assert (int(row["true_pixels"]), int(row["predicted_pixels"])) == (counts[place].sum(), counts[:, place].sum())
        union = counts[place].sum() + counts[:, place].sum() - counts[place, place]
        assert float(row["iou"]) == pytest.approx(counts[place, place] / union)
        assert float(row["iou"]) == result["per_class"]["test"]["iou"][place]
    matrix = table(tmp_path / "confusion.csv")
    assert [[int(row[name]) for name in names] for row in matrix] == counts.tolist()
    assert np.trace(counts) / counts.sum() == pytest.approx(result["metrics"]["aacc"])
    picture = np.array(Image.open(tmp_path / "confusion.png"))
    assert picture.shape[2] == 3
    bins = table(tmp_path / "calibration.csv")
    assert len(bins) == 15
    assert sum(int(row["pixels"]) for row in bins) == counts.sum()
    gaps = [
        int(row["pixels"]) * abs(float(row["accuracy"]) - float(row["confidence"])) for row in bins if row["accuracy"]
    ]
    assert sum(gaps) / counts.sum() == pytest.approx(result["metrics"]["ece"])
    described = {entry["key"]: entry for entry in result["metric_info"]["values"]}
    assert (described["ece"]["name"], described["ece"]["higher_is_better"]) == ("ECE", False)


def test_matting_has_no_tables_of_classes(runs: Path, tmp_path: Path) -> None:
    measured(runs / "matting", tmp_path, "data.val_length=1")
    assert not list(tmp_path.glob("confusion*")) + list(tmp_path.glob("per_class*"))


def test_predictions_are_written_though_the_rest_is_known(runs: Path, tmp_path: Path) -> None:
    first = measured(runs / "matting", tmp_path, "data.val_length=1")
    assert "predictions" not in first
    second = measured(runs / "matting", tmp_path, "data.val_length=1", "save_predictions=true")
    assert second["metrics"] == first["metrics"]
    assert second["config_hash"] == first["config_hash"]
    assert len(list((tmp_path / "predictions").iterdir())) == 1
    measured(runs / "matting", tmp_path, "data.val_length=1", "flip=true")
    assert not list((tmp_path / "predictions").iterdir())  # which were those of another evaluation


def test_labels_that_are_asked_for_otherwise_are_written_anew(runs: Path, tmp_path: Path) -> None:
    root = label_folder(tmp_path / "data", count=1, num_classes=5)
    data = [*LABELLED, f"data.root='{root}'", "data.reduce_zero_label=true", "save_predictions=true"]
    for labels, shift in (("data", 1), ("classes", 0), ("classes", 0)):
        result = measured(runs / "segmentation", tmp_path / "out", *data, f"prediction_labels={labels}")
        assert result["predictions"]["labels"] == labels
        pixels = np.bincount(np.array(Image.open(tmp_path / "out/predictions/im0.png")).ravel(), minlength=5)
        predicted = [int(row["predicted_pixels"]) for row in table(tmp_path / "out/per_class.csv")]
        assert sum(pixels[shift : shift + 4]) == 60 * 80
        assert all(n >= counted for n, counted in zip(pixels[shift:], predicted, strict=False))  # void is in no table


@pytest.mark.parametrize(
    ("coding", "values"),
    [
        (LabelCoding(3), [0, 1, 2]),
        (LabelCoding(3, reduce_zero_label=True), [1, 2, 3]),
        (LabelCoding(2, label_values={255: 1}), [0, 255]),
        (LabelCoding(3, label_values={7: 0, 5: 0, 8: 1, 9: 2}), [5, 8, 9]),
        (LabelCoding(2, label_values={0: 1, 1: 0}), [1, 0]),
        (LabelCoding(2, reduce_zero_label=True, label_values={9: 1}), [1, 9]),
    ],
)
def test_file_values_are_read_as_the_classes_that_they_stand_for(coding: LabelCoding, values: list[int]) -> None:
    assert coding.file_values().tolist() == values
    assert coding.classes(coding.file_values(), Path("label.png")).tolist() == list(range(coding.num_classes))


def test_a_class_that_no_file_value_stands_for() -> None:
    with pytest.raises(ValueError, match="no file value stands for the classes 1"):
        LabelCoding(2, ignore_labels=(1,)).file_values()


def labels_of(task: Any, folder: Path, labels: str, coding: LabelCoding | None = None) -> PredictionFiles:
    return PredictionFiles(folder, task, coding, labels)


def test_cityscapes_label_ids(tmp_path: Path) -> None:
    task = a_task("segmentation")
    with pytest.raises(ValueError, match="'cityscapes', which has 19 classes; these data have 3"):
        labels_of(task, tmp_path, "cityscapes")
    task.class_names = [str(i) for i in range(19)]
    files = labels_of(task, tmp_path, "cityscapes")
    files({"name": ["bonn/bonn_000000_000019"]}, torch.arange(19, dtype=torch.uint8).view(1, 1, 19), [])
    stored = np.array(Image.open(tmp_path / "bonn/bonn_000000_000019.png"))
    assert stored.tolist() == [list(CITYSCAPES)]
    assert files.reading()["prediction_values"] == {value: place for place, value in enumerate(CITYSCAPES)}
    assert len(set(CITYSCAPES)) == 19


def test_names_that_will_not_do(tmp_path: Path) -> None:
    files = labels_of(a_task("segmentation"), tmp_path / "in", "classes", LabelCoding(CLASSES, reduce_zero_label=True))
    one = torch.ones(1, 2, 2, dtype=torch.uint8)
    files({"name": ["a"]}, one, [])
    files({}, one, [])  # by its place
    assert np.array(Image.open(tmp_path / "in/1.png")).tolist() == [[1, 1], [1, 1]]
    for name, why in (("a", "two images are named 'a'"), ("../b", "a path below a folder"), ("/b", "a path below")):
        with pytest.raises(ValueError, match=why):
            files({"name": [name]}, one, [])
    assert {file.name for file in tmp_path.rglob("*.png")} == {"a.png", "1.png"}

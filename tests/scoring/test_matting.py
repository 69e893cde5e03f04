"""Scores of matte files: those of the metric functions on what the files hold, and those of src.evaluate."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from configuring import configure, tiny_run
from data.sample_folders import disc, matting_folder, write

import denseup
from denseup.cli import evaluate, score, train
from denseup.cli.arguments import keys_and_values
from denseup.cli.loading import rebuilt_data
from denseup.engine import RunFolder
from denseup.metrics import functional

MEASURES = {"sad": functional.sad, "mse": functional.mse, "grad": functional.grad, "conn": functional.conn}


def scored(root: Path, *options: str, task: str = "matting") -> dict[str, Any]:
    given = {"predictions": root / "predictions", "truth": root / "alpha", "output": root / "out"}
    said = [f"{key}='{path}'" for key, path in given.items()]
    return score.run(keys_and_values("score", "", [*said, f"task={task}", *options]))


def noisy(seed: int) -> np.ndarray:
    shift = np.random.default_rng(seed).integers(-40, 40, disc().shape)
    return np.clip(disc().astype(int) + shift, 0, 255).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    matting_folder(tmp_path, count=3)
    for i in range(3):
        write(tmp_path / "predictions" / f"im{i}.png", noisy(i))
    return tmp_path


@pytest.mark.parametrize("with_trimap", [True, False])
def test_the_values_are_those_of_the_functions(
    root: Path, with_trimap: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = disc()
    trimap = np.where((alpha > 0) & (alpha < 255), 128, alpha).astype(np.uint8)
    trimap = trimap if with_trimap else np.full_like(alpha, 128)
    result = scored(root, *([f"trimap='{root / 'trimap'}'"] if with_trimap else []))
    expected = [{key: f(noisy(i), alpha, trimap) for key, f in MEASURES.items()} for i in range(3)]
    for key in MEASURES:
        assert result["metrics"][key] == pytest.approx(np.mean([row[key] for row in expected]), rel=1e-12)
    with (root / "out/per_image.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == ["im0", "im1", "im2"]
    for row, values in zip(rows, expected, strict=True):
        assert {key: float(row[key]) for key in MEASURES} == pytest.approx(values, rel=1e-12)
    assert json.loads((root / "out/result.json").read_text())["metrics"] == result["metrics"]
    told = capsys.readouterr().out
    assert ("sums over the whole image" in told) is not with_trimap
    assert ("3 of 3 predictions differ from the trimap where it is known: left as they are" in told) is with_trimap


def test_known_pixels_are_taken_from_the_trimap_if_asked(root: Path) -> None:
    alpha = disc()
    trimap = np.where((alpha > 0) & (alpha < 255), 128, alpha).astype(np.uint8)
    result = scored(root, f"trimap='{root / 'trimap'}'", "fill_known=true")
    filled = [np.where(trimap == 128, noisy(i), trimap) for i in range(3)]
    assert result["metrics"]["grad"] == pytest.approx(np.mean([functional.grad(p, alpha, trimap) for p in filled]))
    assert "taken from the trimap" in " ".join(result["notes"])


def test_they_are_those_of_the_evaluation(tmp_path: Path) -> None:
    """The predictions of a run's network, written as 8-bit files: in which the evaluation measures them."""
    train.run(tiny_run(), RunFolder(tmp_path / "run"))
    checkpoint = tmp_path / "run/checkpoints/best.ckpt"
    options = [f"ckpt='{checkpoint}'", "data.val_length=4", "trainer.enable_progress_bar=false"]
    measured = evaluate.run(configure(*options, name="evaluate"), RunFolder(tmp_path / "eval"))
    task = denseup.load(checkpoint)
    data = rebuilt_data(
        {**_config(tmp_path / "eval"), "task": {"name": "matting"}},
    )
    for i, batch in enumerate(data.test_dataloader()):
        maps = {"predictions": task.predict(batch)[0], "alpha": batch["alpha"][0, 0], "trimap": batch["trimap"][0, 0]}
        for folder, values in maps.items():
            write(tmp_path / folder / f"{i}.png", values.numpy())
    result = scored(tmp_path, f"trimap='{tmp_path / 'trimap'}'")
    assert result["images"] == 4
    assert result["metrics"] == pytest.approx(measured["metrics"], rel=1e-12)
    assert result["notes"] == []


def _config(folder: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))  # type: ignore[return-value]


def test_sixteen_bits_count_as_the_nearest_of_eight(root: Path) -> None:
    before = scored(root)["metrics"]
    for i in range(3):
        write(root / "predictions" / f"im{i}.png", np.minimum(noisy(i).astype(int) * 257 + 60, 65535).astype(np.uint16))
    assert scored(root)["metrics"] == before


def test_suffixes_and_sub_folders(root: Path) -> None:
    before = scored(root)["metrics"]
    for i in range(3):
        (root / "alpha" / "set").mkdir(exist_ok=True)
        (root / "alpha" / f"im{i}.png").rename(root / "alpha" / "set" / f"im{i}_gt.png")
        write(root / "predictions" / "set" / f"im{i}_alpha.png", noisy(i))
        (root / "predictions" / f"im{i}.png").unlink()
    assert scored(root, "truth_suffix=_gt", "prediction_suffix=_alpha")["metrics"] == before
    with pytest.raises(ValueError, match=r"prediction_suffix and truth_suffix|truth_suffix and prediction_suffix"):
        scored(root, "truth_suffix=_gt")


def test_partners_that_are_missing_on_either_side(root: Path) -> None:
    (root / "predictions/im1.png").unlink()
    write(root / "predictions/extra.png", disc())
    with pytest.raises(ValueError, match="found no prediction file") as caught:
        scored(root)
    text = str(caught.value)
    assert "found no prediction file for 1 of the 3 truth files" in text
    assert "found no truth file for 1 of the 3 prediction files" in text
    assert ": im1." in text
    assert ": extra." in text
    assert not (root / "out/result.json").exists()


def test_all_that_cannot_be_scored_is_listed(root: Path) -> None:
    write(root / "predictions/im0.png", disc(40, 80))
    (root / "predictions/im2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="2 of 3 can't be scored") as caught:
        scored(root)
    text = str(caught.value)
    assert "im0.png: found 40 x 80 (height x width); expected 60 x 80" in text
    assert "im2.png: 8 bytes that are not a readable image" in text


def test_codes_are_refused_until_they_are_said(root: Path) -> None:
    before = scored(root)["metrics"]
    coded = {i: (noisy(i) > 127).astype(np.uint8) for i in range(3)}
    for i, mask in coded.items():
        write(root / "predictions" / f"im{i}.png", mask)
    with pytest.raises(ValueError, match="prediction_alpha_max=1") as caught:
        scored(root)
    assert "data." not in str(caught.value)
    assert scored(root, "prediction_alpha_max=1")["metrics"] != before
    for i in range(3):
        trimap = cv2.imread(str(root / "trimap" / f"im{i}.png"), cv2.IMREAD_UNCHANGED)
        write(root / "trimap" / f"im{i}.png", (trimap.astype(int) + 127).astype(np.uint8) // 128)
    options = [f"trimap='{root / 'trimap'}'", "prediction_alpha_max=1"]
    with pytest.raises(ValueError, match=r"'trimap_values=\{0: 0, 1: 128, 2: 255\}'") as caught:
        scored(root, *options)
    scored(root, *options, "trimap_values={0: 0, 1: 128, 2: 255}")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("task=saliency", "task is 'saliency', whose prediction files can't be scored; valid: matting, segmentation"),
        ("num_classes=3", "num_classes is 3, an option of task=segmentation; this is task=matting"),
        ("predictions=3", "predictions is 3, expected the path of a folder"),
        ("truth_suffix=3", "truth_suffix is 3, expected text"),
        ("truth=nowhere", "nowhere: no such folder; expected the truth files in it"),
    ],
)
def test_values_that_are_none(root: Path, option: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scored(root, option)

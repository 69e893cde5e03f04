"""Corruptions: what is measured under each, what is told of all, and how reports compare it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from evaluation.measured import measured
from evaluation.test_files import table
from omegaconf import OmegaConf
from rich.console import Console

from denseup.cli.loading import load, read_config, rebuilt_data
from denseup.data.datamodules import CorruptedData
from denseup.engine import RunFolder
from denseup.engine.evaluation import evaluate
from denseup.engine.info import RunInfo
from denseup.evaluation import EvaluationSettings
from denseup.evaluation.robustness import Robustness, table_csv
from denseup.metrics import MattingMetrics, MetricInfo, sad
from denseup.reporting import group_runs, load_runs, write_report
from denseup.tasks import MattingTask

INFOS = (MetricInfo("miou", "mIoU", True), MetricInfo("biou", "bIoU", True))


def test_means_and_what_is_left_by_hand() -> None:
    values = {
        ("fog", 1): {"miou": 0.6, "biou": 0.3},
        ("fog", 5): {"miou": 0.4, "biou": 0.1},
        ("contrast", 1): {"miou": 0.5, "biou": 0.4},
        ("contrast", 5): {"miou": 0.1, "biou": 0.0},
    }
    found = Robustness({"miou": 0.8, "biou": 0.4}, values, INFOS)
    assert found.summary() == pytest.approx({"miou_corrupted": 0.4, "biou_corrupted": 0.2, "miou_relative": 0.5})
    assert [info.key for info in found.summary_infos()] == list(found.summary())
    rows = {(row["corruption"], row["severity"]): row for row in found.rows()}
    assert list(rows) == [
        *(("clean", 0), ("fog", 1), ("fog", 5), ("fog", "mean")),
        *(("contrast", 1), ("contrast", 5), ("contrast", "mean"), ("mean", "mean")),
    ]
    assert rows["fog", "mean"]["miou"] == pytest.approx(0.5)
    assert rows["fog", "mean"]["miou_relative"] == pytest.approx(0.625)
    assert rows["mean", "mean"]["biou_relative"] == pytest.approx(0.5)


def test_what_is_undefined_stays_so() -> None:
    found = Robustness({"miou": 0.0, "biou": 0.4}, {("fog", 1): {"miou": 0.5, "biou": float("nan")}}, INFOS)
    assert np.isnan(found.summary()["miou_relative"])
    assert np.isnan(found.summary()["biou_corrupted"])
    assert table_csv(found.rows()).splitlines()[2] == "fog,1,0.5,,,"


def test_each_corruption_is_measured_on_its_images(runs: Path, tmp_path: Path) -> None:
    options = ["data.val_length=2", "corruption=[fog,shot_noise]", "corruption_severity=[1,4]"]
    result = measured(runs / "matting", tmp_path / "out", *options)
    clean = measured(runs / "matting", tmp_path / "clean", "data.val_length=2")
    assert result["config_hash"] != clean["config_hash"]
    assert {key: result["metrics"][key] for key in clean["metrics"]} == clean["metrics"]
    rows = {(row["corruption"], row["severity"]): row for row in table(tmp_path / "out/robustness.csv")}
    task, data = load(runs / "matting"), rebuilt_data(result_config(tmp_path / "out"))
    for place in (("shot_noise", "1"), ("fog", "4")):
        metrics = MattingMetrics()
        noisy = CorruptedData(data, place[0], int(place[1]))
        for batch in noisy.test_dataloader():
            metrics.update(task.predict(batch), batch["alpha"][:, 0], batch["trimap"][:, 0])
        for key, value in metrics.compute().items():
            assert float(rows[place][key]) == pytest.approx(float(value), rel=1e-12)
    with (tmp_path / "out/per_image.csv").open(newline="") as lines:
        images = list(csv.DictReader(lines))
    kinds = [row["evaluation"] for row in images]
    assert list(dict.fromkeys(kinds)) == ["test", "shot_noise_1", "shot_noise_4", "fog_1", "fog_4"]
    of_fog = [float(row["sad"]) for row in images if row["evaluation"] == "fog_4"]
    assert np.mean(of_fog) == pytest.approx(float(rows["fog", "4"]["sad"]))


def result_config(folder: Path) -> dict:
    return OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))


def test_a_report_compares_and_keeps_measurements_apart(runs: Path, tmp_path: Path) -> None:
    """Three evaluations of one run, each a group; the table of corruptions in the page, the Markdown and a file."""
    for name, options in {
        "plain": [],
        "slide": ["view=slide", "crop=48"],
        "corrupted": ["corruption=contrast", "corruption_severity=5"],
    }.items():
        measured(runs / "segmentation", tmp_path / name, "data.val_length=2", *options)
    found = load_runs([tmp_path / name for name in ("plain", "slide", "corrupted")])
    groups, left_out = group_runs(found)
    assert (len(groups), left_out) == (3, [])
    settings = [{k: v for k, v in group.settings.items() if k.startswith("evaluation.")} for group in groups]
    assert {} in settings
    assert {"evaluation.view": "slide", "evaluation.crop": [48, 48], "evaluation.stride": [32, 32]} in settings
    page = write_report(found, tmp_path / "report").read_text()
    text = (tmp_path / "report/report.md").read_text()
    assert "departs from the published one: corruption = ['contrast'], corruption_severity = [5]." in text
    row = found[2].robustness[1]
    (file,) = (tmp_path / "report").glob("*_robustness.csv")
    stored = {(line["corruption"], line["severity"], line["metric"]): line for line in table(file)}
    assert float(stored["contrast", "5", "miou"]["mean"]) == row["miou"]
    assert float(stored["contrast", "5", "miou"]["relative"]) == row["miou_relative"]
    for told in (page, text):
        assert "under corruptions" in told
        assert f"{100 * row['miou']:.2f}" in told


def test_from_python(runs: Path, tmp_path: Path) -> None:
    """The same values as from the command line; a config that does not tell of the settings is refused."""
    config = read_config(runs / "matting")
    config["data"]["val_length"] = 2
    settings = EvaluationSettings(flip=True)
    told = {**config, "evaluation": settings.identity(MattingTask)}
    checkpoint = runs / "matting/checkpoints/best.ckpt"

    def run(config: dict) -> dict:
        data, info = rebuilt_data(config), RunInfo("matting", "bilinear", 0, config)
        out, trainer, quiet = RunFolder(tmp_path / "python"), {"enable_progress_bar": False}, Console(quiet=True)
        out.make()
        task = load(runs / "matting")
        return evaluate(task, data, out, info, checkpoint=checkpoint, trainer=trainer, console=quiet, settings=settings)

    expected = measured(runs / "matting", tmp_path / "command", "data.val_length=2", "flip=true")
    assert run(told)["metrics"] == expected["metrics"]
    with pytest.raises(ValueError, match=r"info\.config\['evaluation'\] is \{\}, expected \{'flip': True"):
        run(config)


def test_metrics_of_training_code_have_a_name_in_the_result(runs: Path, tmp_path: Path) -> None:
    usual = measured(runs / "matting", tmp_path / "usual", "data.val_length=2", "metrics=matlab")
    training = measured(runs / "matting", tmp_path / "training", "data.val_length=2", "metrics=training")
    assert (usual["metrics_by"], training["metrics_by"]) == ("matlab", "training")
    assert (usual["evaluation"], training["evaluation"]) == ({}, {"metrics": "training"})
    assert training["metrics"]["sad"] == usual["metrics"]["sad"]
    assert "grad" not in training["metrics"]
    assert training["metrics"]["grad_training"] > 0
    assert len(group_runs(load_runs([tmp_path]))[0]) == 2
    assert sad is MattingMetrics.measures["sad"]

"""A third task is made of new files alone (tests/third_task): nothing in the package is told of it, all shows it.

So is a metric that a subclass adds to those of a task.
"""

import csv
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from configuring import TINY, configure
from omegaconf import DictConfig
from PIL import Image
from processes import python

from denseup.cli import evaluate, export, predict, report, train
from denseup.cli.loading import load
from denseup.engine import RunFolder
from denseup.engine.loggers.wandb_dashboard import Place, definition, logged_metrics
from denseup.metrics import MattingMetrics, MetricInfo
from denseup.tasks import find_task, list_tasks, registry

HERE = Path(__file__).parent / "third_task"
SHORT = ["trainer=short", "trainer.max_steps=2", "trainer.limit_val_batches=3", "logger=csv"]


@pytest.fixture(scope="module", autouse=True)
def third_task() -> Iterator[None]:
    """As if its package were installed; forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        patch.setattr(registry.TASKS, "factories", dict(registry.TASKS.factories))
        yield
    for name in modules():
        del sys.modules[name]


def modules() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "saliency"]


def saliency(*overrides: str) -> DictConfig:
    where = f"hydra.searchpath=[file://{HERE / 'conf'}]"
    return configure(where, "task=saliency", "data=salient_scenes", *SHORT, *overrides)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saliency")
    for name in ("bilinear", "fade"):
        train.run(saliency(f"upsampler={name}"), RunFolder(root / name))
    return root


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def test_it_trains(runs: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    train.run(saliency("upsampler=carafe"), RunFolder(tmp_path))
    table = capsys.readouterr().out
    assert "MAE ↓" in table
    assert "Found ↑" in table
    assert "trivial (nothing stands" in table
    assert "best MAE 0." in table
    found = result(runs / "fade")
    assert (found["status"], found["task"], found["monitor"], found["mode"]) == ("finished", "saliency", "mae", "min")
    assert (runs / "fade" / found["picture"]).is_file()
    assert "saliency" in list_tasks()
    assert find_task("saliency").monitor == "mae"


def test_it_is_evaluated(runs: Path, tmp_path: Path) -> None:
    checkpoint = runs / "fade/checkpoints/best.ckpt"
    measured = evaluate.run(configure(f"ckpt='{checkpoint}'", name="evaluate"), RunFolder(tmp_path))
    with (tmp_path / "per_image.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == [f"scene_{i:04d}" for i in range(8)]
    assert np.mean([float(row["mae"]) for row in rows]) == pytest.approx(measured["metrics"]["mae"], rel=1e-12)


def test_it_predicts_pictures(runs: Path, tmp_path: Path) -> None:
    """With what a task has that says nothing more about its pictures."""
    image = np.random.default_rng(0).integers(0, 256, (45, 61, 3)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.png")
    words = [f"ckpt={runs}/fade", f"input={tmp_path}/photo.png", f"output={tmp_path}/out"]
    assert predict.main(words) == 0
    task = load(runs / "fade/checkpoints/best.ckpt")
    expected = task.predict({"image": torch.from_numpy(image).permute(2, 0, 1)[None] / 255})[0].numpy()
    (written,) = (tmp_path / "out").iterdir()
    assert written.name == "photo_values.png"
    with Image.open(written) as picture:
        assert np.array_equal(np.asarray(picture), expected)


def test_it_is_exported(runs: Path, tmp_path: Path) -> None:
    """As what its `forward` gives, for it says nothing of ports."""
    written = tmp_path / "saliency.ts"
    options = ["format=torchscript", f"output='{written}'", "latency.repeats=0"]
    export.run(configure(f"ckpt='{runs / 'fade'}'", *options, name="export"))
    task, image = load(runs / "fade/checkpoints/best.ckpt"), torch.rand(2, 3, 33, 50)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(written)(image), task(image), rtol=0, atol=1e-4)


def test_the_report_has_it(runs: Path, tmp_path: Path) -> None:
    page = report.run([runs], tmp_path, examples=1, latency=False).read_text()
    assert "<h2>saliency</h2>" in page
    assert "MAE ↓" in page
    assert "Found % ↑" in page
    assert "the largest variance of saliency" in page
    assert (tmp_path / "plots/saliency_example_0.webp").is_file()
    with (tmp_path / "saliency.csv").open(newline="") as lines:
        rows = {row["upsampler"]: row for row in csv.DictReader(lines)}
    best = result(runs / "fade")["metrics"]["best"]
    assert float(rows["fade"]["found_best_mean"]) == pytest.approx(100 * best["found"])
    assert int(rows["fade"]["params"]) == result(runs / "fade")["params"]
    assert float(rows["fade"]["gflops"]) > 0


@pytest.mark.parametrize(("described", "heading"), [(True, "Found % ↑"), (False, "found")])
def test_a_report_needs_no_task(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, described: bool, heading: str
) -> None:
    """Where its package is not installed: by what result.json says, or else by the keys and the monitor."""
    monkeypatch.setattr(registry.TASKS, "factories", {})
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(HERE)])
    for name in modules():
        monkeypatch.delitem(sys.modules, name)
    for name in ("bilinear", "fade"):
        copy = RunFolder(tmp_path / "runs" / name)
        copy.write_config((runs / name / "config.yaml").read_text())
        kept = result(runs / name)
        copy.write_result(kept if described else {key: kept[key] for key in kept if key != "metric_info"})
    page = report.run([tmp_path / "runs"], examples=0, latency=False).read_text()
    assert "<h2>saliency</h2>" in page
    assert f">{heading}</th>" in page
    assert "fade: GFLOPs not counted: " in page
    assert ">MAE ↓</th>" in page if described else ">mae ↓</th>" in page


def test_the_dashboard_has_it(runs: Path) -> None:
    pytest.importorskip("wandb_workspaces", reason="needs the extra: pip install 'denseup[dashboard]'")
    tasks = logged_metrics()
    assert tasks["saliency"] == ["mae", "found"]
    text = json.dumps(definition(Place(), tasks))
    assert "saliency: best" in text
    assert "val/found" in text


def test_a_sweep_hands_its_configs_on_to_its_jobs(tmp_path: Path) -> None:
    chosen = ["task=saliency", "data=salient_scenes", "upsampler=bilinear", *SHORT, "sweep.report=false"]
    folders = ["--config-dir", str(HERE / "conf"), f"hydra.sweep.dir={tmp_path}"]
    done = python("-m", "src.train", "-m", *folders, *chosen, env=os.environ | {"PYTHONPATH": str(HERE)})
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = tmp_path.glob("saliency_*/result.json")
    assert result(run.parent)["status"] == "finished"


def test_another_name_in_the_config_is_refused(tmp_path: Path) -> None:
    cfg = saliency("upsampler=bilinear")
    cfg.task._target_ = "denseup.tasks.MattingTask"
    with pytest.raises(ValueError, match=r"task\.name is 'saliency', but denseup\.tasks\.MattingTask is .* 'matting'"):
        train.run(cfg, RunFolder(tmp_path))


def mad(pred: np.ndarray, target: np.ndarray, trimap: np.ndarray) -> float:
    return float(np.abs(pred.astype(float) - target)[trimap == 128].max(initial=0))


class MoreMetrics(MattingMetrics):
    """With the greatest difference."""

    values = (*MattingMetrics.values, MetricInfo("mad", "MAD", False, digits=1))
    measures = {**MattingMetrics.measures, "mad": mad}


@pytest.fixture
def more(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What asks for `MoreMetrics`; a config finds this module by the name `more`."""
    monkeypatch.setitem(sys.modules, "more", sys.modules[__name__])
    return ["+task.metrics._target_=more.MoreMetrics", "+task.metrics._partial_=true"]


def test_a_further_metric_shows_everywhere(more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["task=matting", *TINY["matting"], "data.image_size=64", "data.batch_size=2"]
    cfg = configure(*tiny, *SHORT, *more, "upsampler=bilinear")
    found = train.run(cfg, RunFolder(tmp_path / "run"))
    assert "MAD ↓" in capsys.readouterr().out
    assert found["metrics"]["best"]["mad"] > 0
    assert "mad" in (tmp_path / "run/per_image.csv").read_text().splitlines()[0]
    assert "val/mad" in (tmp_path / "run/metrics.csv").read_text().splitlines()[0]
    page = report.run([tmp_path / "run"], examples=0, latency=False)
    assert ">MAD ↓</th>" in page.read_text()
    assert "best_mad" in (page.parent / "runs.csv").read_text().splitlines()[0]
    assert logged_metrics([tmp_path])["matting"] == ["sad", "mse", "grad", "conn", "mad"]

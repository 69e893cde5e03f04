"""Each class's values and their differences to the reference, beside the report."""

import csv
import json
import statistics
from pathlib import Path

import pytest
from reporting.synthetic import CLASSES, write_sweep

from denseup.reporting import group_runs, load_runs, t_quantile, write_report
from denseup.reporting.classes import of_classes

SEEDS = (0, 1, 2)


def test_the_file_has_what_the_runs_say(tmp_path: Path) -> None:
    root = write_sweep(tmp_path / "runs", ("segmentation",), ("bilinear", "fade"), SEEDS)
    write_report(load_runs([root]), tmp_path / "report")
    with (tmp_path / "report/segmentation_classes.csv").open(newline="") as lines:
        rows = {(row["upsampler"], row["class"], row["metric"]): row for row in csv.DictReader(lines)}
    assert len(rows) == 2 * len(CLASSES) * 3
    told = {
        name: [json.loads(next(root.glob(f"*_{name}_seed{seed}_*/result.json")).read_text()) for seed in SEEDS]
        for name in ("bilinear", "fade")
    }
    ious = {name: [100 * result["per_class"]["best"]["iou"][2] for result in told[name]] for name in told}
    row = rows["fade", CLASSES[2], "iou"]
    assert float(row["mean"]) == pytest.approx(statistics.fmean(ious["fade"]))
    gains = [mine - theirs for mine, theirs in zip(ious["fade"], ious["bilinear"], strict=True)]
    assert float(row["delta_mean"]) == pytest.approx(statistics.fmean(gains))
    assert float(row["delta_half_width"]) == pytest.approx(t_quantile(2) * statistics.stdev(gains) / 3**0.5)
    assert rows["bilinear", CLASSES[0], "biou"]["delta_mean"] == ""


def test_a_task_without_classes_has_none(tmp_path: Path) -> None:
    root = write_sweep(tmp_path / "runs", ("matting",), ("bilinear", "fade"), SEEDS)
    (group,), _ = group_runs(load_runs([root]))
    assert list(of_classes(group)) == []
    write_report(load_runs([root]), tmp_path / "report")
    assert not list((tmp_path / "report").glob("*_classes.csv"))

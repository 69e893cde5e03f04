"""Groups that differ in the length of training alone make a table and a plot of the gain over it."""

import csv
from pathlib import Path
from typing import Any

import pytest
from reporting.synthetic import base_config, run_config, write_run

from denseup.reporting import group_runs, load_runs, styles, write_report
from denseup.reporting.length import compare_lengths

LENGTHS = (500, 2000, 8000)


def of_length(config: dict[str, Any], steps: int) -> dict[str, Any]:
    return {
        **config,
        "recipe": {**config["recipe"], "max_steps": steps, "val_every": steps // 5},
        "trainer": {**config["trainer"], "max_steps": steps, "val_check_interval": steps // 5},
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    base = base_config("segmentation")
    for steps in LENGTHS:
        for seed in (0, 1, 2):
            write_run(root, of_length(run_config(base, "bilinear", seed), steps), images=12)
            for start in ("published", "neutral") if steps > 500 else ("neutral",):
                config = run_config(base, "fade", seed)
                started = {**config, "upsampler": {**config["upsampler"], "start": start}}
                write_run(root, of_length(started, steps), images=12)
    write_run(root, of_length(run_config(base, "carafe", 0), 500))
    return root


def test_the_gain_over_the_length_is_drawn_and_told(runs: Path, tmp_path: Path) -> None:
    page = write_report(load_runs([runs]), tmp_path).read_text()
    title = "segmentation: gain in mIoU over the length of training"
    text = (tmp_path / "report.md").read_text()
    assert f"<h2>{title}</h2>" in page
    assert page.count('data-column="0"') == page.count("<table")
    assert "| upsampler | 500 steps | 2,000 steps | 8,000 steps |" in text
    (line,) = (row for row in text.splitlines() if row.startswith("| fade (start=published) |  |"))
    assert line.count("±") == 2
    assert (tmp_path / "plots/segmentation_length.svg").is_file()
    with (tmp_path / "segmentation_length.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["upsampler"], row["steps"]) for row in rows] == [
        *(("fade (start=neutral)", str(steps)) for steps in LENGTHS),
        *(("fade (start=published)", str(steps)) for steps in LENGTHS[1:]),
    ]
    groups, _ = group_runs(load_runs([runs]))
    for row in rows:
        group = next(group for group in groups if group.name == row["group"])
        found = group.compare(group.measures[0]).differences[row["upsampler"]].scaled(100)
        assert float(row["gain_mean"]) == pytest.approx(found.both.mean, rel=1e-9)
        assert float(row["gain_half_width"]) == pytest.approx(found.both.half_width, rel=1e-9)


def test_less_is_a_gain_where_less_is_better(tmp_path: Path) -> None:
    base = base_config("matting")
    for steps in (500, 1000):
        for name in ("bilinear", "fade"):
            for seed in (0, 1):
                write_run(tmp_path, of_length(run_config(base, name, seed), steps))
    groups, _ = group_runs(load_runs([tmp_path]))
    (lengths,) = compare_lengths(groups, styles(["bilinear", "fade"]), tmp_path / "plots")
    assert lengths.steps == (500, 1000)
    assert all(gain.found.both.mean > 0 for gain in lengths.gains["fade"].values())
    assert "by the number of training steps" in lengths.plot.caption


def test_lengths_of_other_evaluations_are_no_family(tmp_path: Path) -> None:
    base = base_config("matting") | {"protocol": {"name": "frozen", "evaluation": "averaged"}}
    values = {"step": 500, "sad": 4.0}
    for steps in (500, 1000):
        told = {"best": values, "last": values} | ({"averaged": values} if steps == 500 else {})
        for name in ("bilinear", "fade"):
            write_run(tmp_path, of_length(run_config(base, name, 0), steps), metrics=told)
    groups, _ = group_runs(load_runs([tmp_path]))
    assert {group.evaluation for group in groups} == {"averaged", "best"}
    assert not compare_lengths(groups, styles(["bilinear", "fade"]), tmp_path / "plots")


def test_groups_that_differ_in_more_are_no_family(tmp_path: Path) -> None:
    base = base_config("matting")
    for steps, batch in ((500, 4), (1000, 8)):
        config = of_length(run_config(base, "bilinear", 0), steps)
        write_run(tmp_path, {**config, "data": {**config["data"], "batch_size": batch}})
    groups, _ = group_runs(load_runs([tmp_path]))
    assert len(groups) == 2
    assert compare_lengths(groups, {}, tmp_path / "plots") == []

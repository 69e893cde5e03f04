"""The report's numbers are those of the result.json files, its marks those of the better direction."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reporting.synthetic import base_config, run_config, write_run, write_sweep
from scipy import stats

from denseup.reporting import group_runs, load_runs, transfer, write_report
from denseup.reporting.costs import Cost
from denseup.reporting.measures import MEASURES
from denseup.reporting.plots import pareto_front
from denseup.reporting.table import Table, build_table

NAMES = ("bilinear", "carafe", "fade")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep(tmp_path_factory.mktemp("sweep"), upsamplers=NAMES)


@pytest.fixture(scope="module")
def report(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(load_runs([sweep]), tmp_path_factory.mktemp("report")).parent


def results(sweep: Path, task: str, upsampler: str) -> list[dict[str, Any]]:
    """The result.json files of an upsampler, by seed: read here without the report's help."""
    found = [json.loads(file.read_text()) for file in sweep.glob("*/result.json")]
    mine = [result for result in found if (result["task"], result["upsampler"]) == (task, upsampler)]
    return sorted(mine, key=lambda result: result["seed"])


def rows(file: Path) -> dict[str, dict[str, str]]:
    with file.open(newline="") as lines:
        return {row["upsampler"]: row for row in csv.DictReader(lines)}


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_every_number_equals_a_direct_computation(sweep: Path, report: Path, task: str) -> None:
    table = rows(report / f"{task}.csv")
    assert list(table) == list(NAMES)
    for name in NAMES:
        mine, base = results(sweep, task, name), results(sweep, task, "bilinear")
        assert table[name]["runs"] == str(len(mine)) == "3"
        for measure in MEASURES[task]:
            for which in ("best", "last"):
                values = measure.scale * np.array([r["metrics"][which][measure.key] for r in mine])
                check(table[name], f"{measure.key}_{which}", values)
            if name != "bilinear":
                pairs = [(a["metrics"]["best"], b["metrics"]["best"]) for a, b in zip(mine, base, strict=True)]
                differences = measure.scale * np.array([a[measure.key] - b[measure.key] for a, b in pairs])
                check(table[name], f"{measure.key}_delta", differences)


def check(row: dict[str, str], column: str, values: np.ndarray) -> None:
    half_width = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    assert float(row[f"{column}_mean"]) == pytest.approx(values.mean(), rel=1e-9)
    assert float(row[f"{column}_half_width"]) == pytest.approx(half_width, rel=1e-9)
    assert row[f"{column}_n"] == str(len(values))


def test_page_and_markdown_show_the_same_numbers(sweep: Path, report: Path) -> None:
    values = np.array([result["metrics"]["best"]["sad"] for result in results(sweep, "matting", "fade")])
    text = f"{values.mean():.3f} ± {stats.t.ppf(0.975, 2) * stats.sem(values):.3f}"
    assert f"**{text}**" in (report / "report.md").read_text()
    assert f">{text}</td>" in (report / "report.html").read_text()


def test_published_numbers_have_columns_of_their_own(report: Path) -> None:
    table = rows(report / "segmentation.csv")
    assert [table[name]["miou_published"] for name in NAMES] == ["41.68", "42.82", "44.41"]
    page = (report / "report.html").read_text()
    cells = re.findall(r'<td class="([^"]*)"[^>]*>44\.41</td>', page)
    assert cells
    assert all(cell.startswith("published") for cell in cells)
    for caveat in ("best of ten evaluations", "44.25", "not from the MATLAB script"):
        assert caveat in page
        assert caveat in (report / "report.md").read_text()


def marks(table: Table, key: str) -> dict[int, str]:
    column = [column.key for column in table.columns].index(key)
    return {row.cells[column].rank: row.label for row in table.rows if row.cells[column].rank}


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_marks_honour_the_direction(sweep: Path, task: str) -> None:
    group = next(group for group in group_runs(load_runs([sweep]))[0] if group.task == task)
    table = build_table(group, {})
    for measure in MEASURES[task]:
        means = {n: np.mean([r["metrics"]["last"][measure.key] for r in results(sweep, task, n)]) for n in NAMES}
        order = sorted(means, key=means.__getitem__, reverse=measure.higher_is_better)
        assert marks(table, f"{measure.key}_last") == {1: order[0], 2: order[1]}
    first = MEASURES[task][0].key
    delta = next(i for i, column in enumerate(table.columns) if column.key == f"{first}_delta")
    assert {row.label: row.cells[delta].verdict for row in table.rows}["fade"] == "better"


def test_costs_that_nobody_knows_are_empty(sweep: Path) -> None:
    group = group_runs(load_runs([sweep]))[0][0]
    table = build_table(group, {"fade": Cost(params=1234)})
    column = [column.key for column in table.columns].index("params")
    assert [row.cells[column].text for row in table.rows] == ["", "", "1,234"]


def test_the_front_holds_what_no_other_beats() -> None:
    points = {"cheap": (1.0, 5.0), "worse": (2.0, 6.0), "good": (3.0, 3.0), "same": (3.0, 4.0), "dear": (9.0, 3.0)}
    assert pareto_front(points, higher_is_better=False) == ["cheap", "good"]
    assert pareto_front(points, higher_is_better=True) == ["cheap", "worse"]


def test_a_metric_below_zero_has_gains_too(tmp_path: Path) -> None:
    """A logarithm of a likelihood, say: in per cent of what it is, whichever its sign."""
    for task, key in (("matting", "sad"), ("segmentation", "miou")):
        for seed in (0, 1):
            for name, value in (("bilinear", -2.0), ("carafe", -2.1), ("fade", -2.2)):
                values = {"step": 500, key: value + 0.01 * seed * len(name)}
                write_run(tmp_path, run_config(base_config(task), name, seed), metrics={"best": values, "last": values})
    groups, _ = group_runs(load_runs([tmp_path]))
    gain, half = transfer._gain(groups[0], "fade") or (0.0, 0.0)
    assert gain == pytest.approx(100 * 0.22 / 1.96, rel=1e-2)
    assert half > 0
    write_report(load_runs([tmp_path]), tmp_path / "report")


def test_columns_of_a_table_can_be_chosen(sweep: Path) -> None:
    table = build_table(group_runs(load_runs([sweep]))[0][0], {})
    chosen = table.select("mse_best", "sad_delta")
    assert [column.key for column in chosen.columns] == ["mse_best", "sad_delta"]
    for row, whole in zip(chosen.rows, table.rows, strict=True):
        cells = dict(zip((column.key for column in table.columns), whole.cells, strict=True))
        assert row.cells == (cells["mse_best"], cells["sad_delta"])
    with pytest.raises(ValueError, match=r"'psnr', valid: sad_best, "):
        table.select("sad_best", "psnr")

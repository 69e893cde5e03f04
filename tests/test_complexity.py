"""`python -m src.complexity`: what it writes and prints, and the spelling of its arguments."""

import csv
import io
import json
from pathlib import Path

import pytest
from configuring import configure
from rich.console import Console

from denseup.cli.complexity import spell
from denseup.cli.cost_table import run
from denseup.engine import RunFolder
from denseup.profiling.table import COLUMNS
from denseup.upsamplers import list_upsamplers

ROOT = Path(__file__).parent.parent
FAST = ["latency.repeats=1", "latency.warmup=0", "latency.input_size=32"]


def counted(folder: Path, *overrides: str) -> str:
    """Write a table of counts into `folder`; what comes back is what was printed."""
    console = Console(file=io.StringIO(), width=200)
    run(configure("latency.repeats=0", *overrides, name="complexity"), RunFolder(folder), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A table of two upsamplers."""
    folder = tmp_path_factory.mktemp("complexity")
    return folder, counted(folder, "tasks=[matting]", "upsamplers=[fade,indexnet_m2o]")


def test_every_upsampler_in_both_networks(tmp_path: Path) -> None:
    counted(tmp_path)
    rows = json.loads((tmp_path / "complexity.json").read_text())["rows"]
    expected = {(task, name) for task in ("matting", "segmentation") for name in list_upsamplers()}
    assert {(row["task"], row["upsampler"]) for row in rows} == expected
    statuses = {(row["task"], row["upsampler"]): row["gflops_status"] for row in rows}
    assert [key for key, status in statuses.items() if status == "differs"] == [("matting", "indexnet_m2o")]
    assert sum(status == "reproduced" for status in statuses.values()) == 11
    # what the operators' pages show
    now, kept = (cells(file) for file in (tmp_path / "complexity.csv", ROOT / "docs/operators/costs.csv"))
    assert set(now) == set(kept)
    for key, row in kept.items():
        assert row == {name: now[key][name] for name in row}, key


def cells(file: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Rows of a table as they stand in its file, by task and upsampler."""
    with file.open(newline="") as lines:
        return {(row["task"], row["upsampler"]): row for row in csv.DictReader(lines)}


def test_json_says_what_is_counted_published_and_measured(table: tuple[Path, str]) -> None:
    content = json.loads((table[0] / "complexity.json").read_text())
    kinds = {name: column["kind"] for name, column in content["columns"].items()}
    assert kinds["published_gflops"] == "published"
    assert kinds["counted_gflops"] == "counted"
    assert kinds["forward_ms"] == "measured"
    assert content["hardware"]["threads"] >= 1
    assert content["versions"]["torch"]
    assert content["config"]["input_size"] == 512


def test_csv_holds_the_same(table: tuple[Path, str]) -> None:
    rows = json.loads((table[0] / "complexity.json").read_text())["rows"]
    written = list(cells(table[0] / "complexity.csv").values())
    assert set(written[0]) == {name for name in COLUMNS if name in rows[0]}
    for row, cell in zip(rows, written, strict=True):
        assert float(cell["gflops"]) == row["gflops"]
        assert cell["published_params"] == (row["published_params"] or "")


def test_printed_table(table: tuple[Path, str]) -> None:
    text = table[1]
    assert "8.8535" in text
    assert "reproduced" in text
    assert "differs" in text
    assert "forward" not in text


def test_measured_columns(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    overrides = ["tasks=[matting]", "upsamplers=[nearest]", "model@networks.matting.model=matting_small", *FAST]
    rows = run(configure(*overrides, name="complexity"), RunFolder(tmp_path), console)
    assert [row["upsampler"] for row in rows] == ["bilinear", "nearest"]
    assert {row["params_status"] for row in rows} == {"not published"}
    assert rows[0]["forward_ratio"] == 1
    assert isinstance(console.file, io.StringIO)
    assert "1 rounds after 0 of warm-up" in console.file.getvalue()


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Did you mean 'fade'"):
        run(configure("upsamplers=[fad]", name="complexity"), RunFolder(tmp_path))
    with pytest.raises(ValueError, match=r"latency\.repeats is 'x', expected a whole number ≥ 0"):
        run(configure("latency.repeats=x", name="complexity"), RunFolder(tmp_path))
    with pytest.raises(ValueError, match="input_size is 0, expected a whole number ≥ 1"):
        run(configure("input_size=0", name="complexity"), RunFolder(tmp_path))
    with pytest.raises(ValueError, match=r"task 'depth' is unknown\. Known: matting, segmentation"):
        run(configure("tasks=[depth]", "upsamplers=[nearest]", name="complexity"), RunFolder(tmp_path))


def test_spelling() -> None:
    assert spell(["task=matting,segmentation", "upsampler=[fade]", "input_size=64", "--help"]) == [
        "tasks=[matting,segmentation]",
        "upsamplers=[fade]",
        "input_size=64",
        "--help",
    ]

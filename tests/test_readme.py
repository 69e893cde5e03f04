"""The README's Python runs as printed; its bash blocks are run by .ci/run."""

import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from benchmarks import upsamplers
from benchmarks.cases import Row
from denseup.profiling import Timing
from denseup.upsamplers import list_upsamplers, registry

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.UPSAMPLERS, "factories", dict(registry.UPSAMPLERS.factories))
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    if "y" in names:
        assert list(names["y"].shape) == [1, 64, 133, 141]


def test_every_bash_block_is_run_by_ci() -> None:
    marked = re.findall(r"<!-- ci: (\w+) -->\n```bash\n", TEXT)
    assert TEXT.count("```bash") == len(marked)
    script = (ROOT / ".ci" / "run").read_text()
    assert all(f"commands {name}" in script for name in marked)


def test_yaml_is_valid() -> None:
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        assert yaml.safe_load(block)["name"]


def test_the_table_is_that_of_the_example() -> None:
    table = re.findall(r"^\| upsampler \| SAD.*\n\|-.*\n((?:\|.*\n)+)", TEXT, re.MULTILINE)[0]
    lines = [[cell.strip() for cell in line.split("|") if cell.strip()] for line in table.splitlines()]
    shown = {name: cells for name, *cells in lines}
    parts = [("matting", "sad", 2), ("segmentation", "miou", 1)]
    rows = {task: csv_rows(ROOT / f"docs/example/{task}.csv") for task, *_ in parts}
    assert set(shown) == set(rows["matting"]) == set(rows["segmentation"])
    for name, cells in shown.items():
        expected = [cell for part in parts for cell in cells_of(rows[part[0]][name], *part[1:])]
        assert cells == expected


def csv_rows(file: Path) -> dict[str, dict[str, str]]:
    with file.open(newline="") as lines:
        return {row["upsampler"]: row for row in csv.DictReader(lines)}


def cells_of(row: dict[str, str], metric: str, digits: int) -> list[str]:
    cells = [f"{float(row['gflops']):.1f}", f"{float(row['forward_ms']):.0f}"]
    for kind, sign in (("delta", "+"), ("best", "")):
        if row[f"{metric}_{kind}_mean"]:
            mean, half = (float(row[f"{metric}_{kind}_{part}"]) for part in ("mean", "half_width"))
            cells.insert(0, f"{mean:{sign}.{digits}f} ± {half:.{digits}f}")
    return cells


def test_files_it_links_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_the_table_of_operators_is_that_of_its_results() -> None:
    text = (ROOT / "benchmarks/measured.md").read_text()
    pattern = r"`benchmarks/results/(\S+_upsamplers_cpu\S*\.json)`.*?\n\n(\| upsampler .*?)\n\n"
    ((name, shown),) = re.findall(pattern, text, re.DOTALL)
    result = json.loads((ROOT / "benchmarks/results" / name).read_text())
    rows = [
        Row(row["case"], row["kind"], row["entrant"], timing=Timing(tuple(row["seconds"])), ratio=row["ratio"])
        for row in result["rows"]
    ]
    assert shown == upsamplers.table(rows).strip()
    assert {row.entrant for row in rows} == set(list_upsamplers())
    assert f"{result['settings']['rounds']} rounds" in text

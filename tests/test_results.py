"""The tables in README.md and docs/results are those of the reports' CSV files beside them."""

import csv
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "docs/results/tables.py"
spec = importlib.util.spec_from_file_location("result_tables", SCRIPT)
assert spec is not None
assert spec.loader is not None
tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tables)


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_script_would_change_nothing(page: Path) -> None:
    text = page.read_text()
    assert "<!-- table: " in text
    assert tables.filled(text) == text


def test_every_table_stands_somewhere() -> None:
    text = "".join(page.read_text() for page in tables.PAGES)
    assert all(f"<!-- table: {name} -->" in text for name in tables.TABLES)


def test_a_cell_is_the_number_of_its_file_and_bold_if_it_holds() -> None:
    page = (ROOT / "README.md").read_text()
    with (ROOT / "docs/example/segmentation.csv").open(newline="") as lines:
        found = {row["upsampler"]: row for row in csv.DictReader(lines)}
    assert any(float(row["miou_p_holm"]) <= 0.05 for row in found.values() if row["miou_p_holm"])
    block = re.findall(r"<!-- table: demo -->\n(.*?)<!-- end -->", page, re.DOTALL)[0]
    shown = {
        cells[1]: cells for cells in ([cell.strip() for cell in line.split("|")] for line in block.splitlines()[2:])
    }
    assert set(shown) == set(found)
    for name, row in found.items():
        mean, half = float(row["miou_averaged_mean"]), float(row["miou_averaged_half_width"])
        assert f"{mean:.1f} ± {half:.1f}" in shown[name]
        if name != "bilinear":
            text = f"{float(row['miou_delta_mean']):+.1f} ± {float(row['miou_delta_half_width']):.1f}"
            assert (f"**{text}**" if float(row["miou_p_holm"]) <= 0.05 else text) in shown[name]


def test_no_path_of_a_machine() -> None:
    for file in (*SCRIPT.parent.rglob("*"), *(ROOT / "docs/example").rglob("*")):
        if file.suffix in (".md", ".csv", ".html"):
            assert not any(word in file.read_text() for word in ("/tmp/", "/home/", "/root/", "/work/")), file


def test_no_picture_of_data_that_may_not_be_shown() -> None:
    """Plots alone: panels of predictions are .webp."""
    assert not list(SCRIPT.parent.rglob("*.webp"))

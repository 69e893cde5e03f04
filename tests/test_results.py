"""The tables in README.md and docs/results are those of the reports' CSV files beside them."""

import importlib.util
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


def test_no_path_of_a_machine() -> None:
    for file in SCRIPT.parent.rglob("*"):
        if file.suffix in (".md", ".csv"):
            assert not any(word in file.read_text() for word in ("/tmp/", "/home/", "/root/", "/work/")), file


def test_no_picture_of_data_that_may_not_be_shown() -> None:
    """Plots alone: panels of predictions are .webp."""
    assert not list(SCRIPT.parent.rglob("*.webp"))

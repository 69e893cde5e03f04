"""The notebooks run top to bottom in their short form, and are kept whole: with outputs of a run of the full form."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from configuring import TINY, configure
from nbformat import NotebookNode

from denseup.cli import train
from denseup.engine import RunFolder
from notebooks.execute import execute, notebooks

KEPT = notebooks()
NAMES = [path.stem for path in KEPT]
MAX_BYTES, MAX_BYTES_TOGETHER = 1_000_000, 2_000_000
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/<])/(?:home|root|tmp|var|opt|usr|mnt|work|private|Users)/|[A-Z]:\\\\")


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def complaints(notebook: NotebookNode) -> list[str]:
    """Errors, and all that was written to standard error."""
    errors = [output.evalue for output in outputs(notebook) if output.output_type == "error"]
    return errors + [output.text for output in outputs(notebook) if output.get("name") == "stderr"]


def text_of(output: NotebookNode) -> str:
    """An output without its pictures."""
    data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
    return json.dumps([output.get("text", ""), data])


def test_there_are_three() -> None:
    assert [name.split("_")[0] for name in NAMES] == ["01", "02", "03"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained runs of three upsamplers on both tasks, made in this process: in those of -m imports take most time."""
    root = tmp_path_factory.mktemp("sweep")
    for task, options in TINY.items():
        for name in ("bilinear", "fade", "fade_lite"):
            short = ["trainer=short", "logger=csv", "data.batch_size=2", "data.image_size=96", "data.val_length=2"]
            train.run(configure(f"task={task}", f"upsampler={name}", *short, *options), RunFolder(root / task / name))
    return root


@pytest.mark.parametrize("path", KEPT, ids=NAMES)
def test_runs_in_its_short_form(
    path: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "DENSEUP_SWEEP" in path.read_text():
        monkeypatch.setenv("DENSEUP_SWEEP", str(request.getfixturevalue("sweep")))
    assert complaints(execute(path, tmp_path, short=True)) == []


@pytest.mark.slow
def test_makes_a_sweep_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DENSEUP_SWEEP", str(tmp_path / "none"))
    notebook = execute(KEPT[1], tmp_path, short=True)
    assert complaints(notebook) == []
    assert "a tiny one is made" in outputs(notebook)[0].text


@pytest.mark.parametrize("path", KEPT, ids=NAMES)
def test_is_kept_as_it_ran(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any("image/jpeg" in output.get("data", {}) for output in outputs(notebook))
    assert complaints(notebook) == []


@pytest.mark.parametrize("path", KEPT, ids=NAMES)
def test_tells_nothing_of_a_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    found = [text for text in map(text_of, outputs(notebook)) if ABSOLUTE_PATH.search(text)]
    assert found == []
    assert all(not cell.metadata for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_they_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in KEPT}
    assert all(size <= MAX_BYTES for size in sizes.values()), sizes
    assert sum(sizes.values()) <= MAX_BYTES_TOGETHER, sizes

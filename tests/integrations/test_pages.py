"""The Python of the integrations' pages runs as printed, one block after the other."""

import re
from pathlib import Path
from typing import Any

import pytest

from denseup import FADE, DySample

ROOT = Path(__file__).parent.parent.parent
PAGES = ROOT / "docs" / "integrations"
DOORS = ("mmcv", "segmentation_models_pytorch", "torchvision", "ultralytics")
LIBRARY = {"openmmlab.md": "mmcv", "ultralytics.md": "ultralytics"}


@pytest.mark.parametrize("page", LIBRARY)
def test_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(LIBRARY[page], reason=f"{LIBRARY[page]} is not installed")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_the_doors_of_the_readme_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in DOORS:
        pytest.importorskip(library, exc_type=Exception, reason=f"{library} is not installed, or not beside this torch")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "denseup.integrations" in block)
    assert len(code.splitlines()) <= 25
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["replacements"](names["detector"]).replaced
    assert any(isinstance(module, FADE) for module in names["unet"].modules())
    assert isinstance(names["layer"], FADE)
    assert sum(isinstance(module, DySample) for module in names["yolo"].model.modules()) == 2

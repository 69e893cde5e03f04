"""The Python of the integrations' pages runs as printed, one block after the other."""

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parent.parent.parent / "docs" / "integrations"
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

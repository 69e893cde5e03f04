"""The examples run as printed, and so does the code of the pages."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHY = "it is not installed beside torch's CPU build: torch==2.14.1 torchvision==0.29.1 have it"
needs_smp = pytest.mark.skipif(find_spec("segmentation_models_pytorch") is None, reason=WHY)


def run(*arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(text: str) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in re.findall(r"loss ([\d.]+) → ([\d.]+)", text)]


def test_any_network() -> None:
    text = run("examples/any_network.py", "fade", "20")
    assert "3 of 4 replaced" in text
    assert len(losses(text)) == 2
    assert all(last < first for first, last in losses(text))


@needs_smp
def test_smp_unet() -> None:
    text = run("examples/smp_unet.py", "fade", "Unet", "6")
    assert "5 of 5 replaced" in text
    assert len(losses(text)) == 1
    (difference,) = re.findall(r"differs by (\S+)", text)
    assert float(difference) < 1e-5


@pytest.mark.parametrize("page", ["torch", pytest.param("smp", marks=needs_smp)])
def test_page(page: str) -> None:
    text = (ROOT / "docs" / "integrations" / f"{page}.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    printed = run("-c", code)
    if page == "torch":
        assert printed == "".join(f"{line}\n" for line in re.findall(r"^    (.+)", text.split("```")[2], re.MULTILINE))
    else:
        assert "5 of 5 replaced" in printed

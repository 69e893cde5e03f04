"""Every code block of README and docs: Python runs, commands compose, YAML parses; what can't be run says why.

Blocks of a page share their names, and run in order in an empty folder.
"""

import re
from collections.abc import Callable
from pathlib import Path

import command_lines
import numpy as np
import pytest
import yaml
from code_blocks import ROOT, Block, blocks, commands, pages, unfenced_commands
from configuring import tiny_run
from PIL import Image
from reporting.synthetic import write_sweep

from denseup.cli import train
from denseup.engine import RunFolder
from denseup.engine.loggers.wandb_reader import HEADER
from denseup.upsamplers import registry

ELSEWHERE = {"README.md": "tests/test_readme.py", "docs/python.md": "tests/runs/test_training.py"}
"""Pages whose Python another test runs, as printed or with fewer steps."""
INTEGRATIONS = "docs/integrations/"
"""Pages whose Python is run where their packages are, by a test in tests/integrations that names them."""
PLAIN = ("text", "")
"""Equations, trees and output: nothing to run."""
OF_PYTHON = sorted({block.page for block in blocks() if block.language == "python"})
MINE = [page for page in OF_PYTHON if page not in ELSEWHERE and not page.startswith(INTEGRATIONS)]
BASH = [block for block in blocks() if block.language == "bash" and not block.reason]
UNRUN = [block for block in blocks() if block.reason]
MOST_UNRUN = 0.1
"""Share of the blocks that may say that they can't be run."""


def a_sweep(folder: Path) -> None:
    """Runs of two upsamplers, as `sweep=demo` leaves them."""
    write_sweep(folder / "runs/sweeps/demo", ["matting"], ["bilinear", "fade"], (0, 1), images=4)


def an_offline_run(folder: Path) -> None:
    """The file of a run that W&B has only just begun."""
    file = folder / "runs/offline-run-20260101_000000-a/run-a.wandb"
    file.parent.mkdir(parents=True)
    file.write_bytes(HEADER)


def runs_and_a_photograph(folder: Path) -> None:
    """A short run of each task, a picture and its trimap."""
    for task in ("matting", "segmentation"):
        train.run(tiny_run("upsampler=fade", task=task), RunFolder(folder / f"runs/{task}/fade/RUN"))
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(image).save(folder / "photo.jpg")
    trimap = np.zeros((48, 64), np.uint8)
    trimap[8:40, 8:56], trimap[16:32, 16:48] = 128, 255
    Image.fromarray(trimap).save(folder / "trimap.png")


NEEDS: dict[str, Callable[[Path], None]] = {
    "docs/comparing.md": a_sweep,
    "docs/predicting.md": runs_and_a_photograph,
    "docs/wandb.md": an_offline_run,
}
"""What a page's blocks find in their folder."""


@pytest.mark.parametrize("page", MINE)
def test_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "docs/predicting.md":
        pytest.importorskip("pymatting", reason="cut-outs need pymatting")
    monkeypatch.setattr(registry.UPSAMPLERS, "factories", dict(registry.UPSAMPLERS.factories))
    monkeypatch.chdir(tmp_path)
    NEEDS.get(page, lambda folder: None)(tmp_path)
    names: dict[str, object] = {"__name__": "docs_page"}
    for block in blocks():
        if (block.page, block.language, block.reason) == (page, "python", ""):
            # so that a traceback names the page and its line
            exec(compile("\n" * (block.line - 1) + block.code, block.page, "exec"), names)


@pytest.mark.parametrize("page", [page for page in OF_PYTHON if page in ELSEWHERE])
def test_python_that_another_test_runs(page: str) -> None:
    assert Path(page).name in (ROOT / ELSEWHERE[page]).read_text()


@pytest.mark.parametrize("page", [page for page in OF_PYTHON if page.startswith(INTEGRATIONS)])
def test_python_of_integrations_has_a_test(page: str) -> None:
    texts = [file.read_text() for file in (ROOT / "tests/integrations").glob("test_*.py")]
    named = re.compile(rf"""["']{Path(page).stem}(\.md)?["']""")
    assert any("python\\n" in text and named.search(text) for text in texts)


@pytest.mark.parametrize("block", BASH, ids=str)
def test_commands_compose(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for words in commands(block.code):
        command_lines.check(words)


def test_no_command_stands_in_an_indented_block() -> None:
    assert not unfenced_commands()


def test_yaml_parses() -> None:
    for block in blocks():
        if block.language in ("yaml", "json"):
            assert yaml.safe_load(block.code) is not None, block


def test_every_block_is_of_a_kind_that_is_looked_at() -> None:
    known = {"python", "bash", "yaml", "json", *PLAIN}
    assert not [str(block) for block in blocks() if block.language not in known]
    fences = [line for page in pages() for line in page.read_text().splitlines() if re.match(r"\s*(```|~~~)", line)]
    assert len(fences) == 2 * len(blocks()), "a fence that is indented, or not closed"
    plain = [block for block in blocks() if block.language in PLAIN]
    assert not [str(block) for block in plain if re.search(r"^(>>>|\$) ", block.code, re.MULTILINE)]


@pytest.mark.parametrize("block", UNRUN, ids=str)
def test_what_cannot_be_run_is_listed(block: Block) -> None:
    assert len(block.reason.split()) > 1
    pytest.skip(f"{block}: {block.reason}")


def test_few_blocks_cannot_be_run() -> None:
    assert len(UNRUN) <= MOST_UNRUN * len(blocks()), [str(block) for block in UNRUN]


@pytest.mark.parametrize(
    "command",
    [
        "python -m src.train task=matting upsampler=fad",
        "python -m src.train task=matting upsampler.kernel_sise=3 upsampler=fade",
        "python -m src.train -m upsampler=fade,carrafe",
        "python -m src.train data=camvid",
        "python -m src.train recipe.max_steps=100 seed=-1",
        "python -m src.trane task=matting",
        "python -m src.evaluate",
        "python -m src.report",
        "python -m src.report runs latency=false exampels=1",
        "python -m src.cache all",
        "denseup trayn task=matting",
        "pip install -c constraints.txt -e '.[trian]'",
        "python -m denseup.opps",
        "conda install denseup",
    ],
)
def test_a_wrong_command_is_found(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (words,) = commands(command)
    with pytest.raises((Exception, SystemExit)):
        command_lines.check(words)

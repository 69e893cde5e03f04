"""A clock that is set back changes nothing: no order, no duration and no choice comes from it."""

import ast
import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest
from configuring import tiny_run

import denseup
from denseup.cli import train
from denseup.data.caching import SampleCache
from denseup.engine import RunFolder
from denseup.engine.loggers.wandb_dashboard import offline_runs
from denseup.engine.loggers.wandb_reader import find_runs, note_part
from denseup.engine.state import read_result

SOURCES = Path(denseup.__file__).parent
CLOCKS = {"time.time", "time.time_ns", "time.ctime", "time.strftime", "time.localtime", "datetime.now", "date.today"}
TIMES = {"st_mtime", "st_mtime_ns", "st_ctime", "st_ctime_ns", "st_atime", "getmtime", "getctime"}
SHOWN = {
    "cli/score.py": "the name of a folder, which people choose by it",
    "data/caching/folder.py": "the last use, which people are shown",
    "engine/features.py": "whether files have changed: any other time than before says so",
    "exporting/facts.py": "the date on a model card",
    "reporting/archive.py": "whether a file has changed since it was read",
}
"""Files that ask the clock, or when a file was written, and what for."""


def asked(path: Path) -> set[str]:
    """What a module asks of the clock."""
    text, found = path.read_text(), set[str]()
    if not any(name.rpartition(".")[2] in text for name in CLOCKS | TIMES):  # parsing all takes seconds
        return found
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            found |= {node.attr} & TIMES | {f"{owner}.{node.attr}"} & CLOCKS
    return found


def test_the_clock_is_asked_for_nothing_else() -> None:
    asking = {str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.py") if asked(path)}
    assert asking == set(SHOWN)


def test_a_run_under_a_clock_that_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard, which writes times, is not installed")
    cfg = tiny_run("logger=tensorboard", "trainer.max_steps=2")
    train.run(cfg, RunFolder(tmp_path / "usual"))
    hours = itertools.count()
    now = time.time()
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: now - 3600 * next(hours))
        train.run(cfg, RunFolder(tmp_path / "back"))
        assert next(hours) > 1, "nobody has asked"
    usual, back = (read_result(RunFolder(tmp_path / name)) for name in ("usual", "back"))
    assert back["seconds"] > 0
    assert {**back, "seconds": 0} == {**usual, "seconds": 0}


def test_parts_of_a_wandb_run_stand_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    begun = ["offline-run-20260105_120000-x", "offline-run-20260103_120000-x", "offline-run-20260104_120000-x"]
    for part in [*begun, "offline-run-20260101_120000-other", "offline-run-20260102_120000-x"]:
        folder = tmp_path / "wandb" / part
        folder.mkdir(parents=True)
        (folder / f"run-{part.rpartition('-')[2]}.wandb").touch()
        if part in begun:
            note_part(folder)
    (other, parts) = offline_runs([tmp_path])
    assert [path.name for path in other] == ["offline-run-20260101_120000-other"]
    assert [path.name for path in parts] == ["offline-run-20260102_120000-x", *begun], "earlier versions noted none"
    assert len(find_runs(tmp_path)) == 5


def test_what_is_kept_is_found_whenever_it_was_used(tmp_path: Path) -> None:
    """Times of use are shown, and sort a table: of the future or before 1970, they hide nothing and remove nothing."""
    import torch

    cache = SampleCache(tmp_path, 1e9)
    sample: dict[str, Any] = {"x": torch.zeros(3)}
    for key, used in (("future", 2**33), ("past", -(2**30)), ("now", None)):
        cache.keep(key, {}, [sample], 10)
        if used is not None:
            os.utime(tmp_path / key / "description.json", (used, used))
    assert [entry.key for entry in cache.entries()] == ["future", "now", "past"]
    assert all(cache.find(key) is not None for key in ("future", "past", "now"))
    assert cache.room(10) is None

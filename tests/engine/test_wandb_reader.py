"""Our reader of offline W&B runs and W&B's own, `wandb leet inspect`, read the same; also of a run that was killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import GUARD, wait_for
from wandb_server import clean_environment

from denseup.engine.loggers.wandb_reader import BLOCK, LoggedRun, find_runs, read_records, read_run
from denseup.engine.loggers.wandb_run import wait_until_written

LOG = """
    import sys, time, wandb
    settings = wandb.Settings(console="off", silent=True, x_transaction_log_flush_interval=0.2)
    run = wandb.init(mode="offline", project="p", id="some-id", name="n", group="g", job_type="train", tags=["a", "b"],
                     dir=sys.argv[1], config={"x": 1, "inner": {"y": [1, 2], "z": None}}, settings=settings)
    for step in range(60):
        run.log({"loss": 1 / (step + 1), "text": "ä" * 3000, "nested": {"deep": {"step": step}}})
    run.summary.update({"best/loss": 0.5, "gone": 1})
    del run.summary["gone"]
    run.config.update({"later": True})
"""


def log(folder: Path, ending: str = "", *, until: Callable[[LoggedRun], object]) -> Path:
    """The file of a run that another process logs; it is killed, with W&B's service, once the file holds enough.

    Args:
        folder: of the run.
        ending: what the process does at its end.
        until: whether what is read of the run is enough.
    """
    code = textwrap.dedent(LOG) + ending + f"\ntime.sleep({GUARD})\n"

    def enough() -> bool:
        try:
            (file,) = find_runs(folder)
            return bool(until(read_run(file)))
        except ValueError:  # no file yet, or none of its bytes
            return False

    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            stdout=errors,
            stderr=errors,
            start_new_session=True,
            env=clean_environment(),
        )
    try:
        wait_for(lambda: process.poll() is not None or enough())
        assert process.poll() is None, (folder / "errors").read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=GUARD)
    (file,) = find_runs(folder)
    kept = folder / "kept" / file.name  # the service, which is no child of ours, may be dying for a while yet
    kept.parent.mkdir()
    kept.write_bytes(file.read_bytes())
    return kept


def leet(file: Path, *options: str) -> str:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=GUARD, check=True, env=clean_environment())
    return done.stdout


def flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}: how leet prints records."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def assert_read_alike(file: Path) -> LoggedRun:
    ours = read_run(file)
    theirs = json.loads(leet(file, "--summary"))
    assert ours.config == theirs["config"]
    assert ours.summary == theirs["summary"]
    assert (ours.exit_code, ours.id, ours.name) == (theirs["exit_code"], theirs["run_id"], theirs["name"])
    assert (ours.state, ours.project, ours.tags) == (theirs["state"], theirs["project"], theirs["tags"])
    records = [json.loads(line) for line in leet(file).splitlines()]
    assert [flat(row) for row in ours.history] == [r["history"]["item"] for r in records if r["type"] == "history"]
    described = next(record["run"] for record in records if record["type"] == "run")
    assert (ours.group, ours.job_type) == (described["run_group"], described["job_type"])
    return ours


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return log(tmp_path_factory.mktemp("ended"), "run.finish(exit_code=3)", until=lambda run: run.exit_code)


def test_a_run_that_has_ended(ended: Path) -> None:
    run = assert_read_alike(ended)
    assert ended.stat().st_size > 2 * BLOCK  # records that cross blocks
    assert (run.state, run.exit_code, run.group, run.job_type) == ("failed", 3, "g", "train")
    assert run.config == {"x": 1, "inner": {"y": [1, 2], "z": None}, "later": True}
    assert run.values("loss") == [1 / (step + 1) for step in range(60)]
    assert run.history[7]["nested"] == {"deep": {"step": 7}}
    assert run.summary["best/loss"] == 0.5
    assert "gone" not in run.summary


def test_a_run_that_was_killed(tmp_path: Path) -> None:
    run = assert_read_alike(log(tmp_path, until=lambda run: run.values("loss")))
    assert (run.state, run.exit_code) == ("running", None)
    assert run.config["x"] == 1
    rows = run.values("loss")
    assert rows  # what the service had not written yet is lost; nothing before it
    assert rows == [1 / (step + 1) for step in range(len(rows))]


def test_a_run_that_was_killed_after_its_last_row_was_written(tmp_path: Path) -> None:
    run = assert_read_alike(log(tmp_path, until=lambda run: "best/loss" in run.summary))
    assert (run.state, len(run.values("loss")), run.summary["best/loss"]) == ("running", 60, 0.5)


def test_a_file_cut_off_anywhere_gives_what_stands_before(ended: Path, tmp_path: Path) -> None:
    content, records = ended.read_bytes(), list(read_records(ended))
    for end in (7, 8, 14, 5000, BLOCK - 3, BLOCK, BLOCK + 3, BLOCK + 7, len(content) - 1):
        cut = tmp_path / "run-cut.wandb"
        cut.write_bytes(content[:end])
        kept = list(read_records(cut))
        assert kept == records[: len(kept)], end
        assert len(kept) < len(records), end
    cut.write_bytes(content + bytes(100))  # space that the file system had reserved
    assert list(read_records(cut)) == records


def test_what_is_no_run_is_told(ended: Path, tmp_path: Path) -> None:
    changed = bytearray(ended.read_bytes())
    changed[100] ^= 1
    (tmp_path / "run-a.wandb").write_bytes(changed)
    with pytest.raises(ValueError, match=r"run-a\.wandb: broken at byte \d+: the checksum is wrong"):
        read_run(tmp_path)
    (tmp_path / "run-a.wandb").write_text("text")
    with pytest.raises(ValueError, match="not a W&B run: it starts with b'text'"):
        read_run(tmp_path)
    with pytest.raises(ValueError, match=r"expected run-<id>\.wandb or a folder with one, found 0"):
        read_run(tmp_path / "nowhere")


def test_the_end_of_a_run_is_waited_for(ended: Path, tmp_path: Path) -> None:
    """The client returns before its service has written what it holds: the file is its header until then."""
    content, part = ended.read_bytes(), tmp_path / ended.parent.name
    part.mkdir()
    assert not wait_until_written(part, seconds=GUARD), "no file: a disabled run"
    file = part / ended.name
    file.write_bytes(content[:7])
    assert not wait_until_written(part, seconds=0), "a service that has died"
    later = threading.Timer(0.2, file.write_bytes, [content])
    later.start()
    try:
        assert wait_until_written(part, seconds=GUARD)
    finally:
        later.join()
    assert read_run(part).exit_code is not None

"""A disk of a few megabytes, as the system makes it: a run fills it, says so, and goes on when it has grown."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability.faulty import SMALL, Command

from denseup.engine import RunFolder
from denseup.engine.state import read_result

pytestmark = pytest.mark.slow


def system(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own in memory, of 3 MB: room for these networks, not for all their checkpoints."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None or not system("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)):
        pytest.skip("a disk can't be made here: mount -t tmpfs is not permitted")
    yield place
    assert system("umount", str(place))


def test_a_run_fills_its_disk_and_goes_on_when_it_has_grown(disk: Path, tmp_path: Path) -> None:
    run = RunFolder(disk / "run")
    (disk / "ballast").write_bytes(bytes(1_600_000))
    words = ["-m", "src.train", *SMALL, f"hydra.run.dir={run.path}"]
    first = Command(*words, output=tmp_path / "said")
    assert first.ended() == 1
    assert "Traceback" not in first.said
    assert f"{run.path}" in first.said
    assert "the disk is full (" in first.said
    assert " needed, " in first.said
    assert read_result(run).get("status") != "finished"
    assert system("mount", "-o", "remount,size=50m", str(disk))
    said = first.said.partition("python -m src.train ")[2].splitlines()
    again = ["-m", "src.train", *shlex.split(said[0])] if said else words
    second = Command(*again, output=tmp_path / "again")
    assert second.ended() == 0, second.said
    assert json.loads(run.result.read_text())["status"] == "finished"


def test_a_disk_that_is_mounted_read_only(disk: Path, tmp_path: Path) -> None:
    assert system("mount", "-o", "remount,ro", str(disk))
    command = Command("-m", "src.train", *SMALL, f"hydra.run.dir={disk}/run", output=tmp_path / "said")
    assert command.ended() == 1
    assert f"{disk}/run can't be written: the disk is read-only; choose another folder" in command.said
    assert "Traceback" not in command.said


def test_wandb_on_a_full_disk_ends_no_run(disk: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "wandb").symlink_to(disk)
    (disk / "ballast").write_bytes(bytes(2_900_000))
    words = [word for word in SMALL if not word.startswith("logger=")]
    command = Command("-m", "src.train", *words, "logger=wandb", f"hydra.run.dir={run}", output=tmp_path / "said",
                      environment={"WANDB_MODE": "offline"})  # fmt: skip
    assert command.ended() == 0, command.said
    assert read_result(RunFolder(run))["status"] == "finished"

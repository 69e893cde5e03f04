"""A disk that is full, read-only or broken: the error says what, why and how to go on, and nothing is lost."""

import errno
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from configuring import tiny_run
from data.published_layouts import composition1k
from PIL import Image
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from reliability.faulty import SMALL, Command, as_nobody, files_up_to, read_only
from reporting.synthetic import base_config, run_config, write_run
from torch import Tensor

from denseup import writing
from denseup.cli import build_composition1k, predict, report, train
from denseup.cli.config import RunError, user_errors
from denseup.engine import RunFolder
from denseup.engine.state import plan, read_result
from denseup.exporting.folder import write_folder
from denseup.tasks import MattingTask
from denseup.visualization import save_png
from denseup.writing import WriteError, check_writable, in_units, staged, write_whole, written_whole

CHECKPOINT = 500_000
"""Bytes that the checkpoints of these runs exceed, and no other file does."""

KINDS = {
    errno.ENOSPC: r"the disk is full \(5 bytes needed, .* free\); make room, then give the same command again",
    errno.EDQUOT: r"the user's share of the disk is used up \(5 bytes needed, .* free\); make room",
    errno.EFBIG: r"it would be larger than the system lets a file be \(ulimit -f\) \(5 bytes needed.*make room",
    errno.EROFS: "the disk is read-only; choose another folder, or see to this one",
    errno.EACCES: "permission is denied; choose another folder",
    errno.EIO: "the disk reports an input/output error; choose another folder",
}


def failing(number: int) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", KINDS, ids=[errno.errorcode[number] for number in KINDS])
@pytest.mark.parametrize("call", ["pathlib.Path.write_bytes", "os.fsync", "os.replace"])
def test_an_error_names_file_reason_space_and_way_on(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    monkeypatch.setattr(call, failing(number))
    with pytest.raises(WriteError, match=rf"^{path} can't be written: {KINDS[number]}") as caught:
        write_whole(path, "whole")
    assert caught.value.errno == number
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_itself_refuses(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old")
    with files_up_to(10), pytest.raises(WriteError, match=r"file can't be written: .*11 bytes needed"):
        write_whole(tmp_path / "file", bytes(11))
    with files_up_to(10), pytest.raises(WriteError, match=r"a\.png can't be written"):
        save_png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_what_a_killed_process_leaves_of_a_file_is_none_of_its_kind(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a.png") as temporary:
        temporary.write_bytes(b"half")
        assert [*tmp_path.glob("*.png")] == []
    assert [*tmp_path.glob("*")] == [tmp_path / "a.png"]


def test_a_folder_is_tried_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="a part of the path is a file"):
        check_writable(tmp_path / "file" / "x")
    with files_up_to(10), pytest.raises(WriteError, match="new can't be written"):
        check_writable(tmp_path / "new")
    monkeypatch.setattr(writing, "free_space", lambda path: 2_000_000)
    with pytest.raises(WriteError, match=r"the disk is full \(3\.00 MB needed, 2\.00 MB free\)"):
        check_writable(tmp_path / "new", 3_000_000)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.00 kB"), (2.5e9, "2.50 GB"), (1e16, "10000.00 TB")],
)
def test_bytes_as_people_say_them(size: float, text: str) -> None:
    assert in_units(size) == text


def _write_and_fail(folder: Path) -> None:
    with staged(folder) as stage:
        write_whole(stage / "plots" / "a", b"newest")
        with files_up_to(3):
            write_whole(stage / "page", b"newest")


def test_files_that_belong_together_change_together(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("of somebody else")
    for content in (b"old", b"new"):
        with staged(tmp_path, last="page") as stage:
            write_whole(stage / "page", content)
            write_whole(stage / "plots" / "a", content)
    with pytest.raises(WriteError, match=rf"^{tmp_path}/page can't be written"):
        _write_and_fail(tmp_path)
    left = {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert left == {"own.txt": b"of somebody else", "page": b"new", "plots/a": b"new"}


def run(folder: RunFolder, *overrides: str) -> None:
    cfg = tiny_run(*overrides)
    with user_errors(folder, cfg):
        train.run(cfg, folder)


@pytest.fixture(scope="module")
def ended_by_a_full_disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    """A run whose disk was full at its second evaluation, and what it said; its picture of the first one is left."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    loss = MattingTask.loss

    def filling(self: MattingTask, batch: dict[str, Any]) -> Tensor:
        if self.global_step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (CHECKPOINT, before[1]))
        return loss(self, batch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(MattingTask, "loss", filling)
        try:
            with pytest.raises(RunError) as caught:
                run(folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return folder, str(caught.value)


def test_a_checkpoint_that_finds_no_room_is_named_and_the_old_one_stays(
    ended_by_a_full_disk: tuple[RunFolder, str],
) -> None:
    folder, said = ended_by_a_full_disk
    assert f"{folder.checkpoints}/" in said
    assert "can't be written: " in said
    assert "kB needed, " in said
    assert "make room" in said
    assert f"this command goes on from {folder.checkpoints / 'last.ckpt'}: python " in said
    assert read_result(folder)["status"] == "killed"
    kept = torch.load(folder.checkpoints / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 2


def test_the_same_command_goes_on_when_there_is_room(ended_by_a_full_disk: tuple[RunFolder, str]) -> None:
    folder, _ = ended_by_a_full_disk
    config = json.loads(json.dumps(tiny_run_config()))
    assert plan(folder, config) == ("resume", folder.checkpoints / "last.ckpt")
    run(folder, f"resume={folder.checkpoints / 'last.ckpt'}")
    result = read_result(folder)
    assert (result["status"], result["steps"]) == ("finished", 4)


def tiny_run_config() -> dict[str, Any]:
    from denseup.cli.config import run_info

    return run_info(tiny_run()).config


def test_room_for_checkpoints_is_asked_for_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "free_space", lambda path: 100_000)
    with pytest.raises(
        RunError, match=r"checkpoints can't be written: the disk is full \(.* needed, 100\.00 kB free\)"
    ):
        run(RunFolder(tmp_path))
    assert not list((tmp_path / "checkpoints").iterdir())
    assert not (tmp_path / "metrics.csv").exists()


def test_metrics_that_find_no_room_end_the_run_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExperimentWriter, "save", failing(errno.ENOSPC))
    with pytest.raises(RunError, match=r"metrics\.csv can't be written: the disk is full"):
        run(RunFolder(tmp_path))
    assert read_result(RunFolder(tmp_path))["status"] == "killed"


def test_an_error_on_a_full_disk_is_the_one_that_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of writing it down."""
    monkeypatch.setattr("pathlib.Path.write_bytes", failing(errno.ENOSPC))
    with pytest.raises(RunError, match="width is odd") as caught, user_errors(RunFolder(tmp_path)):
        raise ValueError("width is odd")
    assert "traceback" not in str(caught.value)


def test_predictions_stop_at_once(
    ended_by_a_full_disk: tuple[RunFolder, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    best = ended_by_a_full_disk[0].checkpoints / "best.ckpt"
    for name in ("a", "b"):
        save_png(tmp_path / "in" / f"{name}.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
        save_png(tmp_path / "trimaps" / f"{name}.png", np.full((64, 64, 3), 128, np.uint8))
    words = [f"ckpt={best}", f"input={tmp_path}/in", f"trimap={tmp_path}/trimaps", f"output={tmp_path}/out"]
    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "save", failing(errno.ENOSPC))
        assert predict.main([*words, "files=[alpha]"]) == 1
    said = capsys.readouterr().err
    assert "a_alpha.png can't be written: the disk is full" in said
    assert "b_alpha.png" not in said
    assert list((tmp_path / "out").iterdir()) == []
    assert predict.main([*words, "files=[alpha]"]) == 0


def test_a_data_set_that_is_built_stops_at_once_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    composition1k(tmp_path)
    words = [f"root='{tmp_path}'", f"backgrounds='{tmp_path}/JPEGImages'", "num_workers=0"]
    with files_up_to(100):
        assert build_composition1k.main(words) == 1
    said = capsys.readouterr().err
    assert said.count("can't be written") == 1
    assert list((tmp_path / "Test_set" / "merged").iterdir()) == []
    assert build_composition1k.main(words) == 0
    assert len(list((tmp_path / "Test_set" / "merged").iterdir())) == 4


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by its path, but for locks."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_an_old_report_and_archive_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = base_config("matting")
    write_run(tmp_path, run_config(config, "bilinear", 0))
    words = [str(tmp_path), "latency=false", "examples=0", f"archive={tmp_path}/runs.tar.xz", f"output={tmp_path}/page"]
    assert report.main(words) == 0
    before, archive = contents(tmp_path / "page"), (tmp_path / "runs.tar.xz").read_bytes()
    write_run(tmp_path, run_config(config, "fade", 0))
    for limit, words_of in ((20_000, "matting_accuracy_cost.svg"), (1000, "runs.tar.xz")):
        with files_up_to(limit):
            assert report.main(words) == 1
        assert f"{words_of} can't be written" in capsys.readouterr().err
        assert contents(tmp_path / "page") == before
    assert len((tmp_path / "runs.tar.xz").read_bytes()) >= len(archive)
    assert report.main(words) == 0
    assert contents(tmp_path / "page") != before


def test_an_old_export_stays(tmp_path: Path) -> None:
    facts = {"config": base_config("matting"), "task": "matting"}
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "README.md").write_text("old card")
    (folder / "model.safetensors").write_bytes(b"old weights")
    with files_up_to(5000), pytest.raises(WriteError, match=r"model\.safetensors can't be written"):
        write_folder({"x": torch.zeros(10_000)}, facts, folder)  # type: ignore[arg-type]
    assert contents(folder) == {"README.md": b"old card", "model.safetensors": b"old weights"}


def test_a_read_only_folder_is_found_before_anything_is_computed(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    with read_only(runs):
        command = Command(
            "-m", "src.train", *SMALL, f"hydra.run.dir={runs}/one", output=tmp_path / "said", before=as_nobody
        )
        assert command.ended() == 1
    assert f"{runs}/one can't be written: permission is denied; choose another folder" in command.said
    assert "Traceback" not in command.said
    assert list(runs.iterdir()) == []

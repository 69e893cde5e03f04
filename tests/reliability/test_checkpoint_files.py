"""A checkpoint's file is written whole or not at all, tells when its bytes have changed, and leaves those before it."""

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from denseup.engine import checkpoint_files
from denseup.engine.checkpoint_files import DamagedError, NothingWholeError, check_bytes, kept, newest_whole
from denseup.engine.checkpoint_files import write_checkpoint as write

FORMER = Path(__file__).parent.parent / "reference/former_runs"


def content(step: int) -> dict[str, Any]:
    return {"step": step, "weights": torch.arange(20.0) + step}


def step_of(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["step"])


def written(folder: Path, number: int, keep: int = 2) -> Path:
    """last.ckpt after so many were written."""
    for step in range(number):
        write(content(step), folder / "last.ckpt", keep)
    return folder / "last.ckpt"


def flipped(path: Path, place: int) -> None:
    whole = bytearray(path.read_bytes())
    whole[place] ^= 1 << place % 8
    path.write_bytes(whole)


def test_every_program_reads_it_as_ever(tmp_path: Path) -> None:
    path = written(tmp_path, 1)
    check_bytes(path)
    assert torch.equal(torch.load(path, weights_only=True)["weights"], content(0)["weights"])
    assert torch.equal(torch.load(path, weights_only=True, mmap=True)["weights"], content(0)["weights"])
    with zipfile.ZipFile(path) as archive:
        assert re.fullmatch(rb"denseup sha256 [0-9a-f]{64}", archive.comment)
        assert archive.testzip() is None


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    """In some bytes of each part of the archive, and in every one of its checksum."""
    path = written(tmp_path, 1)
    whole = path.read_bytes()
    missed = []
    for place in (*range(0, len(whole) - 110, 11), *range(len(whole) - 110, len(whole))):
        path.write_bytes(whole)
        flipped(path, place)
        try:
            check_bytes(path)
            missed.append(place)
        except DamagedError:
            pass
    assert missed == []


def test_a_file_cut_off_anywhere_is_found(tmp_path: Path) -> None:
    whole = written(tmp_path, 1).read_bytes()
    path = tmp_path / "cut.ckpt"
    for length in range(0, len(whole), 53):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            check_bytes(path)
    for length in range(len(whole) - 120, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            check_bytes(path)


def test_files_of_earlier_versions_have_the_checksums_of_their_archive(tmp_path: Path) -> None:
    found = sorted(FORMER.rglob("*.ckpt"))
    assert found
    for path in found:
        check_bytes(path)
    path = tmp_path / "former.ckpt"
    torch.save(content(0), path)
    check_bytes(path)
    with zipfile.ZipFile(path) as archive:
        data = next(part for part in archive.infolist() if part.filename.endswith("data/0"))
        place = path.read_bytes().index(content(0)["weights"].numpy().tobytes())
    for byte in range(place, place + data.file_size, 5):
        torch.save(content(0), path)
        flipped(path, byte)
        with pytest.raises(DamagedError, match=r"part former/data/0 .*CRC-32"):
            check_bytes(path)


@pytest.mark.parametrize(("keep", "left"), [(1, [6]), (2, [6, 5]), (4, [6, 5, 4, 3]), (9, [6, 5, 4, 3, 2, 1, 0])])
def test_the_last_few_are_kept(keep: int, left: list[int], tmp_path: Path) -> None:
    write(content(9), tmp_path / "best.ckpt", keep)
    written(tmp_path, 7, keep)
    assert [step_of(path) for path in kept(tmp_path)] == left
    assert len(list(tmp_path.iterdir())) == len(left) + 1


def test_fewer_are_kept_once_fewer_are_asked_for(tmp_path: Path) -> None:
    written(tmp_path, 5, keep=4)
    write(content(5), tmp_path / "last.ckpt", keep=2)
    assert [step_of(path) for path in kept(tmp_path)] == [5, 4]


def test_the_newest_whole_one_is_found_and_the_others_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, 3, keep=3)
    assert newest_whole(path) == (path, [])
    flipped(path, 100)
    (tmp_path / "last-1.ckpt").write_bytes(b"")
    found, problems = newest_whole(path)
    assert step_of(found) == 0
    assert [problem.split(": ")[0] for problem in problems] == [str(path), str(tmp_path / "last-1.ckpt")]
    assert "SHA-256" in problems[0]
    assert "it is empty" in problems[1]
    path.unlink()
    assert newest_whole(path)[0] == found


def test_without_a_whole_one_nothing_is_done(tmp_path: Path) -> None:
    path = written(tmp_path / "checkpoints", 2)
    before = {file.name for file in path.parent.iterdir()}
    for file in kept(path.parent):
        file.write_text("text")
    words = r"none of the checkpoints of .* is whole: .*last\.ckpt: .*; .*last-1\.ckpt: .* To start the run anew"
    with pytest.raises(NothingWholeError, match=words):
        newest_whole(path)
    assert {file.name for file in path.parent.iterdir()} == before


def test_other_files_are_taken_as_they_are(tmp_path: Path) -> None:
    written(tmp_path, 2)
    for name in ("best.ckpt", "last-x.ckpt", "nothing.ckpt"):
        (tmp_path / name).write_text("text")
        assert newest_whole(tmp_path / name) == (tmp_path / name, [])
    assert newest_whole(tmp_path / "elsewhere" / "last.ckpt") == (tmp_path / "elsewhere" / "last.ckpt", [])


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_what_fails_while_it_is_written_changes_nothing(name: str, tmp_path: Path, monkeypatch) -> None:
    for step in range(3):
        write(content(step), tmp_path / name, keep=3)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(self: Any, data: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_files._Hashing, "write", full)
    with pytest.raises(OSError, match="No space left on device"):
        write(content(3), tmp_path / name, keep=3)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_call_ends(tmp_path: Path, monkeypatch) -> None:
    """The order of system calls that a power failure can't undo: fsync of the file, rename, fsync of the folder."""
    done = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        done.append(f"fsync {os.path.basename(os.readlink(f'/proc/self/fd/{handle}'))}")
        real_sync(handle)

    def replace(source: Path, target: Path) -> None:
        done.append(f"{Path(source).name} -> {Path(target).name}")
        real_replace(source, target)

    written(tmp_path, 1)
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    written(tmp_path, 1)
    assert done == [
        "fsync .last.ckpt.tmp",
        ".last-1.ckpt.tmp -> last-1.ckpt",
        ".last.ckpt.tmp -> last.ckpt",
        f"fsync {tmp_path.name}",
    ]


def test_where_no_file_has_two_names_each_is_moved(tmp_path: Path, monkeypatch) -> None:
    def no_links(*_: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    written(tmp_path, 4, keep=3)
    assert [step_of(path) for path in kept(tmp_path)] == [3, 2, 1]


def test_last_is_there_at_any_moment(tmp_path: Path, monkeypatch) -> None:
    """Whatever is renamed or removed next, there is a whole last.ckpt; one that was left half written is no matter."""
    path = written(tmp_path, 3, keep=3)
    (tmp_path / ".last.ckpt.tmp").write_text("half")
    seen = []

    def looking(call: Any) -> Any:
        def looked(*args: Any, **kwargs: Any) -> Any:
            check_bytes(path)
            seen.append(step_of(path))
            return call(*args, **kwargs)

        return looked

    for name in ("replace", "link", "unlink"):
        monkeypatch.setattr(os, name, looking(getattr(os, name)))
    write(content(3), path, 3)
    assert seen
    assert set(seen) == {2}
    assert [step_of(file) for file in kept(tmp_path)] == [3, 2, 1]

"""Kept samples come back to the bit, whole or not at all, whoever writes at the same time."""

import errno
import json
import multiprocessing
import os
import pickle
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from denseup.data.caching import CacheError, SampleCache, SampleStore, cache_folder, write_store
from denseup.data.caching import folder as caching
from denseup.data.caching.store import SAMPLES, sample_bytes


def samples(number: int = 3) -> Iterator[dict[str, Any]]:
    for i in range(number):
        random = torch.Generator().manual_seed(i)
        height, width = 5 + i % 2, 7
        image = torch.randint(0, 256, (3, height, width), generator=random, dtype=torch.uint8)
        yield {
            "image": image.float().div_(255),
            "foreground": torch.rand(3, height, width, generator=random),
            "label": torch.randint(0, 256, (height, width), generator=random),
            "far": torch.randint(-9, 999, (2,), generator=random),
            "trimap": image[:1],
            "name": f"sample {i}",
            "maps": [torch.randn(c, height, width, generator=random) for c in (4, 9)],
        }


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def same(a: Any, b: Any) -> bool:
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return a.dtype == b.dtype and torch.equal(a, b) if isinstance(a, torch.Tensor) else bool(a == b)

    return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)


def test_samples_come_back_to_the_bit(tmp_path: Path) -> None:
    write_store(tmp_path, samples())
    store = pickle.loads(pickle.dumps(SampleStore(tmp_path)))  # as a worker gets it
    assert len(store) == 3
    for i, sample in enumerate(samples()):
        assert equal(store[i], sample)
        assert equal(store[(7, i)], sample), "every epoch has the same"
    assert store[0]["maps"][0].permute(1, 2, 0).is_contiguous(), "maps are kept channels last"
    store[0]["image"].zero_()
    assert equal(store[0], next(samples())), "what is given out is a copy"


def test_bytes_in_disguise_take_a_byte(tmp_path: Path) -> None:
    write_store(tmp_path, samples(1))
    values = 5 * 7 * (3 + 3 * 4 + 1 + 1 + 13 * 4) + 2 * 8
    (size,) = {(tmp_path / SAMPLES).stat().st_size, sample_bytes(next(samples()))}
    assert values <= size < values + 64


def test_an_entry_is_whole_or_not_there(tmp_path: Path) -> None:
    cache = SampleCache(tmp_path, 1e9)
    assert cache.find("key") is None
    assert equal(cache.keep("key", {"of": "these"}, samples(), 10)[0], next(samples()))
    assert [(entry.key, entry.whole, entry.description) for entry in cache.entries()] == [
        ("key", True, {"of": "these"})
    ]
    with (tmp_path / "key" / SAMPLES).open("r+b") as file:
        file.truncate(100)
    assert cache.find("key") is None
    assert not cache.entries()[0].whole
    (tmp_path / "key" / "index.json").write_text("{")
    assert cache.find("key") is None
    assert len(cache.keep("key", {}, samples(), 10)) == 3, "written anew over what was broken"


@pytest.mark.parametrize(
    "fault", [ValueError("a file is broken"), FileNotFoundError(errno.ENOENT, "No such file", "picture.png")]
)
def test_what_fails_leaves_nothing_behind(tmp_path: Path, fault: Exception) -> None:
    """A file that can't be read is told as what it is: no fault of the cache's folder."""

    def broken() -> Iterator[dict[str, Any]]:
        yield from samples(1)
        raise fault

    cache = SampleCache(tmp_path, 1e9)
    with pytest.raises(type(fault)) as told:
        cache.keep("key", {}, broken(), 10)
    assert told.value is fault
    assert cache.find("key") is None
    assert cache.entries() == []


def test_a_killed_process_leaves_a_part_that_nobody_takes(tmp_path: Path) -> None:
    (tmp_path / "key.partial").mkdir()
    write_store(tmp_path / "key.partial", samples(1))
    cache = SampleCache(tmp_path, 1e9)
    assert cache.find("key") is None
    assert [entry.whole for entry in cache.entries()] == [False]
    assert len(cache.keep("key", {}, samples(), 10)) == 3
    assert [entry.key for entry in cache.entries()] == ["key"]


def test_a_full_disk_is_an_error_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SampleCache(tmp_path, 1e12)
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patched:
        patched.setattr(caching.shutil, "disk_usage", lambda path: usage(100, 99, 1))
        with pytest.raises(
            CacheError, match=r"the disk is full \(1\.00 kB needed, 1 bytes free\).*cache\.folder=.*limit_gb=0"
        ):
            cache.keep("key", {}, samples(), 1000)
    monkeypatch.setattr(caching, "write_store", lambda *args: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
    with pytest.raises(CacheError, match=r"the disk is full \(10 bytes needed, .* free\)"):
        cache.keep("key", {}, samples(), 10)
    assert cache.entries() == []


def test_a_folder_that_cannot_be_written_to_is_an_error_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CacheError, match=r"features can't be kept: .*: a file is in its place"),
        SampleCache(tmp_path / "file", 1).filling("key"),
    ):
        pass


def test_the_limit_is_of_all_entries_together(tmp_path: Path) -> None:
    cache = SampleCache(tmp_path, 3000)
    assert cache.room(2900) is None
    cache.keep("key", {}, samples(1), 10)
    assert "are more than the limit" in str(cache.room(2900))


def test_clearing(tmp_path: Path) -> None:
    cache = SampleCache(tmp_path, 1e9)
    for key in ("a", "b", "c"):
        cache.keep(key, {}, samples(1), 10)
    store = cache.find("a")
    assert store is not None
    store[0]
    assert [entry.key for entry in cache.clear(["a"])] == ["a"]
    assert equal(store[0], next(samples())), "who reads it goes on reading"
    with pytest.raises(ValueError, match="no entry 'x'; there are: "):
        cache.clear(["x"])
    with cache.filling("b"):
        assert [entry.key for entry in cache.clear()] == ["c"], "what is being written stays"
    assert [entry.key for entry in cache.clear()] == ["b"]
    assert SampleCache(tmp_path / "nowhere", 1).clear() == []


def test_clearing_touches_nothing_but_entries(tmp_path: Path) -> None:
    """`cache.folder` may name any folder."""
    for name in ("thesis", ".ssh", "download.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("x")
    (tmp_path / "empty").mkdir()
    cache = SampleCache(tmp_path, 1e9)
    cache.keep("key", {}, samples(1), 10)
    (tmp_path / "left.partial").mkdir()
    assert {entry.key for entry in cache.clear()} == {"key", "left.partial"}
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "thesis",
        ".ssh",
        "download.partial",
        "empty",
    }
    assert (tmp_path / "thesis/mine").read_text() == "x"


def test_what_is_cleared_can_be_read_by_whoever_has_it(tmp_path: Path) -> None:
    """The one who wrote it too, before the first sample is asked for."""
    cache = SampleCache(tmp_path, 1e9)
    store = cache.keep("key", {}, samples(), 10)
    cache.clear()
    assert equal(store[1], list(samples())[1])


def test_an_entry_that_can_only_be_read_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SampleCache(tmp_path, 1e9)
    cache.keep("key", {}, samples(), 10)
    monkeypatch.setattr(caching.os, "utime", lambda *args: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))
    store = cache.find("key")
    assert store is not None
    assert equal(store[0], next(samples()))
    monkeypatch.setattr(caching.shutil, "rmtree", lambda *args, **options: None)
    with pytest.raises(CacheError, match=r"key can't be removed: permission is denied"):
        cache.clear()


def test_what_is_about_to_be_replaced_takes_no_room(tmp_path: Path) -> None:
    cache = SampleCache(tmp_path, 3000)
    cache.keep("key", {}, samples(1), 10)
    (tmp_path / "key").rename(tmp_path / "key.partial")
    assert "are more than the limit" in str(cache.room(2900, "other"))
    assert cache.room(2900, "key") is None


@pytest.mark.parametrize("text", ["[]", "null", "3", "{"])
def test_a_description_that_is_none(tmp_path: Path, text: str) -> None:
    cache = SampleCache(tmp_path, 1e9)
    cache.keep("key", {}, samples(1), 10)
    (tmp_path / "key/description.json").write_text(text)
    (entry,) = cache.entries()
    assert (entry.whole, entry.description) == (False, {})
    assert entry.bytes > 0


def _fill(folder: Path, waits: Any, times: Any) -> None:
    cache = SampleCache(folder, 1e9)
    with cache.filling("key", waits.set):
        if cache.find("key") is None:
            times.put(os.getpid())
            waits.wait(20)  # until the other one has to
            cache.keep("key", {}, samples(), 10)
    assert len(SampleCache(folder, 1e9).find("key") or ()) == 3


def test_two_processes_fill_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    waits, times = context.Event(), context.Queue()
    processes = [context.Process(target=_fill, args=(tmp_path, waits, times)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    times.get()
    assert times.empty(), "the second one found what the first had written"


def test_the_last_use_is_known(tmp_path: Path) -> None:
    cache = SampleCache(tmp_path, 1e9)
    cache.keep("key", {}, samples(1), 10)
    os.utime(tmp_path / "key" / "description.json", (1, 1))
    cache.find("key")
    assert cache.entries()[0].used > 1
    assert json.loads((tmp_path / "key" / "description.json").read_text()) == {}


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("DENSEUP_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "denseup"
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/denseup")
    monkeypatch.setenv("DENSEUP_CACHE", "/mine")
    assert cache_folder() == Path("/mine")
    assert cache_folder("/named") == Path("/named")

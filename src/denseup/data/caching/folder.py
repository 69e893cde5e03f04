"""The folder of kept samples: one entry a key, whole or not there at all, shared by all processes of a machine."""

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denseup.data.caching.store import INDEX, SAMPLES, SampleStore, write_store
from denseup.data.datasets.sampling import Sample
from denseup.faults import MachineError
from denseup.locking import locked
from denseup.writing import FULL, write_error

DESCRIPTION, PARTIAL = "description.json", ".partial"


class CacheError(MachineError, ValueError):
    """Samples could not be kept, or not removed; the message says why and what can be done."""


@dataclass(frozen=True)
class Entry:
    """What the cache holds under a key.

    Attributes:
        key: its folder's name.
        bytes: on disk.
        description: what the samples are of; {} for an entry that is not whole.
        whole: False for what a process has left behind that was killed while it wrote, or is writing now.
        used: time of the last use, in seconds since 1970.
    """

    key: str
    bytes: int
    description: Mapping[str, Any]
    whole: bool
    used: float


def cache_folder(named: str | None = None) -> Path:
    """The folder that is named, else `$DENSEUP_CACHE`, else `denseup` in the user's folder of caches."""
    own = named or os.environ.get("DENSEUP_CACHE")
    folder = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "denseup"
    return folder.expanduser()


class SampleCache:
    """Entries in a folder, each in one of its own that appears when it is whole.

    Args:
        folder: made when something is kept.
        limit: bytes of all entries together.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder, self.limit = folder, limit

    def find(self, key: str) -> SampleStore | None:
        """The samples of a key; None where there are none, or none that are whole."""
        path = self.folder / key
        try:
            store = SampleStore(path)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        with suppress(OSError):  # of another user, or on a disk that can only be read
            os.utime(path / DESCRIPTION)
        return store

    def entries(self) -> list[Entry]:
        """All, those used last first; other folders that lie there are none."""
        found = [self._entry(path) for path in self.folder.glob("*") if _is_ours(path)]
        return sorted(found, key=lambda entry: -entry.used)

    def room(self, size: int, key: str = "") -> str | None:
        """Why `size` bytes find no room beside the entries of other keys, as the end of a sentence; None: they do."""
        held = sum(entry.bytes for entry in self.entries() if entry.key.removesuffix(PARTIAL) != key)
        if held + size > self.limit:
            return f"{_gb(size)} with the {_gb(held)} in {self.folder} are more than the limit of {_gb(self.limit)}"
        return None

    def keep(self, key: str, description: Mapping[str, Any], samples: Iterable[Sample], size: int) -> SampleStore:
        """Write an entry of about `size` bytes; the caller holds `filling(key)`.

        Raises:
            CacheError: the disk has no room for it, or the folder can't be written to. Nothing is left behind.
        """
        partial = self.folder / f"{key}{PARTIAL}"
        self.remove(key)
        try:
            partial.mkdir(parents=True)
            free = shutil.disk_usage(partial).free
            if free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write_store(partial, _made(samples))
            (partial / DESCRIPTION).write_text(json.dumps(description, indent=2, default=str) + "\n")
            partial.rename(self.folder / key)
        except _NotMadeError as error:
            raise error.why from None
        except OSError as error:
            raise CacheError(_explained(error, self.folder, size)) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return SampleStore(self.folder / key)

    def remove(self, key: str) -> None:
        """Remove an entry, and what a killed process has left of it; whoever reads it may go on doing so."""
        for path in (self.folder / key, self.folder / f"{key}{PARTIAL}"):
            shutil.rmtree(path, ignore_errors=True)

    def clear(self, keys: Iterable[str] | None = None) -> list[Entry]:
        """Remove entries, all unless some are named; those that are being written stay. What was removed.

        Raises:
            ValueError: a key that there is not.
            CacheError: an entry that can't be removed.
        """
        there = {entry.key: entry for entry in self.entries()}
        wanted = list(there) if keys is None else list(keys)
        for key in wanted:
            if key not in there:
                raise ValueError(f"{self.folder} has no entry {key!r}; there are: {', '.join(there) or 'none'}")
        removed = []
        for key in wanted:
            with locked(self._lock(key.removesuffix(PARTIAL)), wait=False) as mine:
                if mine:
                    self.remove(key.removesuffix(PARTIAL))
                    if (self.folder / key).exists():
                        raise CacheError(f"{self.folder / key} can't be removed: permission is denied")
                    removed.append(there[key])
        return removed

    @contextmanager
    def filling(self, key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a key, so that one process fills it and the others wait; `waiting` is called by one that has to.

        Raises:
            CacheError: the folder can't be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = self._lock(key)
            lock.touch()
        except OSError as error:
            raise CacheError(_explained(error, self.folder)) from error
        with locked(lock, wait=False) as mine:
            if mine:
                yield
                return
        waiting()
        with locked(lock, wait=True):
            yield

    def _lock(self, key: str) -> Path:
        return self.folder / f".{key}.lock"

    def _entry(self, path: Path) -> Entry:
        size, file = 0, path / DESCRIPTION
        try:
            size = sum((path / name).stat().st_size for name in os.listdir(path))
            description = json.loads(file.read_text())
            whole = self._is_whole(path) and isinstance(description, dict)
            used = file.stat().st_mtime
        except (OSError, ValueError):  # another process may be removing it
            description, whole, used = {}, False, time.time()
        return Entry(path.name, size, description if whole else {}, whole, used)

    @staticmethod
    def _is_whole(path: Path) -> bool:
        try:
            SampleStore(path)
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return not path.name.endswith(PARTIAL)


class _NotMadeError(Exception):
    """A sample could not be read, which is no fault of the cache."""

    def __init__(self, why: OSError) -> None:
        self.why = why


def _made(samples: Iterable[Sample]) -> Iterator[Sample]:
    try:
        yield from samples
    except OSError as error:
        raise _NotMadeError(error) from error


def _is_ours(path: Path) -> bool:
    """Whether a folder holds nothing but what an entry does: whatever else lies there is not to be removed."""
    try:
        names = set(os.listdir(path))
    except OSError:  # no folder, or gone meanwhile
        return False
    return names <= {SAMPLES, INDEX, DESCRIPTION} and (bool(names) or path.name.endswith(PARTIAL))


def _explained(error: OSError, folder: Path, size: int | None = None) -> str:
    why = write_error(error, folder, size)
    room = "; python -m src.cache clear=all makes room" if error.errno in FULL else ""
    return f"features can't be kept: {why}{room}; cache.folder=… keeps them elsewhere, cache.limit_gb=0 trains without"


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB"

"""Reader of the files that a W&B run writes while it is offline, run-<id>.wandb: no login, no network, no upload.

The format is the log of LevelDB (https://github.com/google/leveldb/blob/main/doc/log_format.md) with a header of W&B's:

    file    = header block*
    header  = ":W&B" magic:u16 = 0xBEE1 version:u8 = 0             7 bytes, which belong to the first block
    block   = chunk* zeros                                         32 KiB; fewer than 7 bytes left over are zeros
    chunk   = crc32:u32 length:u16 type:u8 data[length]            little endian; CRC-32 (IEEE) of type and data
    type    = 1 a whole record, or the 2 first, 3 middle, 4 last part of one

A record is a protocol buffer, `Record` of W&B's wandb_internal.proto; its values are JSON texts under (nested) keys. A
process that is killed leaves the last record cut off, or none of it: what stands before is read, `exit_code` tells.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK = 32 * 1024
CHUNK = struct.Struct("<IHB")
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4
ORDER = ".order"
"""File in wandb/ with the names of its folders, in the order in which they were begun."""


@dataclass
class LoggedRun:
    """What a W&B run has logged."""

    id: str = ""
    project: str = ""
    entity: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    """A row for every call of `run.log`, with _step, _runtime and _timestamp."""
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    """None for a run that has not ended: it was killed, or goes on."""
    files: list[str] = field(default_factory=list)
    """Paths below files/ in the run's folder: pictures and tables."""

    @property
    def state(self) -> str:
        """ "finished", "failed", or "running" for a run that has not ended."""
        if self.exit_code is None:
            return "running"
        return "finished" if self.exit_code == 0 else "failed"

    def values(self, key: str) -> list[Any]:
        """What the history holds under a key, in order."""
        return [row[key] for row in self.history if key in row]


def find_runs(root: str | Path) -> list[Path]:
    """Every run-<id>.wandb below a folder, oldest first as their names say.

    The parts of a run that was resumed are in the order in which they began (`note_part`), whatever the clock said.
    """
    found = sorted(Path(root).rglob("run-*.wandb"), key=lambda file: file.parent.name)
    parts: dict[tuple[Path, str], list[Path]] = {}
    for file in found:
        parts.setdefault((file.parent.parent, file.stem), []).append(file)
    ordered = {key: iter(_in_order(key[0], files)) for key, files in parts.items()}
    return [next(ordered[file.parent.parent, file.stem]) for file in found]


def note_part(part: Path) -> None:
    """Note that a part of a run begins now, by its folder in wandb/: names have the time, and clocks are set back."""
    with (part.parent / ORDER).open("a") as file:
        file.write(f"{part.name}\n")


def _in_order(folder: Path, files: list[Path]) -> list[Path]:
    """Those that are not noted were there before the others: an earlier version wrote them."""
    noted = (folder / ORDER).read_text().splitlines() if (folder / ORDER).is_file() else []
    places = {name: place for place, name in enumerate(noted)}
    return sorted(files, key=lambda file: (places.get(file.parent.name, -1), file.parent.name))


def read_run(path: str | Path) -> LoggedRun:
    """Read an offline run.

    Args:
        path: of run-<id>.wandb, or of the folder that holds it.

    Raises:
        ValueError: there is no such file, it is not one of W&B's, or its bytes were changed.
    """
    file = _run_file(Path(path))
    run = LoggedRun()
    for data in read_records(file):
        _add(run, data)
    run.config.pop("_wandb", None)  # what the client notes down for itself
    run.summary.pop("_wandb", None)
    return run


def has_ended(path: str | Path) -> bool:
    """Whether the log of an offline run, a file or the folder that holds it, has the run's end; ValueError as above."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # made at import

    return any(Record.FromString(data).HasField("exit") for data in read_records(_run_file(Path(path))))


def read_records(file: Path) -> Iterator[bytes]:
    """The records of a log, as bytes; a last one that was cut off is left out."""
    content = file.read_bytes()
    if content[: len(HEADER)] != HEADER:
        raise ValueError(f"{file}: not a W&B run: it starts with {content[:7]!r}, expected {HEADER!r}")
    record = b""
    for kind, data in _chunks(file, content):
        record = data if kind in (WHOLE, FIRST) else record + data
        if kind in (WHOLE, LAST):
            yield record


def _chunks(file: Path, content: bytes) -> Iterator[tuple[int, bytes]]:
    position = len(HEADER)
    while True:
        room = BLOCK - position % BLOCK
        if room < CHUNK.size:
            position += room
        if position + CHUNK.size > len(content):
            return
        checksum, length, kind = CHUNK.unpack_from(content, position)
        data = content[position + CHUNK.size : position + CHUNK.size + length]
        if kind == 0 or len(data) < length:  # reserved but not yet written, or cut off
            return
        if zlib.crc32(bytes([kind]) + data) != checksum:
            raise ValueError(f"{file}: broken at byte {position}: the checksum is wrong")
        yield kind, data
        position += CHUNK.size + length


def _run_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("run-*.wandb"))
    if len(found) != 1:
        raise ValueError(f"{path}: expected run-<id>.wandb or a folder with one, found {len(found)} of them")
    return found[0]


def _add(run: LoggedRun, data: bytes) -> None:
    """Let a run be what one more record makes of it."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # made at import

    record = Record()
    record.ParseFromString(data)
    match record.WhichOneof("record_type"):
        case "run":
            _add_description(run, record.run)
        case "config":
            _update(run.config, record.config.update)
        case "history":
            row: dict[str, Any] = {}
            _update(row, record.history.item)
            run.history.append(row)
            _update(run.summary, record.history.item)  # which W&B writes down only now and then, so not if it is killed
        case "summary":
            _update(run.summary, record.summary.update)
            _remove(run.summary, record.summary.remove)
        case "files":
            run.files += [entry.path for entry in record.files.files]
        case "exit":
            run.exit_code = record.exit.exit_code


def _add_description(run: LoggedRun, record: Any) -> None:
    run.id, run.project, run.entity = record.run_id, record.project, record.entity
    run.group, run.job_type, run.name = record.run_group, record.job_type, record.display_name
    run.tags = list(record.tags)
    _update(run.config, record.config.update)
    _update(run.summary, record.summary.update)


def _keys(item: Any) -> list[str]:
    """A value's place: `a` and `b` of {"a": {"b": …}}."""
    return list(item.nested_key) or [item.key]


def _update(values: dict[str, Any], items: Iterable[Any]) -> None:
    for item in items:
        *outer, last = _keys(item)
        place = values
        for key in outer:
            inner = place.get(key)
            place[key] = place = inner if isinstance(inner, dict) else {}
        place[last] = json.loads(item.value_json)


def _remove(values: dict[str, Any], items: Iterable[Any]) -> None:
    for item in items:
        *outer, last = _keys(item)
        place: Any = values
        for key in outer:
            place = place.get(key, {})
        place.pop(last, None)

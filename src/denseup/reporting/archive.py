"""Runs in one small file: what a report needs of their folders, to pass on and to keep, and nothing of this machine."""

import csv
import io
import json
import lzma
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from denseup.engine.folder import write_atomic
from denseup.engine.per_image import read_counts
from denseup.reporting.grouping import flat, group_runs
from denseup.reporting.loading import Run

SUFFIX = ".tar.xz"
KEPT = ("config.yaml", "metrics.csv", "per_image.csv", "per_image_counts.npz", "result.json")
"""Of a run's folder; no weights, no pictures, no logs."""
NEEDED = ("config.yaml", "result.json")
"""Of these an empty file stands for one that can't be read: the run is still told of."""
MAX_UNPACKED = 2**30
"""Bytes; a run has some hundred thousand."""
START = r"(?:~?/|[A-Za-z]:[\\/])"
ABSOLUTE = re.compile(START + r"(?:[^\\/]*[\\/])*([^\\/]+)[\\/]?")
MENTIONED = re.compile(r"(?<![\w.:/~\\-])" + START + r"(?:[^\s'\"\\/:]+[\\/])*([^\s'\"\\/:]+)[\\/]?")


def write_archive(runs: Sequence[Run], file: Path, evaluation: str | None = None) -> None:
    """Keep runs in a file that `load_runs` reads; the same runs give the same bytes.

    A run that comes twice, from its folder and from an archive that has it already, is kept once.

    Absolute paths in their configs and results become their last part, for nobody else has the rest, or as many of
    them as it takes that different paths in the configs stay different. Values of images are kept of one evaluation of
    each run, that which a report tells of it. Files that can't be read are left out, or empty.

    Args:
        runs: read from run folders, or from such a file.
        file: ends in .tar.xz.
        evaluation: see `group_runs`.

    Raises:
        ValueError: another ending, a run that is an offline W&B run and has no folder, or an evaluation that none has.
    """
    groups, left_out = group_runs(runs, evaluation)
    repeated = {id(run) for run, _ in left_out if run.finished}  # of two equal runs the first counts: these come last
    told = {id(run): group.evaluation for group in groups for by in group.members.values() for run in by.values()}
    if not is_archive(file):
        raise ValueError(f"archive is {str(file)!r}, expected a name that ends in {SUFFIX}")
    folders: dict[str, dict[str, bytes]] = {}
    short = _short_paths(runs)
    for run in sorted(runs, key=lambda run: (id(run) in repeated, str(run.source))):
        files = run.files
        if not files.is_dir():
            raise ValueError(f"archive: {str(run.source)!r} is an offline W&B run; only run folders can be kept")
        there = [files / kept for kept in KEPT if (files / kept).is_file()]
        found = {file.name: _portable(file, told.get(id(run), ""), short) for file in there}
        kept = {name: data or b"" for name, data in found.items() if data is not None or name in NEEDED}
        name, again = run.source.name, 1
        while not _same(folders.setdefault(name, kept), kept):
            again += 1
            name = f"{run.source.name}_{again}"
    content = {f"{name}/{file}": data for name, kept in folders.items() for file, data in kept.items()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9) as tar:
        # alike beside alike: the files of a kind are nearly the same in all runs
        for name in sorted(content, key=lambda name: KEPT.index(name.rpartition("/")[2])):
            member = tarfile.TarInfo(name)
            member.size = len(content[name])
            tar.addfile(member, io.BytesIO(content[name]))
    write_atomic(file, packed.getvalue())


def _same(run: Mapping[str, bytes], other: Mapping[str, bytes]) -> bool:
    """Whether both are one run, whatever is kept of its images: of those that are compared, and of no copy."""
    return all(run.get(name) == other.get(name) for name in KEPT if not name.startswith("per_image"))


def is_archive(path: Path) -> bool:
    """Whether a file is one of these by its name."""
    return path.name.endswith(SUFFIX)


def unpacked(file: Path) -> list[Path]:
    """The run folders of an archive in its order, there until the program ends.

    Raises:
        ValueError: it is none, holds something else than runs, or more than `MAX_UNPACKED` bytes.
    """
    state = file.stat()
    folder, names = _unpacked(file.resolve(), state.st_mtime_ns, state.st_size)
    return [Path(folder.name, name) for name in names]


@cache
def _unpacked(file: Path, changed: int, size: int) -> "tuple[tempfile.TemporaryDirectory[str], list[str]]":
    names: dict[str, None] = {}
    folder = tempfile.TemporaryDirectory(prefix="denseup_runs_")
    total = 0
    try:
        with tarfile.open(file, "r:xz") as tar:
            for member in tar:
                run, _, kept = member.name.rpartition("/")
                total += member.size
                reasons = {
                    "it is no file of a run": kept not in KEPT or not member.isreg(),
                    "a run's folder is one name": Path(run).name != run or run in ("", ".", ".."),
                    f"it has over {MAX_UNPACKED} bytes": total > MAX_UNPACKED,
                }
                if wrong := [reason for reason, holds in reasons.items() if holds]:
                    raise ValueError(f"{str(file)!r} holds {member.name!r}, but {wrong[0]}")
                source = tar.extractfile(member)
                target = Path(folder.name, run, kept)
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(source.read() if source else b"")
                names.setdefault(run)
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{str(file)!r} is not an archive of runs: {error}") from error
    return folder, list(names)


def _short_paths(runs: Sequence[Run]) -> dict[str, str]:
    """Absolute path in a config → its last parts, enough of them to tell it from the others where they can."""
    found = {path for run in runs for _, value in flat(run.config) for path in _absolute(value)}
    parts = {path: [part for part in re.split(r"[\\/]+", path) if part] for path in found}
    short = {}
    for path, mine in parts.items():
        others = [other for other in parts.values() if other != mine]
        enough = (k for k in range(1, len(mine) + 1) if all(other[-k:] != mine[-k:] for other in others))
        short[path] = "/".join(mine[-next(enough, len(mine)) :])
    return short


def _absolute(value: Any) -> list[str]:
    if isinstance(value, list):
        return [path for item in value for path in _absolute(item)]
    return [value] if isinstance(value, str) and ABSOLUTE.fullmatch(value) else []


def _portable(file: Path, evaluation: str, short: Mapping[str, str]) -> bytes | None:
    """What is kept of a file, of the images those of one evaluation; None of one that can't be read."""
    try:
        return _content(file, evaluation, short)
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, yaml.YAMLError):
        return None


def _content(file: Path, evaluation: str, short: Mapping[str, str]) -> bytes:
    if file.suffix == ".json":
        return (json.dumps(_shortened(json.loads(file.read_text()), short), indent=1) + "\n").encode()
    if file.suffix == ".yaml":
        return yaml.safe_dump(_shortened(yaml.safe_load(file.read_text()), short), sort_keys=False).encode()
    if file.suffix == ".npz":  # uncompressed: runs are compressed together
        counts = read_counts(file).get(evaluation, {})
        content = io.BytesIO()
        np.savez(content, **{f"{evaluation}/{key}": array for key, array in counts.items()})  # type: ignore[arg-type]
        return content.getvalue()
    if file.name == "per_image.csv":
        text = io.StringIO()
        with file.open(newline="") as lines:
            header, *rows = csv.reader(lines)
        csv.writer(text, lineterminator="\n").writerows([header, *(row for row in rows if row[:1] == [evaluation])])
        return text.getvalue().encode()
    return file.read_bytes()


def _shortened(value: Any, short: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _shortened(item, short) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item, short) for item in value]
    if not isinstance(value, str):
        return value
    whole = ABSOLUTE.fullmatch(value)
    return short.get(value, whole[1]) if whole else MENTIONED.sub(r"\1", value)

"""Which pictures are meant by a file, a folder, a pattern or standard input, and what belongs to each."""

import difflib
import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from denseup.data.reading.decoding import IMAGE_EXTENSIONS
from denseup.data.reading.folders import images_below

STDIN = "-"
NAME = "NAME"
"""Stands for a picture's name where its partner is named after it."""


@dataclass(frozen=True)
class Source:
    """One picture.

    Args:
        path: of its file; "-" for standard input.
        name: of its results, which may begin with folders: that of the file from where it was looked for, without the
            extension. Where two files differ in nothing else it has the extension: `a.jpg` and `a.png`.
    """

    path: Path
    name: str


def find_sources(given: str | Sequence[str]) -> list[Source]:
    """The pictures that are meant, sorted, each once.

    Args:
        given: files, folders (searched at any depth), patterns such as `photos/*.jpg` or `photos/**/*.jpg`, and "-".

    Raises:
        ValueError: nothing is there, or nothing that is a picture.
    """
    found: dict[Path, Path] = {}
    for one in [given] if isinstance(given, str) else given:
        for file, root in _files(one).items():
            found.setdefault(file, root)
    stems = {
        file: file.relative_to(root).with_suffix("") if file != Path(STDIN) else Path("stdin")
        for file, root in found.items()
    }
    stems = _told_apart(stems)
    return [Source(file, stems[file].as_posix()) for file in found]


def find_partners(given: str, sources: Iterable[Source], argument: str) -> dict[Source, Path]:
    """What belongs to each picture: of the same name in a folder or a pattern, or the one file for the one picture.

    Args:
        given: a file, folder or pattern; or with NAME for the picture's name: `NAME_trimap.png` lies beside the
            picture, `trimaps/NAME_a.png` elsewhere, by `Source.name`.
        sources: the pictures.
        argument: what `given` was given as, for messages.

    Returns:
        What was found; pictures without a partner are left out.

    Raises:
        ValueError: `given` is one file for several pictures, or stands for nothing.
    """
    sources = list(sources)
    if NAME in given:
        paths = {source: _named(given, source) for source in sources}
        return {source: path for source, path in paths.items() if path.is_file()}
    if Path(given).is_file():
        if len(sources) != 1:
            raise ValueError(
                f"{argument}={given} is one file, but there are {len(sources)} pictures; expected a folder or pattern "
                "with a file of the same name for each, or NAME_SUFFIX.png for files beside the pictures"
            )
        return {sources[0]: Path(given)}
    found = _files(given, argument)
    by_name: dict[str, Path] = {}
    for file, root in found.items():
        by_name.setdefault(file.relative_to(root).with_suffix("").as_posix(), file)
        by_name.setdefault(file.relative_to(root).as_posix(), file)
    matches = {source: by_name.get(source.name) or by_name.get(_plain(source)) for source in sources}
    return {source: path for source, path in matches.items() if path is not None}


def _named(given: str, source: Source) -> Path:
    if given.startswith(NAME):
        return source.path.with_name(given.replace(NAME, source.path.stem))
    return Path(given.replace(NAME, source.name))


def _plain(source: Source) -> str:
    """The name of a picture alone: a folder of partners may lie flat."""
    return source.path.stem


def _files(given: str, argument: str = "input") -> Mapping[Path, Path]:
    """Files, each with the folder that its name is told from."""
    path = Path(given)
    if given == STDIN and argument == "input":
        return {path: path}
    if path.is_file():
        return {path: path.parent}
    if path.is_dir():
        found = dict.fromkeys(sorted(images_below(path)), path)
        if not found:
            raise ValueError(f"{argument}={given}: a folder without pictures; {_some(path)}")
        return found
    if glob.has_magic(given):
        return _matching(given, argument)
    raise ValueError(f"{argument}={given}: there is no such file or folder{_nearest(path)}")


def _matching(pattern: str, argument: str) -> Mapping[Path, Path]:
    fixed = Path(*_before_magic(Path(pattern).parts))
    files = sorted(Path(name) for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
    images = [file for file in files if file.name.lower().endswith(IMAGE_EXTENSIONS)]
    if images:
        return dict.fromkeys(images, fixed)
    if files:
        kinds = " ".join(sorted({file.suffix or file.name for file in files}))
        raise ValueError(f"{argument}={pattern}: no pictures among the {len(files)} files ({kinds})")
    folder = Path(pattern).parent
    beside = "" if glob.has_magic(str(folder)) or not folder.is_dir() else f"; {_some(folder)}"
    where = beside or _nearest(fixed)
    raise ValueError(f"{argument}={pattern}: no file has such a name{where}")


def _before_magic(parts: Sequence[str]) -> list[str]:
    """The folders of a pattern that stand for themselves."""
    kept: list[str] = []
    for part in parts[:-1]:
        if glob.has_magic(part):
            break
        kept.append(part)
    return kept


def _nearest(path: Path) -> str:
    """What a name that is not there may have been meant to be."""
    folder = next((parent for parent in path.parents if parent.is_dir()), Path())
    missing = path.relative_to(folder).parts[0] if path != folder else path.name
    names = sorted(os.listdir(folder))
    near = difflib.get_close_matches(missing, names, n=3, cutoff=0.6)
    return f". Nearest in {folder}: {', '.join(near)}" if near else f"; {_some(folder)}"


def _some(folder: Path, most: int = 5) -> str:
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{folder} has {', '.join(names[:most]) or 'nothing'}{more}"


def _told_apart(stems: Mapping[Path, Path]) -> dict[Path, Path]:
    """Names of which no two are equal, also where upper and lower case are one; a number tells equal ones apart."""
    named: dict[Path, Path] = {}
    count = Counter(stem.as_posix().lower() for stem in stems.values())
    for file, stem in stems.items():
        named[file] = stem.with_name(file.name) if count[stem.as_posix().lower()] > 1 else stem
    taken: set[str] = set()
    for file, stem in named.items():
        number, free = 2, stem
        while free.as_posix().lower() in taken:
            free, number = stem.with_name(f"{stem.name}_{number}"), number + 1
        taken.add(free.as_posix().lower())
        named[file] = free
    return named

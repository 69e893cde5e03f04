"""Where the files of a split are: folders that are named by it, and text files that list its images."""

from collections.abc import Sequence
from pathlib import Path

from denseup.data.reading.decoding import IMAGE_EXTENSIONS, DataError

SPLITS = ("train", "val", "test")
MARK = "{split}"

Place = str | Sequence[str | None]
"""A folder below the root: "labels" has one of the split's name in it, "{split}/labels" has that name elsewhere, and
three folders are those of train, val and test."""


def checked_place(argument: str, place: Place) -> Place:
    """The place with plain types; a `ValueError` for one that is none."""
    if isinstance(place, str):
        return place
    if len(place) != len(SPLITS) or not all(part is None or isinstance(part, str) for part in place):
        raise ValueError(f"{argument}={list(place)!r}: expected a folder, or three, of {', '.join(SPLITS)}")
    return tuple(place)


def layout_of(images: Place, labels: Place) -> str:
    """How two kinds of file lie below the root, for messages."""
    shown = [
        place.replace(MARK, "SPLIT")
        if isinstance(place, str) and MARK in place
        else f"{place}/[SPLIT]"
        if isinstance(place, str)
        else f"{{{','.join(map(str, place))}}}"
        for place in (images, labels)
    ]
    return f"ROOT/{shown[0]}/NAME.jpg and ROOT/{shown[1]}/NAME.png"


def folder_of(place: Place | None, split: str | None, name: str | None) -> str | None:
    """The folder of a split below the root; None where there is none.

    Args:
        place: see `Place`.
        split: "train", "val" or "test"; None in a folder that is not split.
        name: of the split in the names of folders.
    """
    if place is None or name is None:
        return place if place is None or isinstance(place, str) else place[-1]
    if not isinstance(place, str):
        return place[SPLITS.index(split or "test")]
    return place.replace(MARK, name) if MARK in place else f"{place}/{name}"


def read_names(file: Path, folder: str) -> list[str]:
    """The images that a text file lists, a line each, as paths below `folder` without an extension.

    A line may have more columns, of which the first counts, and the folder before the name: `JPEGImages/a.jpg …`.
    """
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}: cannot be read ({error}); expected a text file with the name of an image a line"
        ) from error
    names = [_name(line.split()[0], folder) for line in lines if line.strip()]
    if not names:
        raise DataError(f"{file}: found no name in it; expected the name of an image a line")
    return names


def _name(word: str, folder: str) -> str:
    path = word.lstrip("/").removeprefix(f"{folder}/")
    suffix = Path(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in IMAGE_EXTENSIONS else path

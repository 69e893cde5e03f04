"""Looking up image files and their partners in folders."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from denseup.data.reading.decoding import IMAGE_EXTENSIONS, DataError


@dataclass(frozen=True)
class Listing:
    """The image files below a folder, by key: the path from the folder without the suffix and the extension.

    Attributes:
        folder: where they are, at any depth.
        what: says in errors what they are.
        suffix: what their names have in common, as in NAME_leftImg8bit.png.
        files: sorted by path.
    """

    folder: Path
    what: str
    suffix: str
    files: dict[str, Path]


def require_folder(path: Path, argument: str, layout: str) -> Path:
    """`path` when it is a folder, else a `DataError` naming the argument, the path and the expected layout."""
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise DataError(f"{argument}={str(path)!r}: found {found} there; expected a folder laid out as {layout}")
    return path


def list_files(folder: Path, what: str, suffix: str = "") -> Listing:
    """The image files in `folder` and its sub-folders whose names end in `suffix` before the extension, by key.

    Raises `DataError` for a missing folder, one without such files, two files with one key, and a name that can't be
    written into the tables of a run.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected the {what} files in it")
    images = sorted(images_below(folder))
    files: dict[str, Path] = {}
    for file in images:
        if not file.stem.endswith(suffix) or file.stem == suffix:
            continue
        key = (file.parent.relative_to(folder) / file.stem.removesuffix(suffix)).as_posix()
        if not key.isprintable():
            raise DataError(
                f"{folder}: the name {key!r} of a file has line breaks, control characters or bytes that are not "
                "UTF-8; expected one that can stand in a table: rename it"
            )
        if key in files:
            raise DataError(f"{file}: found beside {files[key].name}; expected one {what} file a name")
        files[key] = file
    if not files:
        raise DataError(f"{folder}: {_nothing_found(images, what, suffix)}")
    return Listing(folder, what, suffix, files)


def find_files(images: Listing, folder: Path, what: str, suffix: str = "") -> list[Path]:
    """For each image the file with its key in `folder`; raises one `DataError` naming the images without one."""
    partners = list_files(folder, what, suffix).files
    missing = [path.name for key, path in images.files.items() if key not in partners]
    if missing:
        more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
        raise DataError(
            f"{folder}: found no {what} file for {', '.join(missing[:20])}{more}; expected one of the same stem for "
            f"each of the {len(images.files)} images in {images.folder}{_similar(images, partners, what, suffix)}"
        )
    return [partners[key] for key in images.files]


def list_images(folder: Path, what: str) -> list[Path]:
    """The files of `list_files`."""
    return list(list_files(folder, what).files.values())


def split_folder(folder: Path, split: str | None) -> Path:
    """`folder/split`; `folder` itself when `split` is None."""
    return folder if split is None else folder / split


def images_below(folder: Path) -> Iterator[Path]:
    """Image files at any depth, hidden files and folders left out; each folder is visited once, for all links."""
    visited: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        folders[:] = [] if real in visited else sorted(name for name in folders if not name.startswith("."))
        names = [] if real in visited else names
        visited.add(real)
        for name in names:
            if name.lower().endswith(IMAGE_EXTENSIONS) and not name.startswith("."):
                yield Path(parent, name)


def _similar(images: Listing, partners: dict[str, Path], what: str, suffix: str) -> str:
    """Where a partner's name begins as the image's does: how to say what it ends in."""
    key = next(key for key in images.files if key not in partners)
    near = [partner for partner in partners if partner.startswith(key) or key.startswith(partner)]
    if not near:
        return f", for the first {key}{suffix} with any of their extensions"
    return (
        f". There is {partners[near[0]].name}: what names end in before the extension is said by {images.what}_suffix "
        f"and {what}_suffix (now {images.suffix!r} and {suffix!r})"
    )


def _nothing_found(images: list[Path], what: str, suffix: str) -> str:
    expected = " ".join(IMAGE_EXTENSIONS)
    if not images:
        return f"found no {what} files; expected files ending in one of {expected}"
    return (
        f"found no {what} file whose name ends in {what}_suffix={suffix!r} before its extension, but {len(images)} "
        f"others, such as {images[0].name}; expected NAME{suffix} with one of {expected}"
    )

"""Looking up image files and their partners in folders."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from denseup.data.reading.complaints import complain, remark
from denseup.data.reading.decoding import IMAGE_EXTENSIONS, DataError

LISTED = 20
"""Names that an error lists."""


@dataclass(frozen=True)
class Listing:
    """The image files below a folder, by key: the path from the folder without the suffix and the extension.

    Attributes:
        folder: where they are, at any depth.
        what: says in errors what they are.
        suffix: what their names have in common, as in NAME_leftImg8bit.png.
        files: sorted by path.
        chosen: whether they are some of those in the folder.
    """

    folder: Path
    what: str
    suffix: str
    files: dict[str, Path]
    chosen: bool = False


class Partners(NamedTuple):
    """Where the partners of images are, such as their labels; `what` names them in errors.

    An image of key K has the partner of key `keys[K]`, of its own key where `keys` has none.
    """

    folder: Path
    what: str
    suffix: str = ""
    keys: Mapping[str, str] = {}


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
            complain(f"{file}: found beside {files[key].name}; expected one {what} file a name")
        files.setdefault(key, file)
    if not files:
        raise DataError(f"{folder}: {_nothing_found(images, what, suffix)}")
    return Listing(folder, what, suffix, files)


def match_files(images: Listing, *kinds: Partners) -> tuple[Listing, list[list[Path]]]:
    """The images that have all their partners, and the partners of each kind in the images' order.

    Raises `DataError` naming the images without one; where complaints are kept, they are left out.
    """
    found = [list_files(kind.folder, kind.what, kind.suffix) for kind in kinds]
    whole = dict(images.files)
    for kind, partners in zip(kinds, found, strict=True):
        missing = [key for key in images.files if kind.keys.get(key, key) not in partners.files]
        if missing:
            _complain_of_missing(images, missing, kind, partners)
        whole = {key: path for key, path in whole.items() if kind.keys.get(key, key) in partners.files}
        if not images.chosen:
            wanted = {kind.keys.get(key, key) for key in images.files}
            for key in sorted(set(partners.files) - wanted):
                remark(partners.files[key], f"{kind.what} file without an image in {images.folder}")
    if not whole:
        raise DataError(f"{images.folder}: found no {images.what} file that has all its partners")
    keys = [[kind.keys.get(key, key) for key in whole] for kind in kinds]
    return replace(images, files=whole), [
        [partners.files[key] for key in wanted] for partners, wanted in zip(found, keys, strict=True)
    ]


def only_named(images: Listing, names: Sequence[str], source: Path) -> Listing:
    """The images of these keys, in their order; raises `DataError` for names without an image, or named twice.

    `source` is the file that names them.
    """
    for name in (name for name, count in Counter(names).items() if count > 1):
        complain(f"{source}: found {name} twice; expected each image once")
    missing = [name for name in dict.fromkeys(names) if name not in images.files]
    if missing:
        what = f"expected a file of that name, with one of {' '.join(IMAGE_EXTENSIONS)}, in {images.folder}"
        complain(
            f"{source}: found no {images.what} file for {_first(missing)}; {what}",
            [
                f"{images.folder / name}: found no {images.what} file of this name, which {source} has"
                for name in missing
            ],
        )
    kept = {name: images.files[name] for name in dict.fromkeys(names) if name in images.files}
    if not kept:
        raise DataError(f"{source}: found the name of no {images.what} file in {images.folder}")
    return replace(images, files=kept, chosen=True)


def list_images(folder: Path, what: str) -> list[Path]:
    """The files of `list_files`."""
    return list(list_files(folder, what).files.values())


def split_folder(folder: Path, split: str | None) -> Path:
    """`folder/split`; `folder` itself when `split` is None."""
    return folder if split is None else folder / split


def images_below(folder: Path) -> Iterator[Path]:
    """Image files at any depth, hidden files and folders left out; each folder is visited once, for all links."""
    visited: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_unreadable):
        real = os.path.realpath(parent)
        folders[:] = [] if real in visited else sorted(name for name in folders if not name.startswith("."))
        names = [] if real in visited else names
        visited.add(real)
        for name in names:
            if name.lower().endswith(IMAGE_EXTENSIONS) and not name.startswith("."):
                yield Path(parent, name)


def _unreadable(error: OSError) -> None:
    complain(f"{error.filename}: cannot be read ({error.strerror}); expected a folder whose files can be listed")


def _complain_of_missing(images: Listing, missing: list[str], kind: Partners, partners: Listing) -> None:
    complain(
        f"{kind.folder}: found no {kind.what} file for {_first([images.files[key].name for key in missing])}; expected "
        f"one of the same stem for each of the {len(images.files)} images in {images.folder}"
        f"{_similar(images, missing[0], kind, partners)}",
        [f"{images.files[key]}: found no {kind.what} file for it in {kind.folder}" for key in missing],
    )


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{', '.join(names[:LISTED])}{more}"


def _similar(images: Listing, key: str, kind: Partners, partners: Listing) -> str:
    """Where a partner's name begins as the image's does: how to say what it ends in."""
    near = [partner for partner in partners.files if partner.startswith(key) or key.startswith(partner)]
    if not near or kind.keys:
        return f", for the first {kind.keys.get(key, key)}{kind.suffix} with any of their extensions"
    return (
        f". There is {partners.files[near[0]].name}: what names end in before the extension is said by "
        f"{images.what}_suffix and {kind.what}_suffix (now {images.suffix!r} and {kind.suffix!r})"
    )


def _nothing_found(images: list[Path], what: str, suffix: str) -> str:
    expected = " ".join(IMAGE_EXTENSIONS)
    if not images:
        return f"found no {what} files; expected files ending in one of {expected}"
    return (
        f"found no {what} file whose name ends in {what}_suffix={suffix!r} before its extension, but {len(images)} "
        f"others, such as {images[0].name}; expected NAME{suffix} with one of {expected}"
    )

"""Looking up image files and their partners in folders."""

from collections.abc import Sequence
from pathlib import Path

from denseup.data.decoding import IMAGE_EXTENSIONS, DataError


def require_folder(path: Path, argument: str, layout: str) -> Path:
    """`path` when it is a folder, else a `DataError` naming the argument, the path and the expected layout."""
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise DataError(f"{argument}={str(path)!r}: found {found} there; expected a folder laid out as {layout}")
    return path


def list_images(folder: Path, what: str) -> list[Path]:
    """The image files directly in `folder`, sorted by name; `what` says in errors what they are.

    Raises `DataError` for a missing folder, one without images, and two images with one stem.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected the {what} files in it")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_EXTENSIONS and not p.name.startswith("."))
    if not files:
        expected = " ".join(IMAGE_EXTENSIONS)
        raise DataError(f"{folder}: found no {what} files; expected files ending in one of {expected}")
    stems: dict[str, Path] = {}
    for file in files:
        if file.stem in stems:
            raise DataError(f"{file}: found beside {stems[file.stem].name}; expected one {what} file a name")
        stems[file.stem] = file
    return files


def find_partners(images: Sequence[Path], folder: Path, what: str) -> list[Path]:
    """For each image the file of the same stem in `folder`; raises one `DataError` naming the images without one."""
    partners = {path.stem: path for path in list_images(folder, what)}
    missing = [path.name for path in images if path.stem not in partners]
    if missing:
        more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
        raise DataError(
            f"{folder}: found no {what} file for {', '.join(missing[:20])}{more}; expected one of the same stem for "
            f"each of the {len(images)} images in {images[0].parent}"
        )
    return [partners[path.stem] for path in images]


def split_folder(folder: Path, split: str | None) -> Path:
    """`folder/split`; `folder` itself when `split` is None."""
    return folder if split is None else folder / split

"""Composition-1k's composites, and those of sets like it, from foregrounds, mattes and backgrounds that lists name."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2

from denseup.data.building.built import Built, not_written, until_stopped
from denseup.data.datasets.foregrounds import composite_names, listed_composites
from denseup.data.parallel import worked
from denseup.data.reading.decoding import Array, DataError, open_picture
from denseup.data.reading.folders import list_files, require_folder
from denseup.data.reading.samples import check_same_size, read_alpha, read_image
from denseup.data.transforms.compositing import merge_as_released
from denseup.writing import WriteError, write_whole

LISTED = 20
PNG_LEVEL = 3
COCO_2014 = re.compile(r"COCO_[a-z]+2014_(?=\d{12}\.)")


class Composite(NamedTuple):
    """A file to be made, and the files that it is made of."""

    target: Path
    foreground: Path
    alpha: Path
    background: Path


def planned(
    pairs: Sequence[tuple[Path, Path]], backgrounds: Path, fg_names: Path, bg_names: Path, output: Path
) -> list[Composite]:
    """All composites in the order of the lists.

    Args:
        pairs: folders of foregrounds, each with that of its mattes.
        backgrounds: the folder of all backgrounds, of PASCAL VOC or MS-COCO.
        fg_names, bg_names: text files; the first so many backgrounds are those of the first foreground.
        output: the folder of the composites NAME_I.png.

    Raises:
        DataError: a list that is none, or files that are not there, with the first of them.
    """
    front, behind, each = listed_composites(fg_names, bg_names)
    stems = Counter(Path(name).stem for name in front)
    twice = sorted(stem for stem, count in stems.items() if count > 1)
    if twice:
        raise DataError(f"{fg_names}: found {twice[0]} twice, whose composites would have one name; expected it once")
    places = _places(pairs)
    require_folder(backgrounds, "backgrounds", "BACKGROUNDS/NAME.jpg")
    missing = [f"{name} ({fg_names.name})" for name in front if Path(name).stem not in places]
    found = {name: _background(backgrounds, name) for name in dict.fromkeys(behind)}
    missing += [f"{name} ({bg_names.name})" for name, path in found.items() if path is None]
    if missing:
        more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
        raise DataError(
            f"found no file for {', '.join(missing[:LISTED])}{more}; expected them in "
            f"{', '.join(str(colours) for colours, _ in pairs)} and {backgrounds}"
        )
    made = zip(composite_names(front, each), behind, strict=True)
    return [
        Composite(output / f"{name}.png", *places[Path(front[index // each]).stem], Path(str(found[background])))
        for index, (name, background) in enumerate(made)
    ]


def build(composites: Sequence[Composite], workers: int) -> Iterator[Built]:
    """Make the composites by so many processes, and say of each what became of it, in their order.

    What is there already is kept if it is whole and of its foreground's size: a file that an interrupted process or a
    full disk has left half written is made anew. Files appear whole or not at all.

    Raises:
        WriteError: nothing can be written any more.
    """
    return until_stopped(worked(_build, composites, workers))


def _build(composite: Composite) -> Built:
    try:
        alpha = read_alpha(composite.alpha, apply_orientation=False)
        if _is_whole(composite.target, alpha):
            return Built(composite.target, "kept")
        # as the release's script does, which knows nothing of orientation tags
        foreground = read_image(composite.foreground, apply_orientation=False)
        check_same_size({composite.foreground: foreground, composite.alpha: alpha})
        merged = merge_as_released(foreground, alpha, read_image(composite.background, apply_orientation=False))
        options = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
        _, encoded = cv2.imencode(".png", cv2.cvtColor(merged, cv2.COLOR_RGB2BGR), options)
        write_whole(composite.target, encoded.tobytes())
    except WriteError as error:
        return not_written(composite.target, error)
    except (DataError, OSError) as error:
        return Built(composite.target, "failed", str(error))
    return Built(composite.target, "built")


def _is_whole(target: Path, alpha: Array) -> bool:
    if not target.exists():
        return False
    try:
        return open_picture(target).colours().shape[:2] == alpha.shape
    except DataError:
        return False


def _places(pairs: Sequence[tuple[Path, Path]]) -> dict[str, tuple[Path, Path]]:
    """Foreground and matte by name."""
    places: dict[str, tuple[Path, Path]] = {}
    for colours, mattes in pairs:
        alphas = list_files(mattes, "alpha").files
        for key, path in list_files(colours, "foreground").files.items():
            if key in alphas:
                places[key] = (path, alphas[key])
    return places


def _background(folder: Path, name: str) -> Path | None:
    """A background by its name, or by that which MS-COCO has given it since 2017."""
    for path in (folder / name, folder / COCO_2014.sub("", name)):
        if path.is_file():
            return path
    return None

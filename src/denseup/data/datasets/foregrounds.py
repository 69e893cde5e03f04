"""Matting sets that are released as foregrounds with mattes: where their files are, and what they make.

    ROOT/FOREGROUNDS/NAME.*, ROOT/ALPHAS/NAME.*           training foregrounds, one pair of folders or several
    ROOT/MERGED/NAME_I.png                                ready composites of test foregrounds, I counts backgrounds
    ROOT/TEST_ALPHA/NAME.*, ROOT/TRIMAPS/NAME_I.png       their mattes, one a foreground, and trimaps, if there are any

Training backgrounds are a folder of their own. `denseup.data.building` makes the composites.
"""

from collections.abc import Sequence
from pathlib import Path

from denseup.data.datasets.composites import CompositeDataset
from denseup.data.datasets.matting_folder import MattingFolder
from denseup.data.reading.decoding import DataError
from denseup.data.reading.folders import Partners, list_files, list_images, match_files, require_folder
from denseup.data.reading.splits import read_names
from denseup.data.transforms.matting import MattingAugmentation


def foregrounds_on(
    root: Path,
    backgrounds: str | Path,
    folders: Sequence[tuple[str, str]],
    *,
    augmentation: MattingAugmentation | None = None,
    length: int | None = None,
    seed: int = 0,
) -> CompositeDataset:
    """A training set: foregrounds on the images of the folder `backgrounds`, read lazily.

    `folders` are pairs below the root: of foregrounds, and of their mattes.
    """
    foregrounds: list[Path] = []
    alphas: list[Path] = []
    for colours, mattes in folders:
        files, (partners,) = match_files(list_files(root / colours, "foreground"), Partners(root / mattes, "alpha"))
        foregrounds += files.files.values()
        alphas += partners
    behind = list_images(require_folder(Path(backgrounds), "backgrounds", "BACKGROUNDS/NAME.jpg"), "background")
    return CompositeDataset(foregrounds, behind, alphas, augmentation=augmentation, length=length, seed=seed)


def ready_composites(
    root: Path,
    merged: str,
    alpha: str,
    trimaps: str | None,
    names: tuple[Path, Sequence[str]] | None = None,
    trimap_width: float = 15.0,
) -> MattingFolder:
    """The composites NAME_I in the folder `merged`, with the matte NAME of their foreground.

    `names` are those that there have to be, with the file that says so.
    """
    return MattingFolder(
        root,
        image=merged,
        alpha=alpha,
        trimap=trimaps,
        names=names,
        alpha_keys=foreground_of,
        trimap_width=trimap_width,
    )


def foreground_of(name: str) -> str:
    """NAME of a composite NAME_I."""
    return name.rpartition("_")[0]


def listed_composites(foregrounds: Path, backgrounds: Path) -> tuple[list[str], list[str], int]:
    """The foregrounds and backgrounds that two text files list, and how many backgrounds each foreground has.

    The first so many backgrounds are those of the first foreground.
    """
    front, behind = read_list(foregrounds), read_list(backgrounds)
    each, left = divmod(len(behind), len(front))
    if left or not each:
        raise DataError(
            f"{backgrounds}: found {len(behind)} names for the {len(front)} of {foregrounds.name}; expected the same "
            "number of backgrounds for each foreground"
        )
    return front, behind, each


def composite_names(foregrounds: Sequence[str], each: int) -> list[str]:
    """NAME_I of all composites, without the extension."""
    return [f"{Path(name).stem}_{index}" for name in foregrounds for index in range(each)]


def read_list(file: Path) -> list[str]:
    """The names of files in a text file, a line each."""
    read_names(file, "")  # which says what is wrong with it
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]

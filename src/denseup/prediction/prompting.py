"""What a task needs to know beside the image: for matting the trimap, as it is or grown from a rough mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from denseup.data.reading.decoding import Array, Picture, orientation_of
from denseup.data.reading.samples import DataError, read_trimap
from denseup.prediction.images import Given, as_map
from denseup.prediction.trimaps import BAND, grown_trimap, read_mask
from denseup.tasks import DenseTask
from denseup.tasks.checks import check_whole

TRIMAP = "trimap"
WAYS = (
    "expected trimap=… (0 background, 128 unknown, 255 foreground): a file, a folder or pattern with a file of the "
    "picture's name, or NAME_trimap.png beside it; or mask=…, a rough mask to grow one from"
)


@dataclass(frozen=True)
class Prompting:
    """How prompts are read.

    Args:
        band: pixels around a mask's edge that are unknown, see `grown_trimap`.
        trimap_values: file value → 0, 128 or 255, of trimaps coded otherwise.
        apply_orientation: whether files are turned by their orientation tag; false: all are taken as stored.

    Raises:
        ValueError: a band that is none.
    """

    band: int = BAND
    trimap_values: Mapping[int, int] | None = None
    apply_orientation: bool = True

    def __post_init__(self) -> None:
        check_whole("band", self.band, 0)

    def read(
        self, task: DenseTask, image: Array, trimap: Given | None, mask: Given | None, name: str = "image"
    ) -> dict[str, Array]:
        """What `Predictor` takes beside the image, from a trimap or a mask, each a path, Pillow image or array.

        Raises:
            DataError: a file that is no trimap, or not of the image's size.
            ValueError: the task needs what is not given, or takes none of what is.
        """
        check_prompts(task, name, trimap is not None, mask is not None)
        if TRIMAP not in task.prompts:
            return {}
        picture = as_map(trimap, TRIMAP) if trimap is not None else as_map(mask, "mask")  # type: ignore[arg-type]
        levels = self._trimap(picture) if trimap is not None else self._grown(picture)
        if levels.shape != image.shape[:2]:
            raise DataError(
                f"{picture.path}: found {_size(levels)} (height x width); expected {_size(image)}, the size "
                f"of {name}{_turned(picture, name, self.apply_orientation)}"
            )
        return {TRIMAP: np.ascontiguousarray(levels)}

    def _trimap(self, picture: Picture) -> Array:
        try:
            return read_trimap(picture, trimap_values=self.trimap_values, apply_orientation=self.apply_orientation)
        except DataError as error:  # whose message says how training data would be told
            raise DataError(str(error).replace("data.trimap_values", "trimap_values")) from error

    def _grown(self, picture: Picture) -> Array:
        return grown_trimap(read_mask(picture, self.apply_orientation), self.band)


def check_prompts(task: DenseTask, name: str, has_trimap: bool, has_mask: bool) -> None:
    """ValueError unless what is given is what the task needs."""
    others = [prompt for prompt in task.prompts if prompt != TRIMAP]
    if others:
        raise ValueError(f"task {task.name} needs {', '.join(others)} beside the image: call `Predictor` with them")
    if TRIMAP in task.prompts and not (has_trimap or has_mask):
        raise ValueError(f"{name}: there is no trimap, which {task.name} needs; {WAYS}")
    for given, what in ((has_trimap, TRIMAP), (has_mask, "mask")):
        if given and TRIMAP not in task.prompts:
            raise ValueError(f"{what} is given, but {task.name} takes the image alone")


def _size(array: Array) -> str:
    return f"{array.shape[0]} x {array.shape[1]}"


def _turned(picture: Picture, name: str, apply_orientation: bool) -> str:
    """What orientation tags have to do with sizes that differ."""
    tags = {str(picture.path): picture.orientation}
    if Path(name).is_file():
        tags[name] = orientation_of(Path(name))
    if not apply_orientation or all(tag == 1 for tag in tags.values()):
        return ""
    found = ", ".join(f"{Path(path).name} {tag}" for path, tag in tags.items())
    return f". Orientation tags: {found}. A tag turns its own file; apply_orientation=false takes all as stored"

"""Predictions of pictures by what a run left behind: `denseup.predict`."""

from collections.abc import Mapping
from pathlib import Path

from denseup.cli.loading import load
from denseup.prediction import MEMORY, Predictor, Prompting
from denseup.prediction.images import Given, as_image
from denseup.prediction.trimaps import BAND
from denseup.results import Result
from denseup.tasks import DenseTask


def predict(
    ckpt: str | Path | DenseTask,
    image: Given,
    *,
    trimap: Given | None = None,
    mask: Given | None = None,
    band: int = BAND,
    trimap_values: Mapping[int, int] | None = None,
    apply_orientation: bool = True,
    memory: str | int = MEMORY,
    device: str = "cpu",
) -> Result:
    """What a trained network says of one picture, as its evaluation would have it.

    Args:
        ckpt: a checkpoint, a run's folder, or what `denseup.load` gave, for many pictures.
        image: path, bytes of a file, Pillow image, or array [H, W], [H, W, 3] or [H, W, 4] (RGB, alpha is dropped) of
            uint8, uint16, or floats in [0, 1].
        trimap: for matting, of the image's size: path, Pillow image or array of 0, 128 and 255.
        mask: instead, a rough mask of the foreground (0 … 255, or bool).
        band: pixels on either side of the mask's edge that are unknown.
        trimap_values: file value → 0, 128 or 255, of trimaps coded otherwise.
        apply_orientation: turn files and Pillow images by their orientation tag.
        memory: bound of what this process takes altogether; larger pictures are predicted in parts.
        device: "cpu", "cuda" or "auto".

    Returns:
        For matting a `Matte` (`alpha`, `foreground()`, `cut_out()`, `over(background)`), for segmentation a `LabelMap`
        (`labels`, `overlay()`, `legend()`), for any task `values`; upright, of the size of the image.

    Raises:
        ValueError: an argument that is none; the message names it. A `DataError`, which is one, names the file.
    """
    task = ckpt if isinstance(ckpt, DenseTask) else load(ckpt)
    predictor = Predictor(task, memory=memory, device=device)
    prompting = Prompting(band, trimap_values, apply_orientation)
    array = as_image(image, apply_orientation)
    name = str(image) if isinstance(image, str | Path) else "image"
    return predictor(array, prompting.read(task, array, trimap, mask, name), name)

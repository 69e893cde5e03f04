"""One row of pictures for a sample: what went in, what came out and what is true."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from denseup.visualization.layout import check_rgb, legend, side_by_side
from denseup.visualization.maps import IGNORED_COLOUR, ClassMaps, ValueMaps

UInt8 = NDArray[np.uint8]

ERROR_COLOUR = (213, 94, 0)


def matting_panel(image: UInt8, trimap: UInt8, prediction: UInt8, target: UInt8) -> UInt8:
    """image | trimap | prediction | truth, with captions.

    Args:
        image: RGB, uint8 [H, W, 3].
        trimap: uint8 [H, W].
        prediction: alpha, uint8 [H, W].
        target: alpha, uint8 [H, W].

    Returns:
        RGB, uint8 [H + 20, 4 · W + 12, 3].

    Raises:
        ValueError: for another dtype or shape.
    """
    check_rgb("image", image)
    maps = {"trimap": trimap, "prediction": prediction, "target": target}
    for name, value in maps.items():
        _check_map(name, value, image)
    grey = map(ValueMaps("alpha").colours, maps.values())
    return side_by_side(list(zip(("image", "trimap", "prediction", "truth"), (image, *grey), strict=True)))


def segmentation_panel(
    image: UInt8,
    label: NDArray[np.integer],
    prediction: NDArray[np.integer],
    class_names: Sequence[str] | None = None,
    ignore_index: int = 255,
) -> UInt8:
    """image | prediction | truth | errors, with captions and, given names, a legend of the classes that occur.

    Errors are coloured on the grey image, ignored pixels are plain grey; the caption gives the share of errors among
    the pixels that count.

    Args:
        image: RGB, uint8 [H, W, 3].
        label: true labels in 0..255, any integer type, [H, W].
        prediction: predicted labels in 0..255, any integer type, [H, W].
        class_names: the names of classes 0, 1, ...; without them there is no legend.
        ignore_index: the label of true pixels that do not count.

    Returns:
        RGB, uint8 [H + 20 + legend, 4 · W + 12, 3].

    Raises:
        ValueError: for another dtype or shape, labels outside 0..255 or a label that has no name.
    """
    check_rgb("image", image)
    truth, predicted = _check_labels("label", label, image), _check_labels("prediction", prediction, image)
    colours = ClassMaps(ignore_index).palette()
    errors, share = _errors(image, truth, predicted, ignore_index)
    columns = [
        ("image", image),
        ("prediction", colours[predicted]),
        ("truth", colours[truth]),
        (f"errors {share:.1%}", errors),
    ]
    panel = side_by_side(columns)
    if class_names is None:
        return panel
    present = np.union1d(truth, predicted)
    entries = _legend_entries(present[present != ignore_index].tolist(), class_names, colours)
    return np.concatenate([panel, legend(entries, panel.shape[1])])


def _errors(image: UInt8, truth: UInt8, predicted: UInt8, ignore_index: int) -> tuple[UInt8, float]:
    """The dimmed grey image with errors marked, and their share of the pixels that count."""
    ignored = truth == ignore_index
    wrong = (truth != predicted) & ~ignored
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    # Dark enough for the marks, and darker than the grey of ignored pixels.
    marked = np.repeat((grey * 0.4).astype(np.uint8)[..., None], 3, axis=-1)
    marked[wrong] = ERROR_COLOUR
    marked[ignored] = IGNORED_COLOUR
    return marked, float(wrong.sum() / max(wrong.size - ignored.sum(), 1))


def _legend_entries(
    labels: Sequence[int], class_names: Sequence[str], colours: UInt8
) -> list[tuple[str, tuple[int, int, int]]]:
    """Name and colour of each label."""
    if labels and max(labels) >= len(class_names):
        raise ValueError(f"class_names must name every label, got {len(class_names)} names and the label {max(labels)}")
    return [(class_names[label], tuple(colours[label].tolist())) for label in labels]


def _check_map(name: str, value: UInt8, image: UInt8) -> None:
    """ValueError unless the value is uint8 and of the image's size."""
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
        got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{name} must be a uint8 numpy.ndarray, got {got}")
    _check_size(name, value, image)


def _check_labels(name: str, value: NDArray[np.integer], image: UInt8) -> UInt8:
    """The labels as uint8; ValueError unless they are integers in 0..255 and of the image's size."""
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.integer):
        got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{name} must be a numpy.ndarray of integers, got {got}")
    _check_size(name, value, image)
    if value.size and (value.min() < 0 or value.max() > 255):
        raise ValueError(f"{name} must hold labels in 0..255, got {value.min()}..{value.max()}")
    return value.astype(np.uint8)


def _check_size(name: str, value: NDArray, image: UInt8) -> None:
    if value.shape != image.shape[:2]:
        raise ValueError(f"{name} must have the image's size {list(image.shape[:2])}, got {list(value.shape)}")

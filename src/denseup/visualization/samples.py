"""Sheets of training samples: what a network gets, and what each step of the augmentation makes of it.

A sample is a dictionary of arrays: a picture is "image" or "foreground" [H, W, 3], or "layer" [H, W, 4], RGB times
alpha; uint8, or float in 0..1. Everything else of two dimensions is a map, "label" one of classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from denseup.visualization.layout import GAP, PAPER, grid, legend, side_by_side
from denseup.visualization.maps import ClassMaps, ValueMaps

UInt8 = NDArray[np.uint8]
Sample = Mapping[str, Any]

LABEL = "label"
SQUARE = 8
"""Of the chequered ground that shows through where a foreground does not cover it, in pixels."""
LIGHT, DARK = 0.85, 0.65
SHARE = 0.5
"""Of the label in a picture that it is laid over."""


def sample_sheet(samples: Sequence[tuple[str, Sample]], columns: int, class_names: Sequence[str] = ()) -> UInt8:
    """Each sample's picture and maps side by side under its name, `columns` samples in a row; with a legend of classes.

    A label is also laid over the picture.
    """
    panels = [side_by_side(_views(name, sample)) for name, sample in samples]
    rows = [_row(panels[start : start + columns]) for start in range(0, len(panels), columns)]
    sheet = grid(rows)
    entries = _entries([sample for _, sample in samples], class_names)
    return np.concatenate([sheet, legend(entries, sheet.shape[1])]) if entries else sheet


def step_sheet(samples: Sequence[tuple[str, Sequence[tuple[str, Sample]]]], side: int) -> UInt8:
    """A row a sample, a column a step: the picture after it, over the last of its maps, fitted into `side` pixels.

    Args:
        samples: name → (name of the step, the sample after it).
        side: of the square that each picture and each map is fitted into.
    """
    rows = []
    for name, stages in samples:
        cells = [np.concatenate([_fitted(picture, side) for picture in _pair(sample)]) for _, sample in stages]
        captions = [step if place else f"{name}: {step}" for place, (step, _) in enumerate(stages)]
        height = max(cell.shape[0] for cell in cells)
        rows.append(side_by_side([(c, _padded(cell, height, side)) for c, cell in zip(captions, cells, strict=True)]))
    return grid(rows)


def picture_of(sample: Sample) -> UInt8:
    """A sample's picture, uint8 [H, W, 3]; a foreground without background stands on a chequered ground.

    Raises:
        ValueError: there is none.
    """
    if "image" in sample:
        return levels_of(sample["image"])
    if "layer" in sample:
        layer = np.asarray(sample["layer"])
        return levels_of(layer[..., :3] + (1 - layer[..., 3:]) * _ground(layer.shape[:2]))
    if "foreground" in sample and "alpha" in sample:
        weight = np.asarray(sample["alpha"])[..., None]
        return levels_of(weight * sample["foreground"] + (1 - weight) * _ground(weight.shape[:2]))
    raise ValueError(f"sample: found {', '.join(sample) or 'nothing'}; expected image, layer, or foreground and alpha")


def maps_of(sample: Sample) -> list[tuple[str, UInt8]]:
    """A sample's maps as pictures, with their names."""
    shown = []
    for name, value in sample.items():
        if isinstance(value, np.ndarray) and value.ndim == 2:
            kind = ClassMaps() if name == LABEL else ValueMaps(name)
            shown.append((name, kind.colours(value.astype(np.uint8) if name == LABEL else levels_of(value))))
    return shown


def levels_of(array: NDArray[Any]) -> UInt8:
    """uint8 as it is; floats of 0..1 as 0..255, what lies outside cut off."""
    array = np.asarray(array)
    return array if array.dtype == np.uint8 else np.rint(np.clip(np.nan_to_num(array), 0, 1) * 255).astype(np.uint8)


def _views(name: str, sample: Sample) -> list[tuple[str, UInt8]]:
    picture, maps = picture_of(sample), maps_of(sample)
    views = [(name, picture), *maps]
    for what, label in maps:
        if what == LABEL:
            views.append(("both", np.rint((1 - SHARE) * picture + SHARE * label).astype(np.uint8)))
    return views


def _pair(sample: Sample) -> list[UInt8]:
    """The picture, and the map that a network would be told: there may be none yet."""
    maps = maps_of(sample)
    return [picture_of(sample), *(colours for _, colours in maps[-1:])]


def _entries(samples: Sequence[Sample], class_names: Sequence[str]) -> list[tuple[str, tuple[int, int, int]]]:
    labels = [np.unique(sample[LABEL]) for sample in samples if LABEL in sample]
    if not labels or not class_names:
        return []
    colours = ClassMaps().palette()
    present = [value for value in np.unique(np.concatenate(labels)).tolist() if value < len(class_names)]
    return [(class_names[value], tuple(colours[value].tolist())) for value in present]


def _row(panels: Sequence[UInt8]) -> UInt8:
    height = max(panel.shape[0] for panel in panels)
    gap = np.full((height, 3 * GAP, 3), PAPER, np.uint8)
    parts = [part for panel in panels for part in (_padded(panel, height, panel.shape[1]), gap)]
    return np.concatenate(parts[:-1], axis=1)


def _fitted(picture: UInt8, side: int) -> UInt8:
    """A picture scaled to fit into a square, on white of the square's width."""
    scale = side / max(picture.shape[:2])
    height, width = (max(round(length * scale), 1) for length in picture.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return _padded(np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8), height, side)


def _padded(picture: UInt8, height: int, width: int) -> UInt8:
    paper = np.full((height, width, 3), PAPER, np.uint8)
    paper[: picture.shape[0], : picture.shape[1]] = picture
    return paper


def _ground(size: tuple[int, ...]) -> NDArray[np.float32]:
    rows, columns = np.indices(size) // SQUARE
    return np.where((rows + columns) % 2, np.float32(LIGHT), np.float32(DARK))[..., None]

"""Predictions as files that the benchmarks' own scripts read, and `src.score`: one PNG an image, under its name."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from denseup.data.reading.label_coding import LabelCoding
from denseup.tasks import DenseTask
from denseup.tasks.watched import Batch
from denseup.visualization.layout import write_bytes

CITYSCAPES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Label id of each of the 19 classes that are trained, in the order of their train ids (Cordts et al., CVPR 2016)."""


class PredictionFiles:
    """Writes NAME.png for each image of an evaluation; NAME may begin with sub-folders.

    Of a task without classes the prediction as it is, 8 bits grey: alpha of matting. Of one with classes the values
    that stand for them, 8 bits grey, or 16 where they need it; with `label_colours` of the data, the colours are their
    palette.

    Args:
        folder: written to.
        task: whose predictions they are.
        coding: of the data set's labels; None where it has none.
        labels: "data", "classes" or "cityscapes", see `EvaluationSettings.prediction_labels`.

    Raises:
        ValueError: labels that the task's classes do not have, or classes that no label of the data stands for.
    """

    def __init__(self, folder: Path, task: DenseTask, coding: LabelCoding | None, labels: str) -> None:
        self.folder, self.written = folder, set[str]()
        self.values = None if task.classes is None else _file_values(len(task.classes.names), coding, labels)
        self.colours = coding.label_colours if coding is not None and labels == "data" else ()

    def __call__(self, batch: Batch, prediction: Tensor, views: Sequence[Tensor]) -> None:
        """Write a batch of one image."""
        names = batch.get("name")
        name = self._checked(str(len(self.written)) if names is None else str(names[0]))
        content = io.BytesIO()
        self._picture(prediction[0].cpu().numpy()).save(content, "PNG")
        write_bytes(self.folder / f"{name}.png", content.getvalue())
        self.written.add(name)

    def reading(self) -> dict[str, Any]:
        """Options of `src.score` with which it reads these files as they are meant; {} where they are plain."""
        if self.values is None or np.array_equal(self.values, np.arange(len(self.values))):
            return {}
        if np.array_equal(self.values, np.arange(len(self.values)) + 1):
            return {"prediction_reduce_zero_label": True}
        return {"prediction_values": {int(value): place for place, value in enumerate(self.values)}}

    def _picture(self, prediction: NDArray[np.uint8]) -> Image.Image:
        if self.values is None:
            return Image.fromarray(prediction)
        picture = Image.fromarray(self.values[prediction])
        if self.colours and self.values.dtype == np.uint8:
            picture.putpalette(bytes(part for colour in self.colours for part in colour))
        return picture

    def _checked(self, name: str) -> str:
        if name in self.written:
            raise ValueError(f"evaluation.save_predictions: two images are named {name!r}, expected a name for each")
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or PurePosixPath(name).is_absolute():
            raise ValueError(f"evaluation.save_predictions: an image is named {name!r}, expected a path below a folder")
        return name


def _file_values(number: int, coding: LabelCoding | None, labels: str) -> NDArray[Any]:
    """What stands for each class in a file, uint8 or uint16 [number]."""
    if labels == "cityscapes":
        if number != len(CITYSCAPES):
            raise ValueError(
                f"evaluation.prediction_labels is 'cityscapes', which has {len(CITYSCAPES)} classes; these data have "
                f"{number}"
            )
        return np.array(CITYSCAPES, np.uint8)
    values = coding.file_values() if coding is not None and labels == "data" else np.arange(number)
    return values.astype(np.uint8 if values.max() < 256 else np.uint16)


def as_words(options: Mapping[str, Any]) -> str:
    """Options as they are written on a command line, quoted for the shell."""
    words = []
    for key, value in options.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words.append(f"'{key}={text}'" if set(text) & set("{}[], ") else f"{key}={text}")
    return " ".join(words)

"""A label map, drawn in its classes' colours, on the image or alone, with a legend."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

import numpy as np
from PIL import Image

from denseup.escaping import for_spreadsheets
from denseup.results.base import File, Result, UInt8, by_strips, rgb_bytes
from denseup.visualization.layout import legend
from denseup.visualization.maps import ClassMaps

LEGEND_WIDTH = 480


@dataclass(frozen=True)
class LabelMap(Result):
    """Classes of one image.

    Args:
        image: see `Result`.
        values: class of each pixel, uint8 [H, W]; a prediction has no ignored ones.
        class_names: of classes 0, 1, …
        ignore_index: the label that is no class.
    """

    kinds = ("labels", "overlay")

    class_names: Sequence[str]
    ignore_index: int = 255

    @property
    def labels(self) -> UInt8:
        """uint8 [H, W]."""
        return self.values

    @property
    def palette(self) -> UInt8:
        """Colours of all labels, RGB uint8 [256, 3]."""
        return ClassMaps(self.ignore_index).palette()

    def overlay(self, opacity: float = 0.5) -> UInt8:
        """The image under its classes' colours, RGB uint8 [H, W, 3]; a ValueError for an opacity outside of 0 … 1."""
        if not 0 <= opacity <= 1:
            raise ValueError(f"opacity is {opacity!r}, expected 0 (the image alone) … 1 (the colours alone)")
        colours, under = self.palette * np.float32(opacity), np.float32(1 - opacity)
        return by_strips(
            lambda labels, image: np.rint(colours[labels] + rgb_bytes(image) * under).astype(np.uint8),
            self.labels,
            self.image,
        )

    def legend(self) -> UInt8:
        """The classes' colours with their names, RGB uint8 [h, w, 3]."""
        colours = self.palette
        entries = [(name, tuple(colours[index].tolist())) for index, name in enumerate(self.class_names)]
        return legend(entries, LEGEND_WIDTH)

    def picture(self, kind: str, bits: int = 8) -> Image.Image:
        """Class indices with the colours as their palette, or the overlay."""
        self.check_picture(kind, bits)
        if kind == "overlay":
            return Image.fromarray(self.overlay())
        picture = Image.fromarray(self.labels)
        picture.putpalette(self.palette.tobytes())
        return picture

    def once(self) -> dict[str, File]:
        """legend.png, and classes.csv: index, name, colour."""
        table = StringIO(newline="")
        rows = csv.writer(table)
        rows.writerow(["index", "name", "colour"])
        for index, name in enumerate(self.class_names):
            rows.writerow([index, for_spreadsheets(name), f"#{bytes(self.palette[index]).hex()}"])
        return {"legend.png": Image.fromarray(self.legend()), "classes.csv": table.getvalue()}

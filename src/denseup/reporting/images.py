"""What each validation image adds to a run's metrics, from the files of its folder."""

import math
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from denseup.engine import RunFolder
from denseup.engine.per_image import read_counts, read_rows
from denseup.reporting.loading import Run
from denseup.statistics import ImageParts


@dataclass(frozen=True)
class Images:
    """The images of one evaluation.

    Args:
        names: of them, in the order of the data.
        parts: metric → what they add to it, of the metrics that are known to come from these images.
    """

    names: tuple[str, ...]
    parts: Mapping[str, ImageParts]

    def are(self, names: Sequence[str]) -> bool:
        """Whether they are those of these names, in any order."""
        return Counter(self.names) == Counter(names)

    def ordered(self, names: Sequence[str]) -> "Images":
        """The same images in the order of their names here."""
        if self.names == tuple(names):
            return self
        places = np.argsort(np.array(self.names), kind="stable")
        order = places[np.argsort(np.argsort(np.array(names), kind="stable"))]
        return Images(tuple(names), {key: parts.taken(order) for key, parts in self.parts.items()})


def read_images(run: Run, evaluation: str) -> Images:
    """The images of an evaluation; none where the run has not kept them, or not whole.

    Values of images stand for a metric only if they give its value: those of segmentation do not average to mIoU, and
    runs of earlier versions have no others.
    """
    folder = RunFolder(run.files)
    try:
        rows = read_rows(folder.per_image).get(evaluation, [])
        counts = read_counts(folder.per_image_counts).get(evaluation, {})
        found = {key: ImageParts(*np.moveaxis(array.astype(np.float64), 1, 0)) for key, array in counts.items()}
        columns = [key for key in run.metrics.get(evaluation, {}) if key != "step" and key not in found and rows]
        found |= {key: ImageParts.of_values([row[key] for row in rows]) for key in columns if key in rows[0]}
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile):
        return Images((), {})
    values = run.metrics.get(evaluation, {})
    kept = {key: parts for key, parts in found.items() if len(parts) == len(rows) and _gives(parts, values.get(key))}
    return Images(tuple(str(row["name"]) for row in rows), kept)


def _gives(parts: ImageParts, value: float | None) -> bool:
    return value is not None and math.isclose(parts.value, value, rel_tol=1e-6, abs_tol=1e-12)

"""Label maps of the Semantic Boundaries Dataset (Hariharan et al., ICCV 2011), MATLAB files of a struct each."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from denseup.data.reading.decoding import Array, DataError
from denseup.data.reading.files import file_bytes

STRUCT, FIELD = "GTcls", "Segmentation"
LABELS = 21


def read_sbd_label(path: Path) -> Array:
    """uint8 [H, W] classes 0 … 20 of `cls/NAME.mat`, VOC's; the release ignores no pixel.

    Raises:
        DataError: the file is cut, no MATLAB file, or holds something else.
        ModuleNotFoundError: SciPy, which reads such files, is not installed.
    """
    from scipy.io import loadmat

    data = file_bytes(path)
    try:
        found = loadmat(BytesIO(data), variable_names=[STRUCT], mat_dtype=False)
        values = found[STRUCT][FIELD][0, 0]
    except Exception as error:  # SciPy raises what its parts do: zlib's, NumPy's, its own
        what = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: found no {STRUCT}.{FIELD} in it ({what}); expected a MATLAB file of SBD") from error
    return _classes(values, path)


def _classes(values: Any, path: Path) -> Array:
    if not isinstance(values, np.ndarray) or values.ndim != 2 or not values.size or values.dtype.kind not in "uif":
        what = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else type(values).__name__
        raise DataError(f"{path}: found {STRUCT}.{FIELD} of {what}; expected numbers [H, W]")
    classes: Array = np.where(np.isin(values, range(LABELS)), values, LABELS).astype(np.uint8)
    if (classes == LABELS).any():
        stray = values[classes == LABELS].flat[0]
        raise DataError(f"{path}: found the label {stray} in {STRUCT}.{FIELD}; expected 0..{LABELS - 1}")
    return classes

"""Colours of the foreground from an image and its matte, by pymatting; in parts where the image is large.

Germer et al., "Fast Multi-Level Foreground Estimation", ICPR 2020, arXiv:2006.14970.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

SIDE, OVERLAP = 3072, 256
"""Of the parts, in pixels: neighbours share an overlap, across which one fades into the other."""


def estimate_foreground(image: NDArray, alpha: Float32) -> Float32:
    """The foreground's colours, float32 [H, W, 3] in [0, 1]; where alpha is 1 they are the image's.

    Args:
        image: RGB [H, W, 3], uint8, or float32 in [0, 1].
        alpha: float32 [H, W] in [0, 1].

    Raises:
        ImportError: pymatting is not installed.
    """
    height, width = alpha.shape
    if not (alpha < 1).any() or max(height, width) == 1:  # nothing to tell apart; pymatting divides by a log of 1
        return _unit(image)
    total: Float32 = np.zeros((height, width, 3), np.float32)
    with _threads_of_torch():
        estimate = _estimator()
        for (top, rows), (left, columns) in product(_spans(height), _spans(width)):
            part = (slice(top, top + len(rows)), slice(left, left + len(columns)))
            colours = estimate(_unit(image[part]), np.ascontiguousarray(alpha[part]))
            total[part] += colours * (rows[:, None] * columns)[..., None]
    for row in range(0, height, OVERLAP):  # in strips: a mask of a large image takes memory too
        strip = slice(row, row + OVERLAP)
        opaque = alpha[strip] == 1
        total[strip][opaque] = _unit(image[strip][opaque])
    return total.clip(0, 1, out=total)


@contextmanager
def _threads_of_torch() -> Iterator[None]:
    """Numba and torch share OpenMP's number of threads: what starts numba's would set torch's too, for good."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def _estimator() -> Callable[[Float32, Float32], Float32]:
    # Its parallel loops are few, and their threads would stay: one is as fast.
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    try:
        from pymatting import estimate_foreground_ml
    except ImportError as error:
        raise ImportError(
            f"the foreground's colours need {error.name}: pip install 'denseup[predict]'; files=[alpha] does without "
            "the cut-out"
        ) from error
    return estimate_foreground_ml


def _spans(length: int) -> Iterator[tuple[int, Float32]]:
    """(start, weights) of parts that cover a side; the weights of neighbours sum to 1."""
    step = SIDE - OVERLAP
    ramp = ((np.arange(OVERLAP) + 0.5) / OVERLAP).astype(np.float32)
    for start in range(0, max(length - OVERLAP, 1), step):
        weights = np.ones(min(SIDE, length - start), np.float32)
        if start:
            weights[:OVERLAP] = ramp
        if start + step < length - OVERLAP:
            weights[step:] = ramp[::-1]
        yield start, weights


def _unit(image: NDArray) -> Float32:
    if image.dtype == np.uint8:
        return image * np.float32(1 / 255)
    return np.ascontiguousarray(image, np.float32)

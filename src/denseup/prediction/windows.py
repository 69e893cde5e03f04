"""Windows of an image: what is wanted of each, and what has to be seen for it."""

import math
from collections.abc import Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """A part of one side, in pixels.

    Args:
        start, stop: what is wanted.
        first, last: what is seen, `last` not included.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def wanted(self) -> slice:
        """In the image."""
        return slice(self.start, self.stop)

    @property
    def seen(self) -> slice:
        """In the image."""
        return slice(self.first, self.last)

    @property
    def inside(self) -> slice:
        """What is wanted, in what is seen."""
        return slice(self.start - self.first, self.stop - self.first)


class Window(NamedTuple):
    """A part of an image."""

    rows: Span
    columns: Span


def windows(size: tuple[int, int], pixels: float, halo: int, step: int) -> Iterator[Window]:
    """Windows of at most so many pixels, halo included, that cover an image of this size, row by row.

    What is seen begins at a multiple of `step` and is as long as the image modulo `step`, so that strided convolutions
    fall on the pixels that they fall on in the whole image.

    Raises:
        TooLittleError: not even the smallest window has so few pixels.
    """
    rows, columns = cores(size, pixels, halo, step)
    for row in spans(size[0], rows, halo, step):
        for column in spans(size[1], columns, halo, step):
            yield Window(row, column)


class TooLittleError(ValueError):
    """A bound that nothing fits into.

    Args:
        pixels: of the smallest window.
    """

    def __init__(self, pixels: int) -> None:
        super().__init__(f"the smallest window has {pixels} pixels")
        self.pixels = pixels


def cores(size: tuple[int, int], pixels: float, halo: int, step: int) -> tuple[int, int]:
    """Height and width of what is wanted of each window: the pair with which the fewest pixels are seen in all.

    Raises:
        TooLittleError: see `windows`.
    """
    sides = [sorted({-(-length // (n * step)) * step for n in range(1, length // step + 2)}) for length in size]
    best = None
    for height in sides[0]:
        seen = min(height + 2 * halo + step, size[0])
        fitting = [width for width in sides[1] if seen * min(width + 2 * halo + step, size[1]) <= pixels]
        if fitting:
            across = min(fitting[-1] + 2 * halo + step, size[1])
            total = math.ceil(size[0] / height) * seen * math.ceil(size[1] / fitting[-1]) * across
            best = min(best or (total, height, fitting[-1]), (total, height, fitting[-1]))
    if best is None:
        smallest = [min(side[0] + 2 * halo + step, length) for side, length in zip(sides, size, strict=True)]
        raise TooLittleError(smallest[0] * smallest[1])
    return best[1], best[2]


def spans(length: int, core: int, halo: int, step: int) -> list[Span]:
    """The parts of a side, each as long as `core`, a multiple of `step`; the last one may be shorter."""
    found = []
    for start in range(0, length, core):
        stop = min(start + core, length)
        last = stop + halo
        last += (length - last) % step  # as the whole side ends, modulo the step
        found.append(Span(start, stop, max(start - halo, 0), min(last, length)))
    return found

"""A prediction in parts, each with as much of the image around it as its network looks at."""

import math
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denseup.data.reading.samples import Array
from denseup.prediction.reach import Reach
from denseup.prediction.sample import Sample
from denseup.prediction.windows import Span, Window, windows
from denseup.tasks import DenseTask


def exact_parts(task: DenseTask, sample: Sample, reach: Reach, pixels: float, context: Tensor | None) -> Array:
    """Values of a padded image, at most so many pixels at once; what a part sees is all that has a say in it."""
    assert reach.direct is not None
    values = None
    for window in windows(sample.size, pixels, reach.direct, reach.step):
        rows, columns = window
        settled = task.settled(sample.batch(task.device, rows.wanted, columns.wanted))
        if settled is None:
            part = _part(task, sample, window, context, reach.step)[rows.inside, columns.inside]
        else:
            part = settled[0].cpu().numpy()
        if values is None:
            values = np.empty(sample.size, part.dtype)
        values[rows.wanted, columns.wanted] = part
    assert values is not None
    return values


def blended_parts(task: DenseTask, sample: Sample, reach: Reach, pixels: float, context: Tensor | None) -> Array:
    """As `exact_parts`, of a network in which every pixel has a say everywhere: so far as a part sees them.

    A quarter of its side is seen around a part. Numbers fade from one part into the next; classes, which can't, change
    in the middle of what both see.
    """
    halo = max(int(math.sqrt(max(pixels, 0))) // 4 // reach.step, 1) * reach.step
    if task.values_are_classes:
        return exact_parts(task, sample, Reach(reach.step, halo), pixels, context)
    total, weights = (np.zeros(sample.size, np.float32) for _ in range(2))
    kind = None
    for window in windows(sample.size, pixels, halo, reach.step):
        part = _part(task, sample, window, context, reach.step)
        kind = part.dtype
        weight = _ramp(window.rows)[:, None] * _ramp(window.columns)
        total[window.rows.seen, window.columns.seen] += part * weight
        weights[window.rows.seen, window.columns.seen] += weight
    total /= weights
    assert kind is not None
    return total if kind.kind == "f" else np.rint(total).astype(kind)


def put_together(task: DenseTask, sample: Sample, method: str, halo: int, step: int, pixels: float) -> list[Tensor]:
    """Maps of a whole image that a method of the network gives, "encode" or "deep_maps", from those of its parts."""
    whole: list[Tensor] = []
    for rows, columns in windows(sample.size, pixels, halo, step):
        maps = maps_of(task, sample.batch(task.device, rows.seen, columns.seen), method)
        whole = place(task, whole, maps, Window(rows, columns), sample.size, step)
    return whole


def place(
    task: DenseTask, whole: list[Tensor], maps: list[Tensor], window: Window, size: tuple[int, int], step: int
) -> list[Tensor]:
    """Write what is wanted of a window into the maps of a whole image of this size; [] before the first window.

    Args:
        task: whose memory layout they have.
        whole: what comes back, written to.
        maps: of all that is seen of the window, at any strides that divide `step`.
        window, size: in pixels.
        step: see `windows`.
    """
    rows, columns = window
    seen = (rows.last - rows.first, columns.last - columns.first)
    strides = [_stride(seen, y, step) for y in maps]
    if not whole:
        sizes = [[-(-side // stride) for side in size] for stride in strides]
        whole = [_new_map(task, y, cells) for y, cells in zip(maps, sizes, strict=True)]
    for y, part, stride in zip(whole, maps, strides, strict=True):
        (top, bottom, above), (left, right, before) = (_cells(span, stride) for span in (rows, columns))
        y[..., top:bottom, left:right] = part[..., above : above + bottom - top, before : before + right - left]
    return whole


def maps_of(task: DenseTask, batch: dict[str, Any], method: str) -> list[Tensor]:
    """What a method of the network gives on the input that the task makes of a batch."""
    found: list[Tensor] = []

    def instead(x: Tensor) -> Tensor:
        found.extend(getattr(task.network, method)(x))
        raise _MapsFound

    with task.running(instead), suppress(_MapsFound):
        task.values(batch)
    return found


def decoded(task: DenseTask, batch: dict[str, Any], maps: list[Tensor]) -> Array:
    """Values of a batch whose maps are known."""
    with task.running(partial(task.network, maps=maps)):
        return task.values(batch)[0].cpu().numpy()


class _MapsFound(Exception):  # noqa: N818, no error but the way out
    pass


def _new_map(task: DenseTask, like: Tensor, size: list[int]) -> Tensor:
    shape = (1, like.shape[1], *size)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=task.memory_format)


def _part(task: DenseTask, sample: Sample, window: Window, context: Tensor | None, step: int) -> Array:
    """Values of all that is seen of a window."""
    rows, columns = window
    batch = sample.batch(task.device, rows.seen, columns.seen)
    if context is None:
        return task.values(batch)[0].cpu().numpy()
    with task.running(decode_with(task, context, sample, window, step)):
        return task.values(batch)[0].cpu().numpy()


def decode_with(task: DenseTask, context: Tensor, sample: Sample, window: Window, step: int) -> partial[Tensor]:
    """The network on a window of an image whose context is known: what `DenseTask.running` takes."""
    return partial(_decode, task.network, _crop(context, sample, window, step))


def _decode(network: torch.nn.Module, context: Tensor, x: Tensor) -> Tensor:
    decoded: Tensor = network.decode(network.encode(x), x, context)  # type: ignore[operator]
    return decoded


def _crop(context: Tensor, sample: Sample, window: Window, step: int) -> Tensor:
    stride = _stride(sample.size, context, step)
    rows, columns = (slice(span.first // stride, -(-span.last // stride)) for span in window)
    return context[..., rows, columns]


def _stride(size: tuple[int, int], y: Tensor, step: int) -> int:
    """Of a map of an image of this size: a divisor of the coarsest one. A side of a few pixels alone would not tell."""
    cells = tuple(y.shape[2:])
    return next(s for s in range(step, 0, -1) if step % s == 0 and cells == (-(-size[0] // s), -(-size[1] // s)))


def _cells(span: Span, stride: int) -> tuple[int, int, int]:
    """First and last cell of what is wanted in the whole map, and the first in the map of what is seen."""
    return span.start // stride, -(-span.stop // stride), (span.start - span.first) // stride


def _ramp(span: Span) -> Array:
    """Weights of what is seen, falling off towards both ends, where there is a neighbour."""
    position = np.arange(span.first, span.last) + 0.5
    rising = (position - span.first) / max(2 * (span.start - span.first), 1) if span.start else np.ones(len(position))
    ahead = span.last - span.stop
    falling = (span.last - position) / max(2 * ahead, 1) if ahead else np.ones(len(position))
    return np.minimum(np.minimum(rising, falling), 1).astype(np.float32)

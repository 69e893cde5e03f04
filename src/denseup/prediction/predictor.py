"""A task that predicts whole pictures, in parts where a picture is large."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import torch

from denseup.data.datasets.segmentation_folder import resize_for_test
from denseup.data.reading.samples import Array
from denseup.prediction.memory import PROBE, bytes_per_pixel, free_memory, parse_memory
from denseup.prediction.parts import blended_parts, decoded, exact_parts, maps_of, put_together
from denseup.prediction.reach import Reach, measure_reach
from denseup.prediction.sample import Sample
from denseup.prediction.windows import TooLittleError
from denseup.results import Result
from denseup.tasks import DenseTask

MEMORY = "4GiB"
MAP_BYTES = 4
"""Of each number."""
MEASURED: WeakKeyDictionary[DenseTask, dict[tuple[str, str], Any]] = WeakKeyDictionary()
"""What was measured of tasks, so that a loop of calls measures once."""


class Predictor:
    """Predicts as the task's evaluation does, whatever the size of the image.

    An image that does not fit into the memory is predicted in parts. Where a part sees all that has a say in it, the
    result is that of the whole image but for rounding; a network in which every pixel has a say everywhere
    (attention, A2U) only comes near it, and a warning says so.

    Args:
        task: in evaluation mode, with its weights.
        memory: bound of what this process takes altogether, such as "4GiB" or a number of bytes.
        device: "cpu", "cuda", or "auto" for the GPU where there is one.

    Raises:
        ValueError: a memory or device that is none.
    """

    def __init__(self, task: DenseTask, *, memory: str | int = MEMORY, device: str = "cpu") -> None:
        self.memory = parse_memory(memory)
        self.task = task.eval().to(_device(device))

    @torch.no_grad()
    def __call__(self, image: Array, prompts: Mapping[str, Array] | None = None, name: str = "image") -> Result:
        """The result for one image.

        Args:
            image: RGB [H, W, 3], uint8, or float32 in [0, 1].
            prompts: uint8 [H, W] by the keys of the task's `prompts`.
            name: for messages.

        Raises:
            ValueError: the memory does not do, or the task can't predict pictures.
            DivergedError: the network's output is not finite.
        """
        sample = Sample(image, prompts or {}, name)
        values = self._values(sample) if self.task.test_size is None else self._resized(sample)
        return self.task.result(values, image, sample.prompts)

    @property
    def reach(self) -> Reach:
        """Of the network; measured when first asked for."""
        return self._once("reach", lambda: measure_reach(self.task.network, self.task.in_channels))

    def _values(self, sample: Sample) -> Array:
        if self._fits(sample, self._bytes("whole")):
            return self._run(sample.batch(self.task.device))
        try:
            if self.reach.maps is not None and self._fits(sample, self._bytes("decode")):
                return self._decoded(sample, self.reach.maps)
            return self._in_parts(sample)
        except TooLittleError as error:
            raise self._too_little(error) from error

    def _decoded(self, sample: Sample, halo: int) -> Array:
        """The encoder in parts, and what follows as a whole: for a decoder that ends on few pixels."""
        pixels = self._left(sample) / self._bytes("encode")
        maps = put_together(self.task, sample, "encode", halo, self.reach.step, pixels)
        return decoded(self.task, sample.batch(self.task.device), maps)

    def _in_parts(self, sample: Sample) -> Array:
        (height, width), reach, context = sample.size, self.reach, None
        sample = sample.padded(self.task.padding if self.task.padding > 1 else reach.step)
        if reach.deep is not None:
            pixels = self._left(sample) / self._bytes("deep_maps")
            maps = put_together(self.task, sample, "deep_maps", reach.deep, reach.step, pixels)
            context = self.task.network.context(maps)  # type: ignore[operator]
        if reach.direct is None:
            self._warn(sample.name)
        by_parts = blended_parts if reach.direct is None else exact_parts
        values = by_parts(self.task, sample, reach, self._left(sample) / self._bytes("whole"), context)
        return np.ascontiguousarray(values[:height, :width])

    def _resized(self, sample: Sample) -> Array:
        """As the evaluation does: the network sees a smaller image, and its answer is brought to the size of this."""
        assert self.task.test_size is not None
        height, width = sample.size
        smaller = Sample(resize_for_test(sample.image, *self.task.test_size), {}, sample.name)
        if self._fits(smaller, self._bytes("whole")):
            return self._run({**smaller.batch(self.task.device), "size": sample.size})
        return cv2.resize(self._values(smaller), (width, height), interpolation=cv2.INTER_NEAREST)

    def _run(self, batch: dict[str, Any]) -> Array:
        try:
            return self.task.values(batch)[0].cpu().numpy()
        except KeyError as error:
            raise ValueError(
                f"task {self.task.name} looks for {error} in a batch: to predict pictures without it "
                f"{type(self.task).__name__} has to implement `values`"
            ) from error

    def _bytes(self, what: str) -> float:
        """For each pixel: of the whole network, of its decoder, or of a method that gives maps."""
        task = self.task

        def run(side: int) -> object:
            batch = self._blank(side)
            if what == "whole":
                return self._run(batch)
            return decoded(task, batch, maps[side]) if what == "decode" else maps_of(task, batch, what)

        def measure() -> float:
            return bytes_per_pixel(run, task.device) + (MAP_BYTES * _numbers(maps[PROBE]) if maps else 0)

        maps = {PROBE: maps_of(task, self._blank(PROBE), "encode")} if what == "decode" else {}
        known = self._once(what, measure)
        assert isinstance(known, float)
        return known

    def _once(self, what: str, measure: Callable[[], Any]) -> Any:
        known = MEASURED.setdefault(self.task, {})
        key = (what, str(self.task.device))
        if key not in known:
            known[key] = measure()
        return known[key]

    def _blank(self, side: int) -> dict[str, Any]:
        """A batch of an image in which nothing is known."""
        grey = np.full((side, side), 128, np.uint8)
        return Sample(np.dstack([grey] * 3), dict.fromkeys(self.task.prompts, grey)).batch(self.task.device)

    def _left(self, sample: Sample) -> float:
        """Bytes for the network, beside the result."""
        return free_memory(self.memory, self.task.device) - 8 * sample.size[0] * sample.size[1]

    def _fits(self, sample: Sample, bytes_each: float) -> bool:
        return bytes_each * sample.size[0] * sample.size[1] <= self._left(sample)

    def _too_little(self, error: TooLittleError) -> ValueError:
        each = max(self._bytes("whole"), self._bytes("deep_maps") if self.reach.deep else 0)
        used = self.memory - free_memory(self.memory, torch.device("cpu"))
        needed = (used + error.pixels * each) / 2**30
        return ValueError(
            f"memory is {self.memory / 2**30:.3g} GiB, expected at least {needed:.1f} GiB with this network: its "
            f"smallest part has {error.pixels} pixels of {each:.0f} bytes each, and the process itself has "
            f"{used / 2**30:.1f} GiB"
        )

    def _warn(self, name: str) -> None:
        warnings.warn(
            f"{name}: predicted in parts, for the whole takes more than {self.memory / 2**30:.3g} GiB; but in this "
            "network every pixel has a say everywhere, so that parts differ a little from the whole. A greater memory, "
            "or a smaller image, does without",
            stacklevel=6,
        )


def _numbers(maps: Sequence[torch.Tensor]) -> float:
    """Numbers in maps for each pixel of the image that was measured."""
    return sum(y.numel() for y in maps) / PROBE**2


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device is {name!r}, expected cpu, cuda or auto: {str(error).splitlines()[0]}") from error
    return device

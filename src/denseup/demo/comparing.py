"""The networks of a page, and what they say of one picture."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from denseup.demo.looking import shown
from denseup.prediction import Predictor
from denseup.results import Result
from denseup.results.base import Array, UInt8, rgb_bytes

IMAGE = "image"
"""The picture itself, among the pictures of it."""


@dataclass(frozen=True)
class Answers:
    """What was said of one picture.

    Args:
        image: RGB [H, W, 3].
        results: by name of the network.
        seconds: that each took.
    """

    image: Array
    results: Mapping[str, Result]
    seconds: Mapping[str, float]
    _drawn: dict[str, dict[str, UInt8]] = field(default_factory=dict)

    def pictures(self, kind: str) -> dict[str, UInt8]:
        """The image and a picture of each result, RGB uint8 [H, W, 3], by name; drawn when first asked for.

        Args:
            kind: one of `Result.kinds`.
        """
        if kind not in self._drawn:
            drawn = {name: shown(result, kind) for name, result in self.results.items()}
            self._drawn[kind] = {IMAGE: rgb_bytes(self.image), **drawn}
        return self._drawn[kind]

    def times(self) -> str:
        """A sentence: "640 × 480 pixels: fade 0.52 s, bilinear 0.41 s"."""
        height, width = self.image.shape[:2]
        each = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in self.seconds.items())
        return f"{width} × {height} pixels: {each}"


def ask(predictors: Mapping[str, Predictor], image: Array, prompts: Mapping[str, Array]) -> Answers:
    """What each network says of an image, one after the other, timed.

    Raises:
        ValueError: as of `Predictor`.
    """
    results, seconds = {}, {}
    for name, predictor in predictors.items():
        started = time.perf_counter()
        results[name] = predictor(image, prompts)
        seconds[name] = time.perf_counter() - started
    return Answers(image, results, seconds)


def one_task(predictors: Mapping[str, Predictor]) -> str:
    """The task that all networks are of.

    Raises:
        ValueError: they are of several.
    """
    tasks = {name: predictor.task.name for name, predictor in predictors.items()}
    if len(set(tasks.values())) > 1:
        found = ", ".join(f"{name}: {task}" for name, task in tasks.items())
        raise ValueError(f"ckpt has networks of several tasks ({found}), expected those of one")
    return next(iter(tasks.values()))


def names_of(upsamplers: Sequence[str], checkpoints: Sequence[Path]) -> list[str]:
    """A name for each network: its upsampler's, with as much of its path as tells it from those of the same one."""
    names = list(upsamplers)
    for depth in range(1, max(len(path.parts) for path in checkpoints) + 1):
        if len(set(names)) == len(names):
            break
        tails = ["/".join(path.parts[-depth:]) for path in checkpoints]
        names = [
            f"{upsampler} ({tail})" if upsamplers.count(upsampler) > 1 else upsampler
            for upsampler, tail in zip(upsamplers, tails, strict=True)
        ]
    if len(set(names)) < len(names):
        raise ValueError(f"ckpt names a checkpoint twice: {', '.join(map(str, checkpoints))}")
    return names

"""How long each step of the two published recipes takes on one core, and how many samples a second that makes.

In processor time of this process, OpenCV on one thread: what a worker of a data loader gets. Files are read before.
Beside them stands what OpenCV's own resizing and warping take for the same sizes, below which no recipe can be.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CROP = 512
GOALS = {"composition1k": 40.0, "ade20k": 60.0}
"""Samples a second of a core."""
SOURCE, TENSORS = "source", "tensors"
"""What comes before the steps (a foreground, a scene of photographs and cut-outs), and after them."""


@dataclass(frozen=True)
class Measured:
    """Milliseconds of a sample, by step; each of its fastest round."""

    recipe: str
    steps: dict[str, float]

    @property
    def per_second(self) -> float:
        """Samples that one core makes in a second."""
        return 1000 / sum(self.steps.values())

    @property
    def slowest(self) -> str:
        """The step that takes most of the time."""
        return max(self.steps, key=lambda name: self.steps[name])

    def __str__(self) -> str:
        times = "  ".join(f"{name} {value:.2f}" for name, value in self.steps.items())
        goal = GOALS[self.recipe]
        met = "met" if self.per_second >= goal else "missed"
        share = self.steps[self.slowest] / sum(self.steps.values())
        return (
            f"{self.recipe}, crops of {CROP}: {self.per_second:.1f} samples/s of a core (goal {goal:.0f}: {met}); "
            f"slowest step: {self.slowest}, {share:.0%}\n    ms: {times}"
        )


def recipes() -> dict[str, Any]:
    """The published recipes on the embedded photographs."""
    from denseup.data import DemoMatting, DemoScenes, MattingAugmentation, SegmentationAugmentation

    return {
        "composition1k": DemoMatting("train", length=64, augmentation=MattingAugmentation()),
        "ade20k": DemoScenes("train", length=64, image_size=CROP, augmentation=SegmentationAugmentation()),
    }


def measure(recipe: str, dataset: Any, samples: int, rounds: int) -> Measured:
    """Each step's time over the same samples, round by round."""
    dataset[0, 0]  # reads files, and what is loaded lazily
    items = [(1, index) for index in range(samples)]
    for item in items:
        dataset[item]
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, value in _one_round(dataset, items).items():
            best[name] = min(best.get(name, value), value)
    return Measured(recipe, {name: 1000 * value / samples for name, value in best.items()})


def floors(rounds: int = 7) -> dict[str, float]:
    """Milliseconds of OpenCV's own work on arrays of the recipes' sizes."""
    import cv2
    import numpy as np

    layer, image = np.ones((CROP, CROP, 4), np.float32), np.ones((CROP, CROP, 3), np.uint8)
    turn = np.array([[0.9, 0.1, 3], [-0.1, 0.9, 5]])
    work: dict[str, Callable[[], Any]] = {
        f"warpAffine {CROP}² float32 ×4": lambda: cv2.warpAffine(layer, turn, (CROP, CROP)),
        f"resize to {CROP * 5 // 4}² float32 ×4": lambda: cv2.resize(layer, (CROP * 5 // 4, CROP * 5 // 4)),
        f"resize to {CROP * 2}² uint8 ×3": lambda: cv2.resize(image, (CROP * 2, CROP * 2)),
    }
    return {name: 1000 * min(_seconds(function) for _ in range(rounds)) for name, function in work.items()}


def report(samples: int, rounds: int) -> None:
    """Print both recipes and the floors."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        for name, dataset in recipes().items():
            print(measure(name, dataset, samples, rounds))
        print("OpenCV alone, ms: " + "; ".join(f"{name} {value:.2f}" for name, value in floors().items()))
    finally:
        cv2.setNumThreads(threads)


def _one_round(dataset: Any, items: list[tuple[int, int]]) -> dict[str, float]:
    spent: dict[str, float] = {}
    whole = 0.0
    for item in items:
        last = time.process_time()
        stages = dataset.stages(item)
        last = _note(spent, SOURCE, last)
        for name, _ in stages:
            last = _note(spent, name, last)
        dataset[item]
        whole += time.process_time() - last
    return {**spent, TENSORS: max(whole - sum(spent.values()), 0.0)}


def _note(spent: dict[str, float], name: str, since: float) -> float:
    now = time.process_time()
    spent[name] = spent.get(name, 0.0) + now - since
    return now


def _seconds(function: Callable[[], Any]) -> float:
    begun = time.process_time()
    function()
    return time.process_time() - begun

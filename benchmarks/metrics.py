"""The metrics of both tasks on one full-size image, against a naive formulation with equal results.

Needs denseup with numpy, OpenCV and torchmetrics.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import torch

from benchmarks.cases import Case, Entrant, Settings, Work
from benchmarks.options import missing, numbers, parser
from benchmarks.parity import Results, worst_error
from benchmarks.running import MakeCase, run
from benchmarks.targets import METRIC

NEEDED = ("numpy", "cv2", "torchmetrics")
MATTING, SEGMENTATION, QUICK = (1080, 1920), (512, 683), (60, 80)
NUM_CLASSES = 150
TOLERANCE = 1e-12
"""Equal up to the order in which floating-point numbers are added."""

Metric = Callable[..., float]
Images = Callable[[], Sequence[Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    options = _parser().parse_args(arguments)
    options.device = "cpu"  # where metrics are computed
    options.no_memory = True  # which is not torch's, so that it is not seen
    absent = missing(NEEDED)
    if absent:
        print(f"benchmarks.metrics: skipped: not installed: {', '.join(absent)}")
        return 0
    return run("metrics", options, lambda how: _cases(options, how))


def _parser() -> argparse.ArgumentParser:
    options = parser("metrics", __doc__)
    options.add_argument("--sizes", type=partial(numbers, count=2), help="H×W of all images, as 1080x1920")
    options.add_argument("--num-classes", type=int, default=NUM_CLASSES, help="of the segmentation metrics")
    return options


def _cases(options: argparse.Namespace, how: Settings) -> Iterator[tuple[str, MakeCase]]:
    from benchmarks import naive_metrics as naive
    from benchmarks.images import label_maps, mattes
    from denseup.metrics import functional as ours

    size = options.sizes or (QUICK if options.quick else None)
    height, width = size or MATTING
    for key in ("sad", "mse", "grad", "conn"):
        pair = [getattr(module, key) for module in (ours, naive)]
        yield _named(f"{key} {height}×{width}", partial(mattes, (height, width)), *pair)
    height, width = size or SEGMENTATION
    for name, key in (("mIoU", "mean_iou"), ("boundary IoU", "boundary_iou")):
        pair = [partial(getattr(module, key), num_classes=options.num_classes) for module in (ours, naive)]
        maps = partial(label_maps, (height, width), options.num_classes)
        yield _named(f"{name} {height}×{width}, {options.num_classes} classes", maps, *pair)


def _named(name: str, images: Images, ours: Metric, naive: Metric) -> tuple[str, MakeCase]:
    return name, lambda: metric_case(name, images(), ours, naive)


def metric_case(name: str, images: Sequence[Any], ours: Metric, naive: Metric) -> Case:
    """Our metric beside the naive one, which says what is true, on the same arrays."""

    @cache
    def truth() -> Results:
        return _named_value(naive(*images))

    def entrant(of: str, metric: Metric) -> Entrant:
        call = partial(metric, *images)
        return Entrant(of, lambda: Work({METRIC: call}, lambda: worst_error(_named_value(call()), truth())))

    return Case(name, [entrant("naive", naive), entrant("denseup", ours)], "naive", TOLERANCE)


def _named_value(value: float) -> Results:
    return {"value": torch.tensor(value, dtype=torch.float64)}


if __name__ == "__main__":
    sys.exit(main())

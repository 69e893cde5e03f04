"""How fast training batches and evaluation samples of the embedded demo set are made, with and without workers; and
what each step of the published recipes takes (`benchmarks.steps`).

Needs denseup with numpy and OpenCV.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from benchmarks import steps
from benchmarks.cases import Case, Entrant, Settings, Work
from benchmarks.options import missing, names, parser
from benchmarks.parity import Results, worst_error
from benchmarks.running import MakeCase, run

NEEDED = ("numpy", "cv2")
EPOCH = "epoch"
BATCH = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    options = _parser().parse_args(arguments)
    options.device = "cpu"  # where samples are made
    options.no_memory = True  # workers are processes of their own
    absent = missing(NEEDED)
    if absent:
        print(f"benchmarks.data: skipped: not installed: {', '.join(absent)}")
        return 0
    if not options.steps_only:
        code = run("data", options, lambda how: _cases(options, how))
    steps.report(*((2, 1) if options.quick else (32, 5)))
    return 0 if options.steps_only else code


def _parser() -> argparse.ArgumentParser:
    options = parser("data", __doc__)
    options.add_argument("--length", type=int, help=f"samples of an epoch (default: 64), in batches of {BATCH}")
    options.add_argument("--steps-only", action="store_true", help="only what each step of the recipes takes")
    options.add_argument("--workers", default="0,2", help="numbers of worker processes, comma-separated")
    return options


def _cases(options: argparse.Namespace, how: Settings) -> Iterator[tuple[str, MakeCase]]:
    from denseup.data import DemoMatting, DemoScenes

    length = options.length or (BATCH if options.quick else 64)
    workers = sorted(map(int, names(options.workers)))
    for task, dataset, crop in (("matting", DemoMatting, 96), ("segmentation", DemoScenes, 160)):
        for split, what in (("train", f"crops of {crop}"), ("val", "whole images of 256")):
            make = partial(dataset, split, length=length, crop_size=crop)
            name = f"demo {task}, {split}, {length} {what}"
            yield name, partial(_made, name, make, workers)


def _made(name: str, make: partial[Any], workers: Sequence[int]) -> Case:
    return loading_case(name, make(), workers)


def loading_case(name: str, dataset: Dataset[Any], workers: Sequence[int]) -> Case:
    """One epoch with each number of workers; a worker must give the samples that the data set itself gives."""

    @cache
    def truth() -> Results:
        samples = [dataset[index] for index in _sampler(dataset)]
        size = _batch_size(dataset)
        return _tensors([default_collate(samples[i : i + size]) for i in range(0, len(samples), size)])

    def prepare(count: int) -> Work:
        loader = _loader(dataset, count)
        return Work({EPOCH: lambda: [None for _ in loader]}, lambda: worst_error(_tensors(list(loader)), truth()))

    entrants = [Entrant(_workers(count), partial(prepare, count)) for count in workers]
    return Case(name, entrants, _workers(workers[0]), tolerance=0)


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count != 1 else ''}"


def _loader(dataset: Any, workers: int) -> DataLoader[Any]:
    size = _batch_size(dataset)
    return DataLoader(dataset, size, sampler=_sampler(dataset), num_workers=workers, persistent_workers=workers > 0)


def _sampler(dataset: Any) -> Any:
    """(epoch, index) in training, shuffled the same way each time; indices in evaluation."""
    from denseup.data import EpochSampler

    return EpochSampler(len(dataset)) if _trains(dataset) else range(len(dataset))


def _batch_size(dataset: Any) -> int:
    """Whole images differ in size, so they come one at a time."""
    return BATCH if _trains(dataset) else 1


def _trains(dataset: Any) -> bool:
    try:
        dataset[0]
    except TypeError:  # a training sample is named by (epoch, index)
        return True
    return False


def _tensors(batches: Sequence[dict[str, Any]]) -> Results:
    return {
        f"{key} of batch {index}": value
        for index, batch in enumerate(batches)
        for key, value in batch.items()
        if torch.is_tensor(value)
    }


if __name__ == "__main__":
    sys.exit(main())

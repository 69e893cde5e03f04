"""Training samples as a network sees them, and after each step: `denseup show_data task=TASK data=SET n=16`."""

import math
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig

from denseup.cli import stopping
from denseup.cli.arguments import exit_code
from denseup.cli.checks import check_path
from denseup.cli.config import plain
from denseup.cli.data_arguments import data_command
from denseup.cli.importing import quick_imports
from denseup.cli.saying import tell
from denseup.tasks.checks import check_whole

if TYPE_CHECKING:
    from denseup.data.datamodules import DenseData

SAMPLES, STEPS = "samples.png", "steps.png"


def run(cfg: DictConfig) -> list[Path]:
    """Write the sheets; their paths. Without steps, for data that do not tell them, only the first.

    Raises:
        ValueError: a value that is none, data of another task, or files that are not there or broken.
    """
    for name, least in (("n", 1), ("epoch", 0), ("side", 16)):
        check_whole(name, cfg[name], least)
    if cfg.columns is not None:
        check_whole("columns", cfg.columns, 1)
    check_path("output", cfg.output, "folder")
    with quick_imports():
        from denseup.cli.build import build_data
        from denseup.data.datasets.stages import stages_of
        from denseup.visualization import sample_sheet, save_png, step_sheet

    data = build_data(cfg)
    dataset = data.dataset("train")
    items = _items(data, cfg.n, cfg.epoch)
    samples = [dataset[item] for item in items]
    names = [str(sample.get("name", item[1])) for sample, item in zip(samples, items, strict=True)]
    shown = [_arrays(sample) for sample in samples]
    columns = cfg.columns or _columns(shown)
    written = [Path(cfg.output) / SAMPLES]
    sheet = sample_sheet(list(zip(names, shown, strict=True)), columns, _classes(data))
    save_png(written[0], sheet)
    steps = [(name, stages_of(dataset, item)) for name, item in zip(names, items, strict=True)]
    if all(stages for _, stages in steps):
        written.append(Path(cfg.output) / STEPS)
        save_png(written[1], step_sheet(steps, cfg.side))
    else:
        tell(f"no {STEPS}: {type(dataset).__name__} does not tell the steps of its samples (a method stages)")
    for path in written:
        tell(str(path))
    return written


def _items(data: "DenseData", number: int, epoch: int) -> list[tuple[int, int]]:
    """(epoch, index) of the first training samples, in the order of a run."""
    from denseup.data.datasets.sampling import EpochSampler

    sampler = EpochSampler(len(cast(Any, data.dataset("train"))), seed=data.seed)
    sampler.set_epoch(epoch)
    return list(islice(sampler, number))


def _arrays(sample: dict[str, Any]) -> dict[str, Any]:
    """What a network gets of a sample, as arrays: the picture, and its maps [H, W].

    A network gets the picture normalised, less its mean and divided by its deviation; undone, that is the picture.
    """
    import numpy as np
    from torch import Tensor

    arrays = {name: value.numpy() for name, value in sample.items() if isinstance(value, Tensor)}
    found = {"image": np.ascontiguousarray(arrays.pop("image").transpose(1, 2, 0))}
    for name, value in arrays.items():
        if value.ndim == 2 or value.shape[0] == 1:
            found[name] = value.reshape(value.shape[-2:])
    return found


def _columns(samples: Sequence[dict[str, Any]]) -> int:
    """So many samples in a row that the sheet is about as high as wide."""
    wide = len(samples[0]) + ("label" in samples[0])
    height, width = samples[0]["image"].shape[:2]
    return max(1, round(math.sqrt(len(samples) * height / (wide * width))))


def _classes(data: "DenseData") -> Sequence[str]:
    return data.class_names if data.num_classes > 1 else ()


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/show_data.yaml."""
    return data_command("show_data", __doc__, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    cfg = parse(arguments)
    plain(cfg)
    return exit_code(lambda: len(run(cfg)) and 0)


if __name__ == "__main__":
    sys.exit(stopping.run(main))

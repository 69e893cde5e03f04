"""Lightning's notices that say nothing about the run."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

NOTICES = (
    r".*isinstance\(treespec, LeafSpec\).*",  # a deprecation between Lightning and torch
    r".*Experiment logs directory .* exists and is not empty.*",  # the run folder, which holds config.yaml already
    r".*does not have many workers.*",  # on few cores, workers only take time from the training
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*Using `DistributedSampler` with the dataloaders.*",  # what it repeats is not counted: DenseTask
    r".*It is recommended to use `self\.log\(.*sync_dist=True.*",  # torchmetrics has summed over the processes
    r".*checkpoint that ended before the epoch ended and your dataloader is not resumable.*",  # it is: EpochSampler
    r".*The dirpath has changed from .*",  # of a run that goes on in another folder: `resuming.GoOn`
    r".*module\(s\) in eval mode at the start of training.*",  # a frozen encoder
    r".*The number of training batches .* is smaller than the logging interval.*",
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide notices such as "GPU available" and tips; warnings about the run still come through."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for notice in NOTICES:
            warnings.filterwarnings("ignore", notice)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextmanager
def only_printed(what: str) -> Iterator[None]:
    """Print an error on standard error and go on: it comes after the result was written, and takes nothing back."""
    try:
        yield
    except Exception as error:
        print(f"{what} failed, which changes nothing in the result: {type(error).__name__}: {error}", file=sys.stderr)

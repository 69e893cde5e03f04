"""`trainer.deterministic`: fresh memory; on a GPU what can't give the same bits again, named before the first step."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch

from denseup.tasks import DenseTask
from denseup.upsamplers.repeating import UNREPEATABLE, unrepeatable_in

REFUSED = "does not have a deterministic implementation"
"""What torch says of an operator that it refuses."""


def check_repeats(task: DenseTask, trainer: pl.Trainer, deterministic: Any) -> None:
    """Whether a run's upsamplers can repeat themselves to the bit, as `trainer.deterministic` asks for.

    Raises:
        ValueError: true, and an upsampler calls what torch refuses then. For "warn" it is a warning.
    """
    if not deterministic or trainer.strategy.root_device.type == "cpu":
        return
    strict = deterministic != "warn"
    found = unrepeatable_in(task.network, strict)
    if not found:
        return
    what = "; ".join(f"{kind} ({', '.join(UNREPEATABLE[name] for name in names)})" for kind, names in found.items())
    if strict:
        raise ValueError(
            f"trainer.deterministic is {deterministic}, but on a GPU torch has no deterministic form of what these "
            f"upsamplers call: {what}; expected warn or false"
        )
    warnings.warn(
        f"trainer.deterministic is warn: on a GPU the gradients of these upsamplers differ in their last bits from run "
        f"to run: {what}; with true they repeat, or are refused",
        stacklevel=2,
    )


@contextmanager
def naming_the_option() -> Iterator[None]:
    """Within it torch's refusal, such as of an encoder's operator, is an error that names what was asked for."""
    try:
        yield
    except RuntimeError as error:
        if REFUSED not in str(error):
            raise
        operator = str(error).strip().split()[0]
        raise ValueError(
            f"trainer.deterministic is true, but torch has no deterministic form of {operator} on this device; "
            "expected warn or false"
        ) from error


@contextmanager
def fresh_memory(deterministic: Any) -> Iterator[None]:
    """Within it memory that an operator asks for is filled only if `trainer.deterministic` is true.

    Torch's switch, also with "warn", fills all of it with NaN, so that whatever reads what was never written is wrong
    in the same way each time. Nothing of a training reads it, and filling takes a tenth of a step on a CPU.
    """
    switches: Any = torch.utils.deterministic
    before = switches.fill_uninitialized_memory
    if deterministic == "warn":
        switches.fill_uninitialized_memory = False
    try:
        yield
    finally:
        switches.fill_uninitialized_memory = before

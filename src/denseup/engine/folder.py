"""A run's folder: config.yaml, metrics.csv, per_image.csv, result.json, checkpoints/, images/, wandb/; error.txt if it
fails, per_image_counts.npz if its metrics are no means over images, and features/ if it was asked for
(`denseup.engine.callbacks.frames`).
"""

import hashlib
import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denseup.engine.masking import masked, masked_text
from denseup.writing import write_whole

IDENTITY = ("task", "upsampler", "encoder", "model", "data", "protocol", "recipe", "trainer", "seed")
"""The parts of a config that decide a run's result; where it is written and logged does not count."""

EVALUATION = "evaluation"
"""The part of an evaluation's config that says in what it departs from the published one."""

TRAINED = "trained"
"""The part of an evaluation's config that has the `data` and the `trainer` that its weights were trained with."""

CONFIG_KEY = "denseup_config"
"""Entry of a checkpoint that holds the run's whole config, from which `evaluate` rebuilds the network."""

LOGGED_KEY = "denseup_logged"
"""Entry of a checkpoint: what loggers had logged when it was written, as far as they tell (`CheckpointedLogger`)."""

FEATURES = "features"
"""Folder of what the callback `FeatureEvolution` draws."""


class RunFolder:
    """Paths in a run's folder, and the files of the run that are written once and whole.

    Args:
        path: made by `make`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.images = self.path / "images"
        self.features = self.path / FEATURES
        self.config = self.path / "config.yaml"
        self.per_image = self.path / "per_image.csv"
        self.per_image_counts = self.path / "per_image_counts.npz"
        self.result = self.path / "result.json"
        self.error = self.path / "error.txt"

    def make(self) -> None:
        """Create the folder."""
        self.path.mkdir(parents=True, exist_ok=True)

    def weights(self, evaluation: str) -> Path:
        """The checkpoint with the weights of an evaluation; that of the best one where it has none of its own."""
        own = self.checkpoints / f"{evaluation}.ckpt"
        return own if own.is_file() else self.checkpoints / "best.ckpt"

    def finished(self) -> bool:
        """Whether a run has finished in this folder."""
        try:
            result = json.loads(self.result.read_text())
        except (OSError, ValueError):  # none, or a broken one
            return False
        return isinstance(result, dict) and result.get("status") == "finished"

    def write_config(self, yaml_text: str) -> None:
        """Write config.yaml, keys masked."""
        write_atomic(self.config, masked_text(yaml_text))

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json, keys masked; values that are not finite become null."""
        write_atomic(self.result, json.dumps(_finite(masked(result)), indent=2) + "\n")

    def write_error(self, error: BaseException) -> None:
        """Write the traceback to error.txt, keys masked."""
        write_atomic(self.error, masked_text("".join(traceback.format_exception(error))))


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees all of it or what was there before; WriteError where that can't be done."""
    write_whole(path, content)


def config_hash(config: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that two configs share exactly if they ask for the same run, or the same evaluation."""
    identity = {key: config.get(key) for key in IDENTITY}
    if config.get(EVALUATION):  # not there in a run, nor in an evaluation by the defaults
        identity[EVALUATION] = config[EVALUATION]
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value

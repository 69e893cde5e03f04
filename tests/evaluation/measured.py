"""Evaluations as the command makes them."""

from pathlib import Path
from typing import Any

from configuring import configure
from rich.console import Console

from denseup.cli import evaluate
from denseup.engine import RunFolder


def measured(run: Path, out: Path, *options: str) -> dict[str, Any]:
    """result.json of the evaluation of a run's best weights; options without a group are those of `evaluation`."""
    told = [option if option.startswith("data") else f"evaluation.{option}" for option in options]
    quiet = ["trainer.enable_progress_bar=false", "data.num_workers=0"]
    cfg = configure(f"ckpt={run}/checkpoints/best.ckpt", *quiet, *told, name="evaluate")
    return evaluate.run(cfg, RunFolder(out), Console(quiet=True))

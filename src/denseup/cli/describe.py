"""The model card of weights: `denseup describe ckpt=RUN`, of a checkpoint, a run's folder or exported weights."""

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from denseup.cli import stopping
from denseup.cli.arguments import exit_code, keys_and_values
from denseup.cli.config import plain
from denseup.cli.importing import quick_imports


def run(cfg: DictConfig) -> str:
    """The card.

    Raises:
        ValueError: a path that is none, or weights that can't be read.
    """
    with quick_imports():
        from denseup.cli.checks import check_path
        from denseup.cli.loading import load_described
        from denseup.engine.evaluation import checkpoint_digest
        from denseup.exporting.card import model_card
        from denseup.exporting.folder import WEIGHTS, is_exported

    options = plain(cfg)
    source = options["ckpt"]
    check_path("ckpt", source, "checkpoint or folder")
    _, facts, notes = load_described(source, options["upsampler"])
    for note in notes:
        print(note, file=sys.stderr)
    file = Path(source) / WEIGHTS
    hashes = {WEIGHTS: checkpoint_digest(file)} if is_exported(Path(source)) else {}
    return model_card(facts, str(source), facts.get("license"), hashes)


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/describe.yaml."""
    return keys_and_values("describe", __doc__, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    cfg = parse(arguments)
    return exit_code(lambda: print(run(cfg)))


if __name__ == "__main__":
    sys.exit(stopping.run(main))

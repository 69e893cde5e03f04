"""Make the composites of Composition-1k: `denseup build_composition1k root=COMBINED_DATASET backgrounds=JPEGIMAGES`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from denseup.cli import stopping
from denseup.cli.arguments import exit_code, keys_and_values
from denseup.cli.building import told
from denseup.cli.checks import check_path, check_workers
from denseup.cli.config import plain

if TYPE_CHECKING:
    from denseup.data.building.composites import Composite

SUBSETS = {
    "test": ("Test_set", "test", ("Adobe-licensed images",)),
    "train": ("Training_set", "training", ("Adobe-licensed images", "Other")),
}
"""Folder of the release, how its lists begin, and the groups of its foregrounds."""


def run(options: dict[str, Any]) -> int:
    """Make what is missing of the composites; how many could not be made.

    Raises:
        ValueError: a value that is none, or files that are not there.
    """
    from denseup.data.building.composites import build

    composites, workers = plan(options), check_workers(options["num_workers"])
    return told(build(composites, workers), len(composites), "composites", composites[0].target.parent)


def plan(options: dict[str, Any]) -> "list[Composite]":
    """What is to be made of which files."""
    from denseup.data.building.composites import planned
    from denseup.data.datasets.composition1k import LAYOUT
    from denseup.data.reading.folders import require_folder

    for key in ("root", "backgrounds"):
        check_path(key, options[key], "folder")
    if options["subset"] not in SUBSETS:
        raise ValueError(f"subset is {options['subset']!r}, valid: {', '.join(SUBSETS)}")
    folder, lists, groups = SUBSETS[options["subset"]]
    root = require_folder(Path(options["root"]), "root", LAYOUT)
    foregrounds = _folders(options, "foregrounds") or [f"{folder}/{group}/fg" for group in groups]
    alphas = _folders(options, "alphas") or [f"{folder}/{group}/alpha" for group in groups]
    if len(foregrounds) != len(alphas):
        raise ValueError(f"alphas is {alphas}, expected as many folders as foregrounds={foregrounds}")
    pairs = [(root / colours, root / mattes) for colours, mattes in zip(foregrounds, alphas, strict=True)]
    fg_names, bg_names = (
        root / (options[f"{kind}_names"] or f"{folder}/{lists}_{kind}_names.txt") for kind in ("fg", "bg")
    )
    output = root / (options["output"] or f"{folder}/merged")
    return planned(pairs, Path(options["backgrounds"]), fg_names, bg_names, output)


def _folders(options: dict[str, Any], key: str) -> list[str]:
    given = options[key]
    folders = [] if given is None else [given] if isinstance(given, str) else list(given)
    for folder in folders:
        check_path(key, folder, "folder below root")
    return folders


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/build_composition1k.yaml."""
    return keys_and_values("build_composition1k", __doc__, arguments, bare="root")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code: 1 if any composite could not be made."""
    cfg = parse(arguments)
    return exit_code(lambda: int(run(plain(cfg)) > 0))


if __name__ == "__main__":
    sys.exit(stopping.run(main))

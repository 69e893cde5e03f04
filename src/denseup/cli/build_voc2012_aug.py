"""Make the labels of VOC 2012 with SBD's training images: `denseup build_voc2012_aug root=VOC2012 sbd=DATASET`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from denseup.cli import stopping
from denseup.cli.arguments import exit_code, keys_and_values
from denseup.cli.building import told
from denseup.cli.checks import check_path, check_workers
from denseup.cli.config import plain
from denseup.cli.saying import tell


def run(options: dict[str, Any]) -> int:
    """Make what is missing of the labels, and the list once all are there; how many could not be made.

    Raises:
        ValueError: a value that is none, or files that are not there.
    """
    from denseup.data.building.voc2012_aug import LABELS, build, planned, write_list

    for key in ("root", "sbd"):
        check_path(key, options[key], "folder")
    root, workers = Path(options["root"]), check_workers(options["num_workers"])
    plan = planned(root, Path(options["sbd"]))
    failed = told(build(plan.labels, workers), len(plan.labels), "labels", root / LABELS)
    if not failed:
        tell(f"{len(plan.training)} images for training: {write_list(root, plan.training)}")
    return failed


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/build_voc2012_aug.yaml."""
    return keys_and_values("build_voc2012_aug", __doc__, arguments, bare="root")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code: 1 if any label could not be made."""
    cfg = parse(arguments)
    return exit_code(lambda: int(run(plain(cfg)) > 0))


if __name__ == "__main__":
    sys.exit(stopping.run(main))

from pathlib import Path

import pytest
from configuring import tiny_run

from denseup.cli import train
from denseup.engine import RunFolder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of each task, in folders of their names."""
    root = tmp_path_factory.mktemp("runs")
    for task in ("matting", "segmentation"):
        train.run(tiny_run("logger=none", task=task), RunFolder(root / task))
    return root

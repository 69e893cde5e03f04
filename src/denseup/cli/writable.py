"""Whether the folder of a run can be written to, found out before Hydra writes there and anything is computed."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from denseup.writing import WriteError, check_writable


def require_writable(folder: Path) -> None:
    """Make a folder; a message and exit code 1 where nothing can be written to it.

    Callbacks of Hydra call it, whose exceptions Hydra makes warnings of.
    """
    try:
        check_writable(folder)
    except WriteError as error:
        sys.exit(f"error: {error}")


class CheckFolder(Callback):
    """Hydra callback of commands that write into one folder."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before Hydra makes the folder."""
        require_writable(Path(config.hydra.run.dir))

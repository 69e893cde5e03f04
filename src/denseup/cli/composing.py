"""A config composed by Hydra for a command whose arguments are not Hydra's alone: paths and flags may stand beside."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from denseup.cli.places import CONF
from denseup.cli.writable import require_writable
from denseup.engine import RunFolder
from denseup.engine.masking import mask_files, masked


def composed(name: str, overrides: Sequence[str]) -> tuple[DictConfig, RunFolder]:
    """The config conf/NAME.yaml with overrides in Hydra's grammar, and the folder that its hydra.run.dir names."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(name, list(overrides), return_hydra_config=True)
        folder = RunFolder(cfg.hydra.run.dir)
        with open_dict(cfg):
            hydra = cfg.pop("hydra")
    require_writable(folder.path)
    masked(OmegaConf.to_container(cfg))
    (folder.path / ".hydra").mkdir(exist_ok=True)
    OmegaConf.save(cfg, folder.path / ".hydra" / "config.yaml")
    OmegaConf.save(hydra.overrides.task, folder.path / ".hydra" / "overrides.yaml")
    mask_files(folder.path)
    return cfg, folder


def settings(name: str, words: Sequence[str], flags: Mapping[str, Any]) -> DictConfig:
    """The config conf/NAME.yaml with what a command line changes in it.

    Args:
        name: of the command.
        words: `KEY=VALUE` in Hydra's grammar, or paths, which take the place of `paths`; what exists is a path.
        flags: values by key, of flags that say the same.
    """
    paths = [word for word in words if "=" not in word or Path(word).exists()]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(name, [word for word in words if word not in paths])
    found = OmegaConf.merge(cfg, {"paths": paths} if paths else {}, dict(flags))
    assert isinstance(found, DictConfig)
    return found


@contextmanager
def printed_errors() -> Iterator[None]:
    """What the user can mend as a message on standard error and the exit code 1, as Hydra's own entry point does."""
    try:
        yield
    except (CompactHydraException, OmegaConfBaseException) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        cause = f"\n{error.__cause__}" if error.__cause__ is not None and str(error.__cause__) not in str(error) else ""
        sys.exit(f"{error}{cause}")

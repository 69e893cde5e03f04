"""The command line of a command that needs no run folder: `KEY=VALUE` of its config, and --help."""

import argparse
import sys
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from denseup.cli.composing import printed_errors, settings
from denseup.cli.places import CONF
from denseup.cli.quoting import refuse_unreadable


def keys_and_values(name: str, description: str | None, arguments: Sequence[str] | None) -> DictConfig:
    """The config conf/NAME.yaml with what the command line says; a message and exit code 1 where it can't be read.

    Args:
        name: of the command.
        description: for --help.
        arguments: None for those of the process.
    """
    parser = argparse.ArgumentParser(
        prog=name,
        description=(description or "").strip(),
        epilog=(CONF / f"{name}.yaml").read_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="KEY=VALUE", nargs="*", help="a value of the config below")
    words = parser.parse_args(arguments).words
    for word in words:
        if "=" not in word:
            parser.error(f"{word!r} is no KEY=VALUE, such as ckpt={word}")
    refuse_unreadable(words, [])
    groups = {folder.name for folder in CONF.iterdir() if folder.is_dir()}
    named = [word for word in words if word.partition("=")[0] in groups]  # Hydra would look for a choice of the group
    with printed_errors():
        cfg = settings(name, [w for w in words if w not in named], dict(w.split("=", 1) for w in named))
    missing = sorted(str(key) for key in cfg if OmegaConf.is_missing(cfg, key))
    if missing:
        sys.exit(f"{name} needs {', '.join(f'{key}=…' for key in missing)}; --help says more")
    return cfg

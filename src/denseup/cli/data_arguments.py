"""The command line of a command about a data set: `KEY=VALUE` of its config, where `data=` and `task=` choose."""

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from denseup.cli.arguments import words_parser
from denseup.cli.checks import check_data_options
from denseup.cli.composing import printed_errors, settings
from denseup.cli.config import suggest


def data_command(name: str, description: str | None, arguments: Sequence[str] | None) -> DictConfig:
    """The config conf/NAME.yaml with what the command line says; a message and an exit code where it can't be read."""
    parser = words_parser(name, description, "data=SET, data.KEY=VALUE, or a value below")
    parser.add_argument("--config-dir", metavar="FOLDER", help="a folder of configs of one's own, with data/SET.yaml")
    given = parser.parse_args(arguments)
    for word in given.words:
        if "=" not in word:
            parser.error(f"{word!r} is no KEY=VALUE, such as data.root={word}")
    searched = [] if given.config_dir is None else [f"hydra.searchpath=['file://{Path(given.config_dir).resolve()}']"]
    suggest([*given.words, *searched])
    with printed_errors():
        cfg = settings(name, [*searched, *given.words], {})
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        sys.exit(f"{name} needs {', '.join(f'{key}=…' for key in missing)}; --help says more")
    try:
        check_data_options(cfg.data)
    except ValueError as error:
        sys.exit(f"error: {error}")
    return cfg

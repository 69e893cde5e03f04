"""The command line of a command that needs no run folder: `KEY=VALUE` of its config, --help, and how it ends."""

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence

from omegaconf import DictConfig, OmegaConf

from denseup.cli.composing import printed_errors, settings
from denseup.cli.places import CONF
from denseup.cli.quoting import refuse_unreadable


def keys_and_values(
    name: str,
    description: str | None,
    arguments: Sequence[str] | None,
    *,
    bare: str = "ckpt",
    spell: Callable[[str], str] = str,
) -> DictConfig:
    """The config conf/NAME.yaml with what the command line says; a message and exit code 1 where it can't be read.

    Args:
        name: of the command.
        description: for --help.
        arguments: None for those of the process.
        bare: the key that a word without one was probably meant for.
        spell: an argument as it was typed → as Hydra reads it.
    """
    parser = words_parser(name, description, "a value of the config below")
    words = [spell(word) for word in parser.parse_args(arguments).words]
    for word in words:
        if "=" not in word:
            parser.error(f"{word!r} is no KEY=VALUE, such as {bare}={word}")
    refuse_unreadable(words, [])
    _refuse_unknown(name, words)
    groups = {folder.name for folder in CONF.iterdir() if folder.is_dir()}
    named = [word for word in words if word.partition("=")[0] in groups]  # Hydra would look for a choice of the group
    with printed_errors():
        cfg = settings(name, [w for w in words if w not in named], dict(w.split("=", 1) for w in named))
    missing = sorted(str(key) for key in cfg if OmegaConf.is_missing(cfg, key))
    if missing:
        sys.exit(f"{name} needs {', '.join(f'{key}=…' for key in missing)}; --help says more")
    return cfg


def words_parser(name: str, description: str | None, what: str) -> argparse.ArgumentParser:
    """Takes `words`, KEY=VALUE of conf/NAME.yaml, which --help shows; `what` says what they are."""
    parser = argparse.ArgumentParser(
        prog=name,
        description=(description or "").strip(),
        epilog=(CONF / f"{name}.yaml").read_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="KEY=VALUE", nargs="*", help=what)
    return parser


def _refuse_unknown(name: str, words: Sequence[str]) -> None:
    """End with a message that names the nearest key for one that there is not."""
    known = list(map(str, OmegaConf.load(CONF / f"{name}.yaml")))
    for key in (word.partition("=")[0] for word in words):
        if key.lstrip("+~").partition(".")[0] not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            sys.exit(f"there is no option {key}.{hint} Known: {', '.join(known)}")


def exit_code(run: Callable[[], object]) -> int:
    """A number that a command gives back, else 0; 1 with a message on standard error for what its user can mend."""
    try:
        done = run()
        return done if isinstance(done, int) else 0
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

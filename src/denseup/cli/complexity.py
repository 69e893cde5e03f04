"""What every upsampler costs in both networks: `denseup complexity task=matting,segmentation`."""

import argparse
import sys
from collections.abc import Sequence

from denseup.cli import stopping
from denseup.cli.composing import composed, printed_errors
from denseup.cli.config import suggest, user_errors
from denseup.cli.importing import quick_imports
from denseup.cli.places import CONF
from denseup.engine.state import lock_run

LISTS = {"task": "tasks", "upsampler": "upsamplers"}


def spell(arguments: Sequence[str]) -> list[str]:
    """`task=a,b` as the list that Hydra knows, `tasks=[a,b]`; the same for upsampler."""
    spelt = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        spelt.append(f"{LISTS[key]}=[{value.strip('[]')}]" if equals and key in LISTS else argument)
    return spelt


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="complexity",
        description=__doc__,
        epilog=(CONF / "complexity.yaml").read_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="task=NAME,…, upsampler=NAME,…, or a value of the config"
    )
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    overrides = spell(parser().parse_args(argv).overrides)
    suggest(overrides)
    with printed_errors():
        cfg, folder = composed("complexity", overrides)
        with quick_imports():
            from denseup.cli.cost_table import run

        with user_errors(folder), lock_run(folder):
            run(cfg, folder)


if __name__ == "__main__":
    sys.exit(stopping.run(main))

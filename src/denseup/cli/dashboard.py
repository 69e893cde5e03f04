"""The comparison as a W&B workspace and report: `denseup dashboard [PATH …] [group=SWEEP]`.

With a W&B key, both are saved and their addresses printed. Without one (or with WANDB_MODE=offline), their definition
is written as JSON. For offline runs below PATH, the commands that upload them are printed.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from denseup.cli import stopping
from denseup.cli.composing import printed_errors, settings
from denseup.cli.importing import quick_imports
from denseup.cli.places import CONF
from denseup.engine.folder import write_atomic

DEFAULT_OUTPUT = Path("dashboard.json")


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line; each flag says what a key of conf/dashboard.yaml says."""
    parser = argparse.ArgumentParser(
        prog="dashboard",
        description=(__doc__ or "").split("\n\n")[1],
        epilog=(CONF / "dashboard.yaml").read_text(),
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="PATH|KEY=VALUE", nargs="*", help="folders of runs, or a value of the config")
    parser.add_argument("--project", help="W&B project")
    parser.add_argument("--entity", help="W&B user or team")
    parser.add_argument("--group", metavar="SWEEP", help="only the runs of this sweep")
    parser.add_argument("--output", help=f"where the JSON goes (offline, default: {DEFAULT_OUTPUT})")
    flags = vars(parser.parse_args(arguments))
    words = flags.pop("words", [])
    with printed_errors():
        cfg = settings("dashboard", words, flags)
    for path in cfg.paths:
        if words and not Path(path).exists():
            parser.error(f"PATH {path}: there is no such folder")
    return cfg


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    options = parse(arguments)
    with quick_imports():
        from denseup.engine.loggers.wandb_dashboard import Place, definition, logged_metrics, offline_runs, save
        from denseup.engine.loggers.wandb_run import wandb_mode

    place = Place(options.project, options.entity, options.group)
    online, tasks = wandb_mode() == "online", logged_metrics(options.paths)
    try:
        if options.output or not online:
            output = Path(options.output or DEFAULT_OUTPUT)
            write_atomic(output, json.dumps(definition(place, tasks), indent=2) + "\n")
            print(f"definition: {output}")
        if online:
            for name, address in save(place, tasks).items():
                print(f"{name}: {address}")
        else:
            print("offline: nothing was saved to W&B; with a key (wandb login) the same command saves both")
    except (ImportError, ValueError) as error:
        sys.exit(str(error))
    for folders in offline_runs(options.paths):
        print(f"upload: {shlex.join(['wandb', 'sync', *map(str, folders)])}")


if __name__ == "__main__":
    sys.exit(stopping.run(main))

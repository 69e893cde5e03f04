"""The comparison as a W&B workspace and report: `denseup dashboard [PATH …] [--group SWEEP]`.

With a W&B key, both are saved and their addresses printed. Without one (or with WANDB_MODE=offline), their definition
is written as JSON. For offline runs below PATH, the commands that upload them are printed.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from denseup.cli.importing import quick_imports
from denseup.engine.folder import write_atomic

DEFAULT_PATH, DEFAULT_OUTPUT = Path("runs"), Path("dashboard.json")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="dashboard", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument(
        "paths", metavar="PATH", nargs="*", type=Path, help=f"folders of runs (default: {DEFAULT_PATH})"
    )
    parser.add_argument("--project", default="denseup", help="W&B project (default: %(default)s)")
    parser.add_argument("--entity", default="", help="W&B user or team (default: the one that is logged in)")
    parser.add_argument("--group", metavar="SWEEP", help="only the runs of this sweep")
    parser.add_argument("--output", type=Path, help=f"where the JSON goes (offline, default: {DEFAULT_OUTPUT})")
    options = parser.parse_args(arguments)
    for path in options.paths:
        if not path.exists():
            parser.error(f"PATH {path}: there is no such folder")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    options = parse(arguments)
    with quick_imports():
        from denseup.engine.loggers.wandb_dashboard import Place, definition, logged_metrics, offline_runs, save
        from denseup.engine.loggers.wandb_run import wandb_mode

    place = Place(options.project, options.entity, options.group)
    online, tasks = wandb_mode() == "online", logged_metrics(options.paths or [DEFAULT_PATH])
    try:
        if options.output or not online:
            output = options.output or DEFAULT_OUTPUT
            write_atomic(output, json.dumps(definition(place, tasks), indent=2) + "\n")
            print(f"definition: {output}")
        if online:
            for name, address in save(place, tasks).items():
                print(f"{name}: {address}")
        else:
            print("offline: nothing was saved to W&B; with a key (wandb login) the same command saves both")
    except (ImportError, ValueError) as error:
        sys.exit(str(error))
    for folders in offline_runs(options.paths or [DEFAULT_PATH]):
        print(f"upload: {shlex.join(['wandb', 'sync', *map(str, folders)])}")


if __name__ == "__main__":
    main()

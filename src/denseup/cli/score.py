"""Exact metrics of prediction files: `denseup score predictions=FOLDER truth=FOLDER task=matting [trimap=FOLDER]`."""

import inspect
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from denseup.cli import stopping
from denseup.cli.arguments import exit_code, keys_and_values
from denseup.cli.config import plain
from denseup.cli.importing import quick_imports

if TYPE_CHECKING:
    from denseup.scoring import Scored, Scorer


def run(cfg: DictConfig, console: Console | None = None) -> dict[str, Any]:
    """Score the files, print the totals, and write per_image.csv and result.json.

    Returns:
        What result.json holds, but for the versions.

    Raises:
        ValueError: a value that is none, files without partners, or files that can't be scored.
    """
    with quick_imports():
        from denseup.engine import RunFolder
        from denseup.engine.per_image import write_images
        from denseup.environment import versions
        from denseup.scoring import score, scorer_of

    options = _checked(plain(cfg))
    places = (("prediction", "predictions"), ("truth", "truth"), ("trimap", "trimap"))
    folders = {what: Path(options[key]) for what, key in places if options[key] is not None}
    own = _of_task(options)
    scorer = scorer_of(options["task"], own)
    found = score(scorer, folders, {what: options[f"{what}_suffix"] for what in folders})
    folder = RunFolder(options["output"] or f"runs/score/{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
    folder.make()
    write_images(folder, found.rows, {"score": found.counts})
    named = {key: None if options[key] is None else str(options[key]) for _, key in places}
    result = {"status": "finished", "task": options["task"], **named, **_told(found, scorer), "options": own}
    folder.write_result({**result, "versions": versions()})
    _print(found, scorer, options, folder.path, console or Console())
    return result


def _told(found: "Scored", scorer: "Scorer") -> dict[str, Any]:
    """The entries of result.json that are what was measured."""
    classes = {"per_class": dict(found.per_class)} if found.per_class else {}
    return {
        "images": len(found.rows),
        "metrics": found.totals,
        "metric_info": scorer.metrics.describe(),
        **classes,
        "notes": list(found.notes),
    }


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    from denseup.cli.checks import check_path
    from denseup.scoring import SCORERS

    if options["task"] not in SCORERS:
        raise ValueError(
            f"task is {options['task']!r}, whose prediction files can't be scored; valid: {', '.join(SCORERS)}"
        )
    for key in ("predictions", "truth", "trimap", "output"):
        if key in ("predictions", "truth") or options[key] is not None:
            check_path(key, options[key], "folder")
    if options["task"] != "matting" and options["trimap"] is not None:
        raise ValueError(f"trimap is {options['trimap']!r}, but task={options['task']} has none")
    for what in ("prediction", "truth", "trimap"):
        if not isinstance(options[f"{what}_suffix"], str):
            raise ValueError(f"{what}_suffix is {options[f'{what}_suffix']!r}, expected text such as _alpha")
    return options


def _of_task(options: dict[str, Any]) -> dict[str, Any]:
    """The options of the task; a ValueError for one of another task that says something."""
    from denseup.scoring import SCORERS

    taken = {task: inspect.signature(kind).parameters for task, kind in SCORERS.items()}
    own = taken[options["task"]]
    for task, others in taken.items():
        for key, parameter in others.items():
            said = options[key] not in (parameter.default, None, [], {})
            if key not in own and said:
                raise ValueError(f"{key} is {options[key]!r}, an option of task={task}; this is task={options['task']}")
    return {key: options[key] for key in own}


def _print(found: "Scored", scorer: "Scorer", options: dict[str, Any], folder: Path, console: Console) -> None:
    from denseup.engine.summary import metrics_table

    infos = scorer.metrics.values
    console.print(metrics_table(f"{options['task']} · {len(found.rows)} images", [("all", found.totals)], infos))
    if found.per_class:
        console.print(_classes(found, scorer))
    for line in (*found.notes, f"per image: {folder / 'per_image.csv'}", f"result: {folder / 'result.json'}"):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _classes(found: "Scored", scorer: "Scorer") -> Table:
    from denseup.engine.summary import shown

    table = Table(title="each class")
    table.add_column("class", justify="right")
    infos = scorer.metrics.class_values
    for info in infos:
        table.add_column(info.computed_heading, justify="right")
    for index, values in enumerate(zip(*(found.per_class[info.key] for info in infos), strict=True)):
        table.add_row(str(index), *map(shown, values))
    return table


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/score.yaml."""
    return keys_and_values("score", __doc__, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    cfg = parse(arguments)
    return exit_code(lambda: run(cfg))


if __name__ == "__main__":
    sys.exit(stopping.run(main))

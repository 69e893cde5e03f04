"""Paths → the runs in them: run folders, archives of them, and offline W&B runs that lie in none."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from denseup.engine.loggers.wandb_reader import find_runs
from denseup.reporting.archive import is_archive, unpacked
from denseup.reporting.loading import Run, read_run
from denseup.reporting.logged import read_logged

PASSED_BY = ("checkpoints", "images", "features", "report")
"""Folders that hold no runs of their own."""
EXPECTED = "expected folders with a result.json, as src.train writes, or offline W&B runs, run-<id>.wandb"


def load_runs(paths: Sequence[str | Path]) -> list[Run]:
    """Every run in `paths`: run folders, sweeps, offline W&B runs, or folders that hold them at any depth; archives.

    A W&B run whose run folder is read too, which has more, counts once; so do the parts of one that was resumed.

    Raises:
        ValueError: a path is no folder, archive (`write_archive`) or file of W&B's, or there is no run in any of them.
    """
    for path in map(Path, paths):
        if not path.is_dir() and not (path.is_file() and (path.suffix == ".wandb" or is_archive(path))):
            wanted = "expected a run, a folder with runs in it, an archive of runs, or a file run-<id>.wandb"
            raise ValueError(f"PATH is {str(path)!r}: no such folder; {wanted}")
    found = list({source.resolve(): source for path in paths for source in _sources(Path(path))}.values())
    if not found:
        raise ValueError(f"PATH is {', '.join(map(str, paths))}: no run in it; {EXPECTED}")
    folders = [source for source in found if source.is_dir()]
    known = {file.stem for folder in folders for file in find_runs(folder / "wandb")}
    logged: dict[str, list[Path]] = {}
    for file in sorted((source for source in found if source.suffix == ".wandb"), key=lambda file: file.parent.name):
        if file.stem not in known:
            logged.setdefault(file.stem, []).append(file)
    kept = [run for source in found if is_archive(source) for run in _read_archive(source)]
    return [*map(read_run, folders), *kept, *map(read_logged, logged.values())]


def _read_archive(file: Path) -> list[Run]:
    runs = [read_run(folder) for folder in unpacked(file)]
    return [replace(run, source=file / run.source.name, unpacked=run.source) for run in runs]


def _sources(root: Path) -> Iterator[Path]:
    """Run folders, and run-<id>.wandb outside of them; a file itself."""
    if root.is_file():
        yield root
        return
    for name, below, files in os.walk(root):
        logged = [Path(name) / file for file in sorted(files) if file.startswith("run-") and file.endswith(".wandb")]
        is_run = "result.json" in files or ("config.yaml" in files and not _holds_runs(Path(name)))
        found = [Path(name)] if is_run else logged
        if found:
            below.clear()
            yield from found
        below[:] = sorted(folder for folder in below if folder not in PASSED_BY and not folder.startswith("."))


def _holds_runs(folder: Path) -> bool:
    """Whether there are results further down: it is a sweep's, and a config that lies there is no run's."""
    found = (path.relative_to(folder).parts for path in folder.rglob("*/result.json"))
    return any(not set(PASSED_BY) & set(parts) for parts in found)

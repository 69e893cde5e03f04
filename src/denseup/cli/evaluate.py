"""Measure a checkpoint: `denseup evaluate ckpt=runs/…/checkpoints/best.ckpt [data.root=…] [data=…]`.

With ckpt=FOLDER every finished run in it is measured, and all are compared; with ckpt=official:PATH a file of the
authors (`denseup.cli.official`).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from denseup.cli import report, stopping
from denseup.cli.config import RunError, mask_keys, plain, record_failure, run_info, suggest, user_errors
from denseup.cli.importing import quick_imports
from denseup.cli.places import CONF, path_of
from denseup.cli.saying import say
from denseup.engine import RunFolder
from denseup.engine.state import FolderInUseError, lock_run, read_result, state
from denseup.writing import WriteError


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Args:
        name: of its folder, from where it was looked for.
        folder: its own.
        checkpoint: with the weights that its protocol tells.
    """

    name: str
    folder: Path
    checkpoint: Path


def run(cfg: DictConfig, folder: RunFolder, console: Console | None = None) -> dict[str, Any]:
    """Evaluate the checkpoint `cfg.ckpt`, a file; what comes back is also `folder`'s result.json.

    A folder in which the same weights have been evaluated on the same data is left as it is.
    """
    with quick_imports():
        from denseup.cli.build import build_data, check_data, task_class
        from denseup.cli.checks import check_data_options, check_path
        from denseup.cli.evaluation_source import source_of
        from denseup.cli.loading import rebuilt_task
        from denseup.engine.evaluation import checkpoint_digest, evaluate
        from denseup.evaluation import EvaluationSettings
        from denseup.tasks.checks import check_whole

    check_path("ckpt", cfg.ckpt, "file")
    check_whole("check_data", cfg.check_data, 0)
    settings = EvaluationSettings.read(plain(cfg.evaluation))
    known, file = read_result(folder), path_of(cfg.ckpt)
    if Path(file).is_file() and known.get("checkpoint_sha256") != checkpoint_digest(file):
        folder.result.unlink(missing_ok=True)  # of other weights, which would pass for these if this fails
    source = source_of(cfg)
    whole = source.config
    whole.evaluation = settings.identity(task_class(whole))
    info, trainer = run_info(whole), plain(cfg.trainer)
    if state(folder, info.config) == "finished" and settings.has_written(known):
        folder.write_config(OmegaConf.to_yaml(OmegaConf.create(info.config)))  # which of earlier versions says less
        return known
    folder.result.unlink(missing_ok=True)
    console = console or Console()
    for note in source.notes:
        say(note, console)
    check_data_options(whole.data)
    folder.make()
    folder.write_config(OmegaConf.to_yaml(OmegaConf.create(info.config)))
    data = build_data(whole)
    check_data(data, "test", cfg.check_data)
    task = rebuilt_task(plain(whole), data)
    for note in source.load(task):
        say(note, console)
    return evaluate(task, data, folder, info, checkpoint=file, trainer=trainer, console=console, settings=settings)


def run_all(cfg: DictConfig, folder: Path) -> int:
    """Evaluate every finished run in the folder `cfg.ckpt`, each into a folder of its name; the number that failed.

    The same command into the same folder measures what is missing. At the end a report compares what was measured. What
    has to be said of the data is said once, for the first run.

    Raises:
        ValueError: no finished run in it, or the results would lie among them.
    """
    with quick_imports():
        from denseup.engine.summary import shown

    runs = trained(Path(cfg.ckpt))
    if any((folder / one.name).resolve() == one.folder.resolve() for one in runs):
        raise ValueError(f"hydra.run.dir is {str(folder)!r}, where the runs themselves lie; expected another folder")
    failed = 0
    for number, one in enumerate(runs, 1):
        target = RunFolder(folder / one.name)
        changes = {"ckpt": str(one.checkpoint), "trainer": {"enable_progress_bar": False}}
        single = cast(DictConfig, OmegaConf.merge(cfg, changes))
        try:
            with lock_run(target):
                target.error.unlink(missing_ok=True)
                result = run(single, target, Console(quiet=number > 1))
        except FolderInUseError as error:
            failed += 1
            say(f"{number}/{len(runs)} {one.name}: {error}")
        except WriteError:  # which all others would have too
            raise
        except Exception as error:  # the others go on
            failed += 1
            record_failure(target, error, None)
            say(f"{number}/{len(runs)} {one.name}: {type(error).__name__}: {error}")
        else:
            say(f"{number}/{len(runs)} {one.name}: {result['monitor']} {shown(result['metrics'][result['monitor']])}")
    if cfg.report:
        report.write_at_the_end(folder)
    return failed


def trained(root: Path) -> Sequence[Trained]:
    """The finished runs in a folder, without those that tuned settings on a part of the training images.

    Raises:
        ValueError: there are none.
    """
    found = [run for file in sorted(root.rglob("result.json")) if (run := _trained(RunFolder(file.parent), root))]
    if not found:
        raise ValueError(f"ckpt is {str(root)!r}, a folder without a finished run that has checkpoints")
    return found


def _trained(folder: RunFolder, root: Path) -> Trained | None:
    result = read_result(folder)
    if result.get("status") != "finished" or "best" not in result.get("metrics", ()):
        return None
    if not folder.config.is_file():
        return None
    config = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(folder.config)))
    protocol = config.get("protocol") or {}
    checkpoint = folder.weights(protocol.get("evaluation", "best"))
    if protocol.get("hold_out") or not checkpoint.is_file():
        return None
    name = folder.path.relative_to(root) if folder.path != root else folder.path.resolve().name
    return Trained(str(name), folder.path, checkpoint)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")
def job(cfg: DictConfig) -> None:
    """What Hydra runs."""
    folder = RunFolder(HydraConfig.get().runtime.output_dir)
    mask_keys(cfg, folder)
    if not OmegaConf.is_missing(cfg, "ckpt") and Path(str(cfg.ckpt)).is_dir():
        stopping.advise(lambda: f"the same command with hydra.run.dir={folder.path} goes on with what is missing")
        try:
            failed = run_all(cfg, folder.path)
        except (ValueError, OSError) as error:
            raise RunError(str(error)) from error
        if failed:
            raise RunError(f"{failed} of the evaluations failed; their folders are in {folder.path}")
        return
    with user_errors(folder), lock_run(folder):
        run(cfg, folder)


def main() -> None:
    """Entry point."""
    suggest(sys.argv[1:])
    job()


if __name__ == "__main__":
    sys.exit(stopping.run(main))

"""Train one upsampler on one task: `denseup train task=matting upsampler=fade`."""

import sys
from contextlib import nullcontext
from functools import partial
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from denseup.cli import stopping
from denseup.cli.config import mask_keys, plain, run_info, suggest, user_errors
from denseup.cli.going_on import how_to_go_on
from denseup.cli.importing import quick_imports
from denseup.cli.places import CONF
from denseup.cli.sweep import jobs as sweep
from denseup.cli.sweep.processes import die_with_parent
from denseup.engine import RunFolder
from denseup.engine.checkpoint_files import kept
from denseup.engine.processes import is_rank_zero
from denseup.engine.state import lock_run, plan, refuse_others


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Train what `cfg` describes into `folder`; what comes back is also its result.json."""
    with quick_imports():
        import pytorch_lightning as pl

        from denseup.cli.build import apply_protocol, build_callbacks, build_data, build_task, check_data
        from denseup.cli.checks import check_config
        from denseup.cli.trusted import targets, trust
        from denseup.engine.training import train

    info = run_info(cfg)
    check_config(cfg)
    trust(targets(info.config))
    folder.make()
    if is_rank_zero():
        folder.write_config(OmegaConf.to_yaml(OmegaConf.create(info.config)))
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build_data(cfg)
    check_data(data, "fit", cfg.check_data)
    task = build_task(cfg, data)
    data = apply_protocol(cfg, task, data)
    return train(
        task,
        data,
        folder,
        info,
        trainer=plain(cfg.trainer),
        resume=cfg.resume,
        callbacks=build_callbacks(cfg),
        average=cfg.recipe.get("average"),
        effective_batch_size=cfg.recipe.get("effective_batch_size"),
    )


def go_on(cfg: DictConfig, folder: RunFolder) -> None:
    """Let the repeated command of an interrupted run go on from its newest checkpoint, unless it says from which.

    Raises:
        ValueError: the folder holds checkpoints of another config's unfinished run; none of its own is whole.
    """
    if cfg.resume is not None:
        return
    config = run_info(cfg).config
    refuse_others(folder, config)
    action, checkpoint = plan(folder, config)
    if action == "resume":
        cfg.resume = str(checkpoint)
    if not is_rank_zero():
        return
    left = kept(folder.checkpoints)
    if action == "resume":
        print(f"{folder.path} holds an interrupted run, which goes on from {checkpoint}", file=sys.stderr)
    elif left:
        print(f"{folder.path} holds a run that failed; it starts anew", file=sys.stderr)
        for path in left:  # they would pass for those of the run that begins
            path.unlink()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def job(cfg: DictConfig) -> float | None:
    """What Hydra runs; for a job of a sweep, what its sweeper may optimize: the task's monitor, None if it failed."""
    folder = RunFolder(HydraConfig.get().runtime.output_dir)
    mask_keys(cfg, folder)
    if sweep.is_sweep_job():
        return sweep.run_job(cfg, folder)
    stopping.advise(partial(how_to_go_on, folder))
    die_with_parent(folder)
    with user_errors(folder, cfg), lock_run(folder) if is_rank_zero() else nullcontext():
        go_on(cfg, folder)
        run(cfg, folder)
    return None


def main() -> int:
    """Entry point; the exit code."""
    suggest(sys.argv[1:])
    try:
        job()
    finally:
        sweep.close_early()
    return 1 if sweep.ClosingTable.failed else 0


if __name__ == "__main__":
    sys.exit(stopping.run(main))

"""Train one upsampler on one task: python -m src.train task=matting upsampler=fade."""

import sys
from contextlib import nullcontext
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from denseup.runs import RunFolder
from denseup.runs.processes import is_first
from denseup.runs.state import alone_in
from src import sweep
from src.config import plain, run_info, suggest, user_errors
from src.importing import quick_imports


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Train what `cfg` describes into `folder`; what comes back is also its result.json."""
    with quick_imports():
        import pytorch_lightning as pl

        from denseup.runs.training import train
        from src.build import build_callbacks, build_data, build_task, check_data
        from src.checks import check_config

    info = run_info(cfg)
    check_config(cfg)
    folder.make()
    if is_first():
        folder.write_config(OmegaConf.to_yaml(cfg, resolve=True))
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build_data(cfg)
    check_data(data, "fit", cfg.check_data)
    task = build_task(cfg, data)
    return train(
        task, data, folder, info, trainer=plain(cfg.trainer), resume=cfg.resume, callbacks=build_callbacks(cfg)
    )


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Entry point; for a job of a sweep, what its sweeper may optimize: the task's monitor, None if it failed."""
    folder = RunFolder(HydraConfig.get().runtime.output_dir)
    if sweep.is_sweep_job():
        return sweep.run_job(cfg, folder)
    sweep.die_with_parent()
    with user_errors(folder, cfg), alone_in(folder) if is_first() else nullcontext():
        run(cfg, folder)
    return None


if __name__ == "__main__":
    suggest(sys.argv[1:])
    try:
        main()
    finally:
        sweep.close_early()
    sys.exit(1 if sweep.ClosingTable.failed else 0)

"""Measure a checkpoint: `denseup evaluate ckpt=runs/…/checkpoints/best.ckpt [data.root=…] [data=…]`."""

import sys
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from denseup.cli.config import plain, run_info, suggest, user_errors
from denseup.cli.evaluation_data import group_file, merged_data
from denseup.cli.importing import quick_imports
from denseup.cli.places import CONF
from denseup.engine import RunFolder


def run(cfg: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Evaluate the checkpoint `cfg.ckpt`; what comes back is also `folder`'s result.json."""
    with quick_imports():
        from denseup.cli.build import build_data, check_data
        from denseup.cli.checks import check_data_options, check_path
        from denseup.cli.loading import rebuilt_task
        from denseup.engine.evaluation import evaluate, read_checkpoint
        from denseup.tasks.checks import check_whole

    check_path("ckpt", cfg.ckpt, "file")
    check_whole("check_data", cfg.check_data, 0)
    config, weights = read_checkpoint(cfg.ckpt)
    whole = OmegaConf.create({**config, "trainer": cfg.trainer, "logger": cfg.logger})
    whole.data, notes = merged_data(cfg.get("data"), config["data"], group_file(cfg.get("data")))
    for note in notes:
        print(note)
    check_data_options(whole.data)
    folder.make()
    folder.write_config(OmegaConf.to_yaml(whole, resolve=True))
    data = build_data(whole)
    check_data(data, "test", cfg.check_data)
    task = rebuilt_task(plain(whole), data)
    try:
        task.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"ckpt={cfg.ckpt} does not fit the data's classes or the model: {error}") from error
    return evaluate(task, data, folder, run_info(whole), checkpoint=cfg.ckpt, trainer=plain(cfg.trainer))


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")
def job(cfg: DictConfig) -> None:
    """What Hydra runs."""
    folder = RunFolder(HydraConfig.get().runtime.output_dir)
    with user_errors(folder):
        run(cfg, folder)


def main() -> None:
    """Entry point."""
    suggest(sys.argv[1:])
    job()


if __name__ == "__main__":
    main()

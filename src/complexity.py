"""What every upsampler costs in both networks: python -m src.complexity task=matting,segmentation."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from denseup.runs import RunFolder
from src.config import suggest, user_errors
from src.importing import quick_imports

LISTS = {"task": "tasks", "upsampler": "upsamplers"}


def spell(arguments: list[str]) -> list[str]:
    """`task=a,b` as the list that Hydra knows, `tasks=[a,b]`; the same for upsampler."""
    spelt = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        spelt.append(f"{LISTS[key]}=[{value.strip('[]')}]" if equals and key in LISTS else argument)
    return spelt


@hydra.main(version_base="1.3", config_path="../conf", config_name="complexity")
def main(cfg: DictConfig) -> None:
    """Entry point."""
    folder = RunFolder(HydraConfig.get().runtime.output_dir)
    with quick_imports():
        from src.cost_table import run

    with user_errors(folder):
        run(cfg, folder)


if __name__ == "__main__":
    suggest(sys.argv[1:])
    sys.argv[1:] = spell(sys.argv[1:])
    main()

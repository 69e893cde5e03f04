"""Hydra's plugins that some choices need: without one, Hydra only says that it knows no such config."""

from collections.abc import Sequence
from importlib.util import find_spec

NEEDED = {
    "launcher=joblib": ("hydra_joblib_launcher", "joblib"),
    "launcher=ray": ("hydra_ray_launcher", "ray"),
    "launcher=submitit_local": ("hydra_submitit_launcher", "submitit"),
    "launcher=submitit_slurm": ("hydra_submitit_launcher", "submitit"),
    "sweep=demo": ("hydra_joblib_launcher", "joblib"),
    "sweep=optuna": ("hydra_optuna_sweeper", "optuna"),
}
"""Choice → its plugin, and the extra that brings it."""
SIDE_BY_SIDE = "sweep=demo"
"""Runs jobs side by side unless another launcher is chosen."""


def refuse_missing(argv: Sequence[str]) -> None:
    """End with a message if an argument of the command line needs a plugin that is not installed."""
    launcher = next((argument for argument in argv if argument.startswith("launcher=")), None)
    for argument in argv:
        plugin, extra = NEEDED.get(argument, (None, ""))
        if plugin is None or _installed(plugin) or (argument == SIDE_BY_SIDE and launcher is not None):
            continue
        instead = ", or launcher=local" if argument == SIDE_BY_SIDE else ""
        raise SystemExit(f"{argument} needs {plugin}: pip install 'denseup[{extra}]'{instead}")


def _installed(plugin: str) -> bool:
    try:
        return find_spec(f"hydra_plugins.{plugin}") is not None
    except ModuleNotFoundError:  # there are no plugins at all
        return False

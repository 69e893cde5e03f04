"""The commands: train, evaluate, complexity, report, dashboard; what a command line says, and objects from configs.

Hydra lives here and nowhere below. `denseup NAME …` and `python -m src.NAME …` in a clone are the same command.
"""

from denseup.cli.stopping import heed_in_commands

heed_in_commands()

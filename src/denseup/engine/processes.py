"""The processes that train one run together, as Lightning's DDP starts them: each runs the same program."""

import os
import signal
import sys

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Variables that tell a process its number, by which Lightning knows it before it has started anything."""


def is_rank_zero() -> bool:
    """Whether this process is the one that writes: the run's folder and its logs. True where there is one process."""
    if "pytorch_lightning" in sys.modules:
        from pytorch_lightning.utilities import rank_zero_only

        return not getattr(rank_zero_only, "rank", 0)
    return not int(next((os.environ[name] for name in RANKS if name in os.environ), 0))


def how_it_ended(exit_code: int) -> str:
    """An exit code, as `subprocess` gives it, in words: "was killed by signal 9 (SIGKILL)"."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by signal {-exit_code} ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"was killed by signal {-exit_code}"

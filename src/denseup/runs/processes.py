"""The processes that train one run together, as Lightning's DDP starts them: each runs the same program."""

from pytorch_lightning.utilities import rank_zero_only


def is_first() -> bool:
    """Whether this process is the one that writes: the run's folder and its logs. True where there is one process."""
    return not getattr(rank_zero_only, "rank", 0)

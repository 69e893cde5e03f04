"""How a run that was ended goes on, as a command line."""

import re
import shlex
import sys

from denseup.cli.quoting import quoted
from denseup.engine import RunFolder
from denseup.engine.checkpoint_files import kept
from denseup.engine.masking import masked_text

OURS = ("resume=", "hydra.run.dir=")
"""What the command line has to say anew."""
SWEEP = "the same command goes on with what is not finished"


def how_to_go_on(folder: RunFolder) -> str:
    """The command that goes on with the run of this process from its last checkpoint, as the end of a sentence."""
    found = kept(folder.checkpoints)
    if not found:
        return "there is no checkpoint yet: the same command starts again"
    given = [word for word in sys.orig_argv[1:] if not word.startswith(OURS)]
    paths = zip(OURS, (found[0], folder.path), strict=True)
    where = [key + _as_hydra_reads(str(path.resolve())) for key, path in paths]
    return masked_text(f"this command goes on from {found[0]}: python {shlex.join([*given, *where])}")


def _as_hydra_reads(path: str) -> str:
    return path if re.fullmatch(r"[\w/.:-]+", path) else quoted(path, "'")

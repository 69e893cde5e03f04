"""How long commands take to start: help, an error, the imports of a training, a training of one step.

What counts is processor time, user and system, of the process and of those that it waits for: a loaded machine changes
it less than the time on the wall. Needs a Unix and all that denseup is installed with.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.cases import Case, Entrant, Settings, Work
from benchmarks.options import missing, parser
from benchmarks.running import MakeCase, run

NEEDED = ("resource", "hydra", "pytorch_lightning", "cv2", "wandb")
ROOT = Path(__file__).parent.parent
START = "processor time"
BASELINE = "import torch"
IMPORTS = (
    "from denseup.cli.importing import quick_imports\n"
    "with quick_imports():\n"
    "    import denseup.cli.build, denseup.cli.checks, denseup.engine.training"
)
"""What `src.train.run` imports, in its way."""
ONE_STEP = (
    *("task=matting", "upsampler=bilinear", "logger=csv", "trainer=short", "trainer.max_steps=1"),
    *("trainer.val_check_interval=1", "trainer.limit_val_batches=1", "check_data=0"),
    *("model.width=8", "data.image_size=64", "data.crop_size=64", "data.val_length=1", "hydra.run.dir={folder}"),
)


@dataclass(frozen=True)
class Command:
    """What is started.

    Args:
        arguments: of Python; "{folder}" in them becomes an empty folder.
        code: that it exits with.
        says: text that it prints.
    """

    arguments: Sequence[str]
    code: int = 0
    says: str = ""

    def start(self) -> subprocess.CompletedProcess[str]:
        """Run it to its end, from the root of the clone."""
        with tempfile.TemporaryDirectory() as folder:
            filled = [argument.replace("{folder}", folder) for argument in self.arguments]
            return subprocess.run([sys.executable, *filled], capture_output=True, text=True, cwd=ROOT)

    def check(self) -> tuple[float, str]:
        """No error where it does what it should.

        Raises:
            RuntimeError: it ends otherwise.
        """
        done = self.start()
        printed = (done.stdout + done.stderr).strip()
        if done.returncode != self.code or self.says not in printed:
            last = printed.splitlines()[-1:] or ["nothing"]
            raise RuntimeError(
                f"exit code {done.returncode}, expected {self.code} and {self.says!r}; printed {last[0]}"
            )
        return 0.0, "exit code"


COMMANDS = {
    BASELINE: Command(["-c", "import torch"]),
    "from denseup import FADE": Command(["-c", "from denseup import FADE"]),
    "train --help": Command(["-m", "src.train", "--help"], says="upsampler: a2u"),
    "train, misspelt key": Command(["-m", "src.train", "trainr=short"], code=1, says="trainr"),
    "imports of a training": Command(["-c", IMPORTS]),
    "training of one step": Command(["-m", "src.train", *ONE_STEP], says="result: "),
}
QUICK = (BASELINE, "from denseup import FADE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    options = _parser().parse_args(arguments)
    options.device = "cpu"
    options.no_memory = True  # of other processes
    options.repeats = 0.0
    absent = missing(NEEDED)
    if absent:
        print(f"benchmarks.startup: skipped: not installed: {', '.join(absent)}")
        return 0
    return run("startup", options, lambda how: _cases(options, how))


def _parser() -> argparse.ArgumentParser:
    return parser("startup", __doc__)


def _cases(options: argparse.Namespace, how: Settings) -> Iterator[tuple[str, MakeCase]]:
    chosen = {name: COMMANDS[name] for name in (QUICK if options.quick else COMMANDS)}
    yield "start-up", partial(startup_case, chosen)


def startup_case(commands: Mapping[str, Command]) -> Case:
    """Commands side by side, by the processor time that they take; ratios are told against the first."""
    entrants = [
        Entrant(name, partial(Work, {START: command.start}, command.check)) for name, command in commands.items()
    ]
    return Case("start-up", entrants, next(iter(commands)), tolerance=0, clock=processor_seconds)


def processor_seconds() -> float:
    """User and system time of all processes that this one has waited for."""
    import resource  # on a Unix alone

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())

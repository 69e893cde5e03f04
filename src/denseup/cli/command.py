"""The console command: `denseup train task=matting upsampler=fade`, `denseup report runs/…`; also `python -m denseup`.

Each command is a module that runs as a program, `python -m denseup.cli.NAME`. This one only puts it in its own place,
so that a command reads its arguments in the same way, whoever calls it.
"""

import difflib
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple, NoReturn

from denseup import __version__


class Command(NamedTuple):
    """What `denseup --help` says, and what has to be installed."""

    does: str
    extra: str
    packages: tuple[str, ...]


TRAINING = ("numpy", "pytorch_lightning", "hydra", "torchmetrics", "cv2", "PIL", "rich")
REPORTING = (*TRAINING, "matplotlib", "scipy", "jinja2")
COMMANDS = {
    "train": Command("train one upsampler on one task, or sweep over many (-m)", "train", TRAINING),
    "evaluate": Command("measure a checkpoint", "train", TRAINING),
    "predict": Command("mattes or label maps of your own pictures", "predict", TRAINING),
    "score": Command("measure prediction files of any tool", "train", TRAINING),
    "export": Command("a trained network as ONNX, torch.export, TorchScript or safetensors", "train", TRAINING),
    "describe": Command("the model card of trained weights", "train", TRAINING),
    "complexity": Command("count and measure what every upsampler costs", "train", TRAINING),
    "demo": Command("a local page to try networks on pictures", "demo", (*TRAINING, "gradio")),
    "report": Command("tables, plots and a page from runs", "report", REPORTING),
    "check_data": Command("read every file of a data set before training, and list what is broken", "train", TRAINING),
    "show_data": Command("training samples as a network sees them, step by step", "train", TRAINING),
    "build_composition1k": Command("make the composites of Composition-1k from its release", "train", TRAINING),
    "build_voc2012_aug": Command("make VOC 2012's labels with SBD's training images", "report", REPORTING),
    "cache": Command("list and clear the kept features of frozen encoders", "train", TRAINING),
    "dashboard": Command("the comparison as a W&B workspace and report", "dashboard", ("wandb_workspaces",)),
}


def usage() -> str:
    """What `denseup --help` prints."""
    lines = "\n".join(f"  {name:20}{command.does}" for name, command in COMMANDS.items())
    return f"usage: denseup COMMAND …\n\n{lines}\n\n`denseup COMMAND --help` says more. denseup {__version__}"


def refuse(name: str) -> NoReturn:
    """End with a message that names the nearest command."""
    nearest = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    sys.exit(f"denseup has no command {name!r}.{hint} Known: {', '.join(COMMANDS)}")


def check_installed(name: str) -> None:
    """End with a message that names the extra where a package is missing that the command needs."""
    command = COMMANDS[name]
    missing = [package for package in command.packages if find_spec(package) is None]
    if missing:
        sys.exit(f"denseup {name} needs {', '.join(missing)}: pip install 'denseup[{command.extra}]'")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point."""
    name, *arguments = (sys.argv[1:] if argv is None else list(argv)) or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        sys.exit(0)
    if name == "--version":
        print(__version__)
        sys.exit(0)
    if name not in COMMANDS:
        refuse(name)
    check_installed(name)
    program = [sys.executable, "-m", f"denseup.cli.{name}", *arguments]
    if sys.platform == "win32":  # where a replaced process would leave its shell behind
        sys.exit(subprocess.call(program))
    os.execv(sys.executable, program)

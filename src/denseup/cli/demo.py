"""A local page to try networks on pictures: `denseup demo ckpt=runs/…[,runs/…]`."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig

from denseup.cli import stopping
from denseup.cli.arguments import exit_code, keys_and_values
from denseup.cli.config import plain
from denseup.cli.importing import quick_imports

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PORTS = range(1, 65536)


def run(options: dict[str, Any]) -> None:
    """Serve the page that conf/demo.yaml says, until it is interrupted.

    Raises:
        ValueError: an option that is none, or networks that don't go together.
        OSError: the port is taken.
    """
    _check(options)
    with quick_imports():
        from denseup.cli.loading import load, read_config, weights_of
        from denseup.demo.comparing import names_of, one_task
        from denseup.demo.page import Page, launch
        from denseup.prediction import Predictor

    checkpoints = [weights_of(path) for path in options["ckpt"]]
    names = names_of([read_config(path)["upsampler"]["name"] for path in checkpoints], checkpoints)
    predictors = {
        name: Predictor(load(path), memory=options["memory"], device=options["device"])
        for name, path in zip(names, checkpoints, strict=True)
    }
    page = Page(predictors, f"denseup · {one_task(predictors)}: {', '.join(names)}")
    if options["host"] not in LOOPBACK:
        print(f"warning: host is {options['host']}: whoever reaches this machine can use the page", file=sys.stderr)
    launch(page, options["host"], options["port"], options["browser"])


def _check(options: dict[str, Any]) -> None:
    """ValueError that names an option that is none; ImportError without Gradio."""
    if find_spec("gradio") is None:
        raise ImportError("the page needs gradio: pip install 'denseup[demo]'")
    given = options["ckpt"]
    options["ckpt"] = given if isinstance(given, list) else [given]
    if not options["ckpt"] or not all(isinstance(path, str) and path for path in options["ckpt"]):
        raise ValueError(f"ckpt is {given!r}, expected runs or checkpoints with commas between them")
    port = options["port"]
    if port is not None and (isinstance(port, bool) or port not in PORTS):
        raise ValueError(f"port is {port!r}, expected 1 … {PORTS[-1]}, or null for a free one")
    if not isinstance(options["browser"], bool):
        raise ValueError(f"browser is {options['browser']!r}, expected true or false")
    if not isinstance(options["host"], str) or not options["host"]:
        raise ValueError(f"host is {options['host']!r}, expected an address of this machine, such as 127.0.0.1")


def listed(word: str) -> str:
    """`ckpt=a,b` as the list that Hydra reads; any other word as it is."""
    key, _, value = word.partition("=")
    return f"{key}=[{value}]" if key == "ckpt" and "," in value and not value.startswith("[") else word


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/demo.yaml."""
    return keys_and_values("demo", __doc__, arguments, spell=listed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    cfg = parse(arguments)
    return exit_code(lambda: run(plain(cfg)))


if __name__ == "__main__":
    sys.exit(stopping.run(main))

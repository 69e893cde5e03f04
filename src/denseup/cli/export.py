"""A trained network in a file of another runtime: `denseup export ckpt=RUN format=onnx [output=FILE]`.

With format=safetensors: a folder of weights and a model card, which `denseup.load` reads.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from denseup.cli import stopping
from denseup.cli.arguments import exit_code, keys_and_values
from denseup.cli.config import plain
from denseup.cli.importing import quick_imports
from denseup.cli.places import path_of
from denseup.cli.saying import say

if TYPE_CHECKING:
    from denseup.exporting.facts import Facts
    from denseup.exporting.writing import Exported
    from denseup.tasks import DenseTask

SAFETENSORS = "safetensors"


def run(cfg: DictConfig, console: Console | None = None) -> Path:
    """Write what conf/export.yaml asks for, and print what was compared.

    Returns:
        The file, of format=safetensors the folder.

    Raises:
        ValueError: a value that is none, weights that can't be read, or a file that does not give what the network
            gives.
    """
    with quick_imports():
        from denseup.cli.loading import load_described
        from denseup.exporting.folder import write_folder

    console = console or Console()
    options = _checked(plain(cfg))
    task, facts, notes = load_described(options["ckpt"], options["upsampler"])
    for note in notes:
        say(note, console)
    output = Path(options["output"] or _default(Path(path_of(options["ckpt"])), options["format"]))
    if options["format"] == SAFETENSORS:
        file = write_folder(task.state_dict(), facts, output, options["license"])
        say(f"{SAFETENSORS}: {file}, with {output / 'README.md'}", console)
        return output
    return _graph(task, facts, output, options, console)


def _graph(task: "DenseTask", facts: "Facts", output: Path, options: dict[str, Any], console: Console) -> Path:
    from denseup.exporting.metadata import metadata_of
    from denseup.exporting.writing import export_task

    timing, repeats = options["latency"], options["latency"]["repeats"]
    done = export_task(
        task,
        output,
        options["format"],
        metadata_of(facts),
        sizes=options["sizes"],
        tolerance=options["tolerance"],
        timed=((1, timing["size"], timing["size"]), repeats) if repeats else None,
    )
    _print(done, options, console)
    return done.path


def _default(source: Path, format: str) -> Path:
    """In export/ of the run's folder; beside a checkpoint that lies in none."""
    from denseup.exporting.formats import FORMATS

    source = source.resolve()
    around = source if source.is_dir() else source.parent
    folder = (around.parent if around.name == "checkpoints" else around) / "export"
    return folder / (SAFETENSORS if format == SAFETENSORS else f"model{FORMATS[format].SUFFIX}")


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    from denseup.cli.checks import check_path
    from denseup.exporting.formats import FORMATS
    from denseup.exporting.writing import check_format
    from denseup.tasks.checks import check_number, check_whole

    check_path("ckpt", options["ckpt"], "file")
    if options["format"] not in (*FORMATS, SAFETENSORS):
        raise ValueError(f"format is {options['format']!r}, valid: {', '.join((*FORMATS, SAFETENSORS))}")
    if options["format"] != SAFETENSORS:
        check_format(options["format"])
    for name in ("output", "license"):
        if options[name] is not None:
            check_path(name, options[name], "file or folder")
    check_number("tolerance", options["tolerance"])
    for name, least in (("size", 1), ("repeats", 0)):
        check_whole(f"latency.{name}", options["latency"][name], least)
    return {**options, "sizes": _sizes(options["sizes"])}


def _sizes(sizes: Any) -> list[tuple[int, int, int]]:
    from denseup.tasks.checks import check_whole

    if not isinstance(sizes, list) or not sizes or not all(isinstance(s, list) and len(s) == 3 for s in sizes):
        raise ValueError(
            f"sizes is {sizes!r}, expected a list of [batch, height, width], such as [[1,64,96],[2,75,101]]"
        )
    for side in (side for size in sizes for side in size):
        check_whole("sizes", side, 1)
    return [(size[0], size[1], size[2]) for size in sizes]


def _print(done: "Exported", options: dict[str, Any], console: Console) -> None:
    table = Table(title=f"{options['format']} beside the network")
    for heading in ("batch × height × width", "largest difference", "largest value", "allowed"):
        table.add_column(heading, justify="right")
    for one in done.compared:
        size = " × ".join(map(str, one.size))
        table.add_row(size, f"{one.error:.1e}", f"{one.largest:.3g}", f"{options['tolerance']:g}")
    console.print(table)
    if done.timings:
        say(_told(done, options), console)
    say(f"{options['format']}: {done.path} ({done.path.stat().st_size / 1e6:.1f} MB)", console)


def _told(done: "Exported", options: dict[str, Any]) -> str:
    import torch

    times = {name: (1e3 * t.median, *(1e3 * q for q in t.quartiles)) for name, t in done.timings.items()}
    told = ", ".join(f"{name} {median:.1f} ms ({low:.1f}-{high:.1f})" for name, (median, low, high) in times.items())
    ratio = done.timings["file"].ratio_to(done.timings["eager"])
    side, repeats = options["latency"]["size"], options["latency"]["repeats"]
    return (
        f"latency at 1 × {side} × {side} on the CPU, {torch.get_num_threads()} thread(s), median (quartiles) of "
        f"{repeats}: {told}; file/eager {ratio:.2f}"
    )


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/export.yaml."""
    return keys_and_values("export", __doc__, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    cfg = parse(arguments)
    return exit_code(lambda: run(cfg))


if __name__ == "__main__":
    sys.exit(stopping.run(main))

"""Mattes or label maps of anyone's pictures: `denseup predict ckpt=runs/… input=photos [trimap=… | mask=…]`."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from denseup.cli import stopping
from denseup.cli.arguments import exit_code, keys_and_values
from denseup.cli.checks import check_path
from denseup.cli.config import plain
from denseup.cli.importing import quick_imports
from denseup.cli.places import is_official
from denseup.cli.saying import tell
from denseup.escaping import printable

if TYPE_CHECKING:
    from denseup.prediction import Predictor, Settings, Source
    from denseup.tasks import DenseTask

STDIN = STDOUT = "-"


def run(options: dict[str, Any]) -> int:
    """Predict what conf/predict.yaml says; the number of pictures that failed.

    Raises:
        ValueError: an option that is none, or nothing to predict.
    """
    _check(options)
    with quick_imports():
        from denseup.prediction import Predictor, find_sources
        from denseup.prediction.files import make_folder

    sources: Sequence[Source] = find_sources(options["input"])
    task, notes = _task(options)
    predictor = Predictor(task, memory=options["memory"], device=options["device"])
    chosen, sources = _settings(options, predictor, sources)
    if options["output"] != STDOUT:
        make_folder(options["output"])
    for note in notes:
        tell(note)
    return _predict(predictor, sources, chosen)


def _task(options: dict[str, Any]) -> "tuple[DenseTask, Sequence[str]]":
    """The task with its weights, and what has to be said of them."""
    from denseup.cli.loading import load, load_official_file, weights_of

    if is_official(options["ckpt"]):
        return load_official_file(options["ckpt"], upsampler=options["upsampler"])
    checkpoint = weights_of(options["ckpt"])
    notes = [] if Path(options["ckpt"]) == checkpoint else [f"weights: {checkpoint}"]
    return load(checkpoint, upsampler=options["upsampler"]), notes


def _settings(
    options: dict[str, Any], predictor: "Predictor", sources: "Sequence[Source]"
) -> "tuple[Settings, Sequence[Source]]":
    """What is written, and the pictures that are left when those that belong to others are taken out."""
    from denseup.prediction import Prompting, Settings, find_partners
    from denseup.prediction.files import wanted_kinds
    from denseup.prediction.prompting import check_prompts

    partners: dict[str, dict[Source, Path]] = {}
    check_prompts(predictor.task, str(sources[0].path), options["trimap"] is not None, options["mask"] is not None)
    for argument in ("trimap", "mask"):
        given = options[argument]
        partners[argument] = {} if given is None else find_partners(given, sources, argument)
    values = {int(key): value for key, value in (options["trimap_values"] or {}).items()} or None
    how = Prompting(options["band"], values, options["apply_orientation"])
    kinds = wanted_kinds(predictor.task.result_class, options["files"])
    used = {path.resolve() for found in partners.values() for path in found.values()}
    others = [source for source in sources if source.path.resolve() not in used]
    left = _without_output(others or sources, options)
    if options["output"] == STDOUT and len(left) > 1:
        raise ValueError(f"output is -, for one picture, but input has {len(left)}; expected a folder")
    return Settings(options["output"], kinds, options["bits"], how, partners["trimap"], partners["mask"]), left


def _without_output(sources: "Sequence[Source]", options: dict[str, Any]) -> "Sequence[Source]":
    """Without what an earlier call has written into a folder that lies in the input."""
    output = Path(options["output"]).resolve()
    inputs = [options["input"]] if isinstance(options["input"], str) else options["input"]
    if options["output"] == STDOUT or any(Path(given).resolve().is_relative_to(output) for given in inputs):
        return sources
    left = [source for source in sources if not source.path.resolve().is_relative_to(output)]
    if not left:
        raise ValueError(f"input has only pictures that lie in output={options['output']}; expected other ones")
    return left


def _predict(predictor: "Predictor", sources: "Sequence[Source]", chosen: "Settings") -> int:
    from denseup.prediction import predict_files

    failures: list[str] = []

    def failed(source: "Source", error: Exception) -> None:
        path = str(source.path)
        kind = "" if isinstance(error, ValueError | ImportError) else f"{type(error).__name__}: "
        text = f"{'' if str(error).startswith(path) else f'{path}: '}{kind}{error}"
        failures.append(text.replace(path, printable(path)))

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress, warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest, **named: tell(f"warning: {message}")
        bar = progress.add_task("predicting", total=len(sources))
        for source in predict_files(predictor, sources, chosen, failed):
            progress.update(bar, advance=1, description=printable(source.name))
    done = len(sources) - len(failures)
    where = "standard output" if chosen.output == STDOUT else chosen.output
    tell(f"{done} of {len(sources)} predicted: {where}")
    if failures:
        tell("\n  ".join([f"{len(failures)} failed:", *failures]))
    return len(failures)


def _check(options: dict[str, Any]) -> None:
    """ValueError that names an option that is none."""
    from denseup.tasks.checks import check_whole

    for name, kind in (("ckpt", "run or checkpoint"), ("output", "folder")):
        check_path(name, options[name], kind)
    given = options["input"]
    for one in given if isinstance(given, list) and given else [given]:
        check_path("input", one, "picture, folder or pattern")
    for name in ("trimap", "mask"):
        if options[name] is not None:
            check_path(name, options[name], "file, folder or pattern")
    if options["bits"] not in (8, 16):
        raise ValueError(f"bits is {options['bits']!r}, valid: 8, 16")
    if not isinstance(options["apply_orientation"], bool):
        raise ValueError(f"apply_orientation is {options['apply_orientation']!r}, expected true or false")
    if isinstance(options["files"], str):
        options["files"] = [options["files"]]
    check_whole("band", options["band"], 0)


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/predict.yaml."""
    return keys_and_values("predict", __doc__, arguments, bare="input")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code: 1 if any picture failed."""
    cfg = parse(arguments)
    return exit_code(lambda: int(run(plain(cfg)) > 0))


if __name__ == "__main__":
    sys.exit(stopping.run(main))

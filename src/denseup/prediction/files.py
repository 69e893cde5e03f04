"""Predictions of many pictures, each written as soon as it is there; one that fails does not stop the others."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from denseup.prediction.images import as_image
from denseup.prediction.predictor import Predictor
from denseup.prediction.prompting import Prompting
from denseup.prediction.sources import STDIN, Source
from denseup.results import File, Result
from denseup.writing import WriteError, check_writable, written_whole


@dataclass(frozen=True)
class Settings:
    """What is written, and where.

    Args:
        output: folder; or "-", which writes the one picture of one image to standard output.
        kinds: names of `Result.kinds`; None: all.
        bits: 8, or 16 for those that can have them.
        prompting: how prompts are read.
        trimaps, masks: those that belong to pictures.
    """

    output: str
    kinds: Sequence[str] | None = None
    bits: int = 8
    prompting: Prompting = field(default_factory=Prompting)
    trimaps: Mapping[Source, Path] = field(default_factory=dict)
    masks: Mapping[Source, Path] = field(default_factory=dict)


def predict_files(
    predictor: Predictor, sources: Iterable[Source], settings: Settings, failed: Callable[[Source, Exception], None]
) -> Iterable[Source]:
    """Predict and write each picture; gives each one back when it is done, written or `failed`.

    Files that are there already are written anew.

    Raises:
        WriteError: nothing can be written any more; those that were written are whole.
    """
    for source in sources:
        try:
            result = predict_file(predictor, source, settings)
            write(result, source, settings)
        except Exception as error:  # the others go on
            if isinstance(error, WriteError) and not error.of_one_name:  # which all others would have too
                raise
            failed(source, error)
        yield source


def predict_file(predictor: Predictor, source: Source, settings: Settings) -> Result:
    """The result for one picture.

    Raises:
        ValueError: it cannot be read, lacks its trimap, or the memory does not do.
    """
    how, name = settings.prompting, str(source.path)
    given = sys.stdin.buffer.read() if name == STDIN else source.path
    image = as_image(given, how.apply_orientation)
    trimap = settings.trimaps.get(source)
    mask = None if trimap else settings.masks.get(source)
    prompts = how.read(predictor.task, image, trimap, mask, name)
    return predictor(image, prompts, name)


def write(result: Result, source: Source, settings: Settings) -> None:
    """Write the wanted pictures of a result: NAME_KIND.png, and what there is once for all."""
    kinds = wanted_kinds(type(result), settings.kinds)
    if settings.output == STDIN:
        result.picture(kinds[0], settings.bits).save(sys.stdout.buffer, "PNG")
        sys.stdout.buffer.flush()
        return
    folder = Path(settings.output)
    for kind in kinds:
        _write(folder / f"{source.name}_{kind}.png", result.picture(kind, settings.bits))
    for name, content in result.once().items():
        if not (folder / name).is_file():
            _write(folder / name, content)


def wanted_kinds(result: type[Result], kinds: Sequence[str] | None) -> Sequence[str]:
    """The pictures that are written.

    Raises:
        ValueError: one that there is not; or pymatting, which a cut-out needs, is not installed.
    """
    if kinds is not None and (not kinds or set(kinds) - set(result.kinds)):
        raise ValueError(f"files is {list(kinds)}, valid: {', '.join(result.kinds)}")
    wanted = [kind for kind in result.kinds if kinds is None or kind in kinds]
    if "cutout" in wanted and find_spec("pymatting") is None:
        raise ValueError(
            "a cut-out needs pymatting, for its colours: pip install 'denseup[predict]'; files=[alpha] does without"
        )
    return wanted


def make_folder(output: str) -> None:
    """Make the folder that is written to.

    Raises:
        ValueError: it can't be made, or nothing can be written there.
    """
    try:
        check_writable(output)
    except WriteError as error:
        raise ValueError(f"output={output}: nothing can be written there: {error}") from error


def _write(path: Path, content: File) -> None:
    """Write a file so that whoever reads the path sees all of it or the one before."""
    with written_whole(path, durable=False) as temporary:
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8")
        else:
            content.save(temporary, "PNG")

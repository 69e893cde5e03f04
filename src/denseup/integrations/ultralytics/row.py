"""A row of a model yaml that asks for an upsampler: `[from, repeats, name, [factor, {option: value, …}]]`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from denseup.integrations.building import check_options
from denseup.upsamplers.registry import UPSAMPLERS

GIVEN = ("de_channels", "en_channels", "scale_factor")
"""Options that a row does not take by name: the channels are known, and the factor has its place."""


@dataclass(frozen=True)
class Row:
    """What a row says, checked as far as that needs no channels.

    Args:
        index: of the row, counted through backbone and head, as ultralytics prints it.
        text: the row, for messages.
        sources: where the decoder feature comes from, and the guide if there is one; -1 is the layer before.
        name: of the upsampler.
        scale_factor: integer factor.
        options: of the upsampler.
    """

    index: int
    text: str
    sources: tuple[int, ...]
    name: str
    scale_factor: int
    options: dict[str, Any]

    def wrong(self, why: object) -> NoReturn:
        """ValueError that names the row."""
        raise ValueError(f"row {self.index} of the model, {self.text}: {why}")


def read_row(index: int, row: Sequence[Any], name: str) -> Row:
    """The row of an upsampler `name`; ValueError if it is wrong."""
    source, repeats, _, arguments = row
    sources = tuple(source) if isinstance(source, (list, tuple)) else (source,)
    text = f"[{source}, {repeats}, {row[2]}, {arguments}]"
    factor, options = _factor_and_options(arguments)
    read = Row(index, text, sources, name, 2 if factor is None else factor, options)
    try:
        check_options(name, options)
    except ValueError as error:
        read.wrong(error)
    for option in options.keys() & set(GIVEN):
        read.wrong(f"{option} is not an option of a row: channels are known, the factor is the first argument")
    if factor is _WRONG:
        read.wrong("arguments are [], [factor], [factor, {option: value, …}] or [{option: value, …}]")
    if repeats != 1:
        read.wrong(f"an upsampler is not repeated, but the second entry is {repeats}")
    _check_sources(read)
    return read


_WRONG = object()


def _factor_and_options(arguments: Any) -> tuple[Any, dict[str, Any]]:
    """The factor, None where there is none, and the options of all dictionaries: yaml makes one of each `a: b`."""
    rest = list(arguments) if isinstance(arguments, (list, tuple)) else [arguments]
    factor = rest.pop(0) if rest and not isinstance(rest[0], dict) else None
    options: dict[str, Any] = {}
    for part in rest:
        if not isinstance(part, dict):
            return _WRONG, options
        options |= part
    return (_WRONG if not isinstance(factor, int | None) or isinstance(factor, bool) else factor), options


def _check_sources(row: Row) -> None:
    factory: Any = UPSAMPLERS.factories[row.name][0]
    if len(row.sources) not in (1, 2):
        row.wrong(f"an upsampler has one input, or two with a guide, not {len(row.sources)}")
    if getattr(factory, "guided", False) and len(row.sources) == 1:
        row.wrong(
            f"{row.name!r} is guided: it needs a second input, an earlier layer of the output's size, "
            f"such as [[{row.sources[0]}, 6], 1, {row.name}, []]"
        )
    if getattr(factory, "needs_image", False):
        row.wrong(f"{row.name!r} is guided by the image, which no row gets")

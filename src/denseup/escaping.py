"""Texts from runs, which may come from anywhere: as they stand in Markdown, in a spreadsheet and in the name of a file.

The page's templates escape for themselves.
"""

import hashlib
import re
from typing import Any

FORMULA = re.compile(r"[=+\-@\t\r](?![\d.]+(e[+-]?\d+)?$)")
"""How a text begins that spreadsheets take for a formula, unless it is a number."""
LONGEST_SLUG = 80
"""Characters; the file systems' 255 bytes have to do for what is put behind it too."""


def as_it_is(text: str) -> str:
    """Text on one line of Markdown, nothing in it taken for Markdown or HTML."""
    line = re.sub(r"&(?=[#\w])", "&amp;", " ".join(text.split())).replace("<", "&lt;")
    line = re.sub(r"[\\`*|]|(?<![^\W_])_|_(?![^\W_])|!(?=\[)|\](?=[(\[:])", r"\\\g<0>", line)
    return re.sub(r"^(?=[#>+=~-])|^(\d+)(?=[.)])", r"\1\\", line)  # what begins a heading, a list, a rule


def printable(text: str) -> str:
    """Text on one line of a terminal: what would move or colour it, or is not UTF-8, as Python writes it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def alternative(text: str) -> str:
    """The same between the brackets of a picture, where no other brackets may stand."""
    return as_it_is(text.replace("[", "(").replace("]", ")"))


def code(text: str) -> str:
    """Text as code on one line of Markdown; as it is, where there is no quoting it."""
    return as_it_is(text) if re.search(r"[`|\\]|\s\s|[^\S ]|^\s|\s$|^$", text) else f"`{text}`"


def for_spreadsheets(value: Any) -> Any:
    """A cell of a CSV file that people open: a text that a spreadsheet would compute has an apostrophe before it.

    Numbers stay numbers. `per_image.csv` is read by programs, and holds names as they are.
    """
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def slug_of(name: str) -> str:
    """A name as part of a file's name, whatever it holds: it can't lead into another folder; two names stay two."""
    plain = name.replace(" ", "_")
    safe = re.sub(r"[^A-Za-z0-9_.\-]", "_", plain).lstrip(".")[:LONGEST_SLUG]
    if safe and safe == plain:
        return safe
    return f"{safe or '_'}_{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"

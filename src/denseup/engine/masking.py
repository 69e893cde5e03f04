"""Keys and passwords, which no file of a run may hold: they are masked wherever a run writes something.

What is one is told by its name: an option or an environment variable called api_key, token, password or the like. Once
it has been seen in a config its value is masked in every text, as those of the environment are; so is what stands for
user and password in an address.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MASK = "<masked>"
NAME = re.compile(
    r"(^|[_.\-])(api_?key|(access|secret|private|auth)_?key|token|passw(or)?d|secret|credentials?)s?$", re.I
)
ADDRESS = re.compile(r"(?<=://)[^\s/@'\"]+(?=@)")
SHORTEST = 6
"""Characters of a value that is masked in texts: shorter ones would be found in other words."""
WRITTEN_BY_OTHERS = (".hydra/*.yaml", "multirun.yaml", "*.log")
"""Files of a run or sweep that Hydra writes, or that take up what a process prints."""

_seen: set[str] = set()


def masked(value: Any) -> Any:
    """A config, result or text without keys; what its options call keys is masked in texts from now on too."""
    _seen.update(_keys_in(value))
    return _masked(value)


def masked_text(text: str) -> str:
    """A text without the keys of the environment and those that a config had."""
    for key in sorted({*_seen, *_of_environment()}, key=len, reverse=True):
        if key in text or " " in key:
            text = re.sub(r"\s+".join(map(re.escape, key.split())), MASK, text)  # YAML breaks lines at blanks
    return ADDRESS.sub(MASK, text)


def mask_files(folder: Path) -> None:
    """Take keys out of what others have written into the folder of a run or sweep."""
    for file in (file for pattern in WRITTEN_BY_OTHERS for file in folder.glob(pattern)):
        text = file.read_text(errors="surrogateescape")
        if (clean := masked_text(text)) != text:
            file.write_text(clean, errors="surrogateescape")


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        return {key: MASK if _is_key(key, item) else _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list | tuple) else value


def _keys_in(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from [item] if _is_key(name, item) and len(item) >= SHORTEST else _keys_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _keys_in(item)


def _is_key(name: Any, value: Any) -> bool:
    return isinstance(value, str) and value not in ("", MASK) and NAME.search(str(name)) is not None


def _of_environment() -> Iterable[str]:
    return (value for name, value in os.environ.items() if _is_key(name, value) and len(value) >= SHORTEST)

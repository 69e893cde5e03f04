"""Keys of others → ours, by rules; and what a state dict is told by: its keys and shapes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Rules = Sequence[tuple[str, str]]
"""Pattern at the start of a key → what stands there with us."""
Shapes = Mapping[str, tuple[int, ...]]
"""Of a state dict."""


def rename(rules: Rules, key: str) -> tuple[str, ...]:
    """Our keys for one of theirs, by the first rule that matches its start; () if there is none.

    A replacement with a space names two keys; `{n-1}`, `{3-n}` and `{4-n}` in it are numbers made of the group `n`.
    """
    for pattern, replacement in rules:
        match = re.match(pattern, key)
        if match:
            n = int(match.groupdict().get("n") or 0)
            for name, value in (("{n-1}", n - 1), ("{4-n}", 4 - n), ("{3-n}", 3 - n)):
                replacement = replacement.replace(name, str(value))
            return tuple(match.expand(part) + key[match.end() :] for part in replacement.split(" "))
    return ()


def shapes_of(tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Key → shape."""
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}

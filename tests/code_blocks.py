"""The code blocks of README and docs, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
COMMAND = re.compile(r"^ {4,}(?:\w+=\S* )*(?:python|pip|denseup|pytest|wandb) ", re.MULTILINE)
"""A line of an indented block that a shell should run."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: from the root.
        line: of its first line of code.
        language: what stands behind the fence.
        code: the text.
        reason: why it can't be run here; "" for one that can.
    """

    page: str
    line: int
    language: str
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README, the pages of docs/ and those that become some, and the notebooks' README."""
    beside = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/measured.md", "notebooks/README.md")
    return [*(ROOT / name for name in beside), *sorted((ROOT / "docs").rglob("*.md"))]


@cache
def blocks() -> tuple[Block, ...]:
    """All fenced blocks, in order."""
    return tuple(block for page in pages() for block in _blocks_of(page))


def _blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        name = page.relative_to(ROOT).as_posix()
        yield Block(name, line, found["language"], found["code"], found["reason"] or "")


def unfenced_commands() -> list[str]:
    """Commands in indented blocks, which no test would look at."""
    found = []
    for page in pages():
        prose = FENCE.sub("", page.read_text())
        found += [f"{page.relative_to(ROOT)}: {command.strip()}" for command in COMMAND.findall(prose)]
    return found


def commands(code: str) -> list[list[str]]:
    """The words of each command of a bash block, without comments, variables and what joins commands."""
    joined = code.replace("\\\n", " ")
    lines = (shlex.split(line, comments=True) for line in joined.splitlines())
    found = [part for line in lines for part in _apart(line)]
    return [words for words in (_without_variables(words) for words in found) if words]


def _apart(words: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for before, word in pairwise(["", *words]):
        if ">" in (before, word):  # where the output goes
            continue
        if word in ("&&", "||", "|", ";"):
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _without_variables(words: list[str]) -> list[str]:
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return words

"""What was found in a model, what was done about it, and why where nothing was."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

from denseup.ops.geometry import Size


@dataclass
class Step:
    """One up-sampling step of a model."""

    module: str
    """Name of the module whose code it is, or which it is; "" is the model itself."""
    function: str
    """What it was: "F.interpolate", "nn.Upsample", "nn.ConvTranspose2d", …"""
    mode: str
    """Of an interpolation: "bilinear"."""
    lines: tuple[tuple[str, int], ...]
    """(function, line) from the call out to the module's forward; empty for a module that is a step as a whole."""
    channels: int
    source: tuple[int, ...]
    """Size of its map in the example."""
    size: tuple[int, ...]
    """Size of its result."""
    uses: int = 1
    """How often the example came there."""
    upsampler: str | None = None
    """Registered name of what does it now; None where it was left."""
    guide: str | None = None
    """Where the encoder feature comes from."""
    reason: str = ""
    """Why it was left."""
    notes: list[str] = field(default_factory=list)
    """What differs from before, beside the operator."""

    @property
    def where(self) -> str:
        """Module, and the line if it is a call in its code."""
        name = self.module or "(the model)"
        return f"{name}, line {self.lines[0][1]}" if self.lines else name

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Where, what, what happens, and why or how."""
        times = f", {self.uses} times" if self.uses > 1 else ""
        what = f"{self.function} {self.mode}".strip() + times
        change = f"{self.channels} × {_text(self.source)} → {_text(self.size)}"
        if self.upsampler is None:
            return self.where, what, change, f"left: {self.reason}"
        guide = f", guided by {self.guide}" if self.guide else ""
        return self.where, what, change, "; ".join([f"{self.upsampler}{guide}", *self.notes])


class Report(Sequence[Step]):
    """The steps of a model in the order in which the example met them; prints as a table."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> "Report": ...
    def __getitem__(self, index: int | slice) -> "Step | Report":
        return Report(self.steps[index]) if isinstance(index, slice) else self.steps[index]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def replaced(self) -> list[Step]:
        """Those that an upsampler does."""
        return [step for step in self if step.upsampler is not None]

    @property
    def left(self) -> list[Step]:
        """Those that are as they were; `reason` says why."""
        return [step for step in self if step.upsampler is None]

    def __str__(self) -> str:
        rows = [("where", "what", "map", f"{len(self.replaced)} of {len(self)} replaced"), *(s.row for s in self)]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ("  ".join([*(f"{row[i]:<{widths[i]}}" for i in range(3)), row[3]]) for row in rows)
        return "\n".join(lines)

    __repr__ = __str__


def _text(size: Size | tuple[int, ...]) -> str:
    return "×".join(str(int(n)) for n in size)

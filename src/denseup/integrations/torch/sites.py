"""Where in a module's code a function is called: what tells the steps of one `forward` apart.

An order of calls would not: `if x.shape != y.shape: x = F.interpolate(...)` is a call at one size of the image and none
at another. So a site is the lines through which the owner's `forward` came to the call, and which time this was.
"""

import os
import sys
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch._guards import TracingContext

Lines = tuple[tuple[str, int], ...]
"""(function, line) from the call outwards to the owner's forward; without torch's and this package's own."""
Site = tuple[Lines, int]
"""Lines, and how often the same owner's call had come there before."""

FOREIGN = tuple(f"{os.path.dirname(os.path.abspath(file))}{os.sep}" for file in (torch.__file__, __file__))
CALL = nn.Module._call_impl.__code__


def lines_within(owner: nn.Module) -> Lines | None:
    """The lines from the function that called torch, out to the `forward` of `owner`; None if another's comes first."""
    found: list[tuple[str, int]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code is CALL and not passes_on(frame.f_locals["self"]):
            return tuple(found) if frame.f_locals["self"] is owner else None
        if not code.co_filename.startswith(FOREIGN):
            found.append((code.co_name, frame.f_lineno))
        frame = frame.f_back
    return None


def lines_compiled(boundary: str) -> Lines:
    """The same while torch.compile traces, out to the nearest function named `boundary` of this package.

    Dynamo runs no frames that could be looked at, but keeps a stack of those that it follows.
    """
    found: list[tuple[str, int]] = []
    for frame in reversed(TracingContext.extract_stack()):
        if frame.filename.startswith(FOREIGN):
            if frame.name == boundary:
                break
        else:
            found.append((frame.name, frame.lineno or 0))
    return tuple(found)


# What torch.compiler.assume_constant_result does, which would take seconds to import the compiler.
lines_compiled._dynamo_marked_constant = True  # type: ignore[attr-defined]


def passes_on(module: Any) -> bool:
    """Only calls torch or its children: what it calls is its caller's doing (`nn.Upsample`)."""
    return isinstance(module, nn.Upsample) and type(module).forward is nn.Upsample.forward

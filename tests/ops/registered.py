"""What torch asks of an operator that is registered with it."""

from collections.abc import Sequence
from typing import Any

import torch

QUICK = ("test_schema", "test_autograd_registration", "test_faketensor")
"""What it costs milliseconds to ask."""


def check(operator: Any, inputs: Sequence[Any], *, traced: bool = True) -> None:
    """Ask everything of an operator; where not `traced`, all but that a program with symbols for sizes gives the same.

    That program has the operator's derivative in it. Where that is made of torch's own operators, some seconds go by,
    and it is the same program in every layout and for every back end, which are only handed through: traced once, it
    has been traced.
    """
    torch.library.opcheck(operator, tuple(inputs), **({} if traced else {"test_utils": QUICK}))

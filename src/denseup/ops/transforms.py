"""Operators under `torch.func` and in forward mode: what they are made of is differentiated in their place.

`torch.library` knows only one kind of derivative, the gradient that autograd asks for: in forward mode a tangent is
dropped without a word, and the transforms of `torch.func` refuse the operator. So where either is at work the operator
is taken apart (`ops.decompositions` and the like) into what torch differentiates as often and in whatever mode one
likes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch._library.autograd import make_autograd_impl
from torch._library.custom_ops import CustomOpDef

_LIBRARY = torch.library.Library("denseup", "FRAGMENT")  # type: ignore[no-untyped-call]
_DEVICES = ("CPU", "CUDA", "XLA", "MPS", "XPU", "HPU", "Meta", "Lazy", "PrivateUse1", "PrivateUse2", "PrivateUse3")


def are_active() -> bool:
    """Whether a transform of `torch.func` or a forward-mode derivative is at work; not for code that is compiled."""
    return torch._C._are_functorch_transforms_active() or in_forward_mode()


def in_forward_mode() -> bool:
    """Whether `torch.autograd.forward_ad` may have given tensors a tangent."""
    return torch.autograd.forward_ad._current_level >= 0


def register_composed(operator: CustomOpDef, composed: Callable[..., Any]) -> None:
    """Differentiate `composed`, of the operator's arguments, where the operator itself cannot be.

    It is registered for the devices one by one: torch holds the rule that knows gradients only for all of them, and
    takes the nearer one.
    """
    ordinary = make_autograd_impl(operator._opoverload, operator)

    def rule(keyset: Any, *args: Any) -> Any:
        if are_active():
            return composed(*args)
        return ordinary(keyset, *args)

    for device in _DEVICES:
        _LIBRARY.impl(operator._name, rule, f"Autograd{device}", with_keyset=True)  # type: ignore[no-untyped-call]

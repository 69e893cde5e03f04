"""What is at work around a call that operators of ours must give way to.

`torch.func` and forward mode differentiate in ways that `torch.library` operators have no rule for; exporters know no
operators of ours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_taken_apart = False


def are_active() -> bool:
    """Whether a transform of `torch.func` or a forward-mode derivative is at work; not for code that is compiled."""
    return torch._C._are_functorch_transforms_active() or in_forward_mode()


def in_forward_mode() -> bool:
    """Whether `torch.autograd.forward_ad` may have given tensors a tangent."""
    return torch.autograd.forward_ad._current_level >= 0


def nothing_looks_on(*values: Any) -> bool:
    """Whether nothing wants to see a call with these: no mode of torch (a FLOP counter, a profiler, …), no transform
    and no subclass of tensors."""
    if modes_look_on() or are_active() or any(map(is_special, values)):
        return False
    return not (torch.autograd._profiler_enabled() or torch.jit.is_tracing())  # type: ignore[no-untyped-call]


def modes_look_on() -> bool:
    """Whether a mode is at work that is told of every call, for fake tensors or as a graph is made."""
    return bool(torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack())


def is_special(x: Any) -> bool:
    """A tensor that is more than the values in its memory: a subclass, or one with a bit that says to negate them."""
    if not isinstance(x, torch.Tensor):
        return False
    return type(x) not in (torch.Tensor, torch.nn.Parameter) or x.is_neg()


def is_taken_apart() -> bool:
    """Whether a graph of torch's operators is being made: by `torch.onnx.export`, `torch.jit.trace`, or as asked."""
    if torch.compiler.is_compiling():
        return torch.compiler.is_exporting() and (_taken_apart or torch.onnx.is_in_onnx_export())
    return bool(torch.jit.is_tracing())  # type: ignore[no-untyped-call]


def make_a_graph() -> bool:
    """Whether what is called goes into a graph, of a compiler or of `torch.jit.trace`, and is not computed alone."""
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[no-untyped-call]


def may_be_symbols(*lengths: int) -> bool:
    """Whether one of these lengths may stand for any: dynamo, which shows symbols as numbers, can't be asked."""
    return torch.compiler.is_dynamo_compiling() or any(isinstance(length, torch.SymInt) for length in lengths)


def are_dynamic(*lengths: int) -> bool:
    """Whether `torch.export` is to leave one of these lengths open; always in its strict mode, which is dynamo's."""
    return torch.compiler.is_exporting() and may_be_symbols(*lengths)


def takes_any_size(*lengths: int) -> bool:
    """Whether nothing should be decided by these lengths, as the graph that is being made is to hold for any."""
    return is_taken_apart() or are_dynamic(*lengths)


@contextmanager
def in_torch_operators() -> Iterator[None]:
    """Within it, what `torch.export.export` makes holds no operators of ours, and so runs where denseup is not.

    Sizes that are declared dynamic stay so: nothing is decided by a size of the example.
    """
    global _taken_apart
    before, _taken_apart = _taken_apart, True
    try:
        yield
    finally:
        _taken_apart = before

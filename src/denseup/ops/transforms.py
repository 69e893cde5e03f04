"""What is at work around a call that operators of ours must give way to.

`torch.func` and forward mode differentiate in ways that `torch.library` operators have no rule for; exporters know no
operators of ours.
"""

import torch


def are_active() -> bool:
    """Whether a transform of `torch.func` or a forward-mode derivative is at work; not for code that is compiled."""
    return torch._C._are_functorch_transforms_active() or in_forward_mode()


def in_forward_mode() -> bool:
    """Whether `torch.autograd.forward_ad` may have given tensors a tangent."""
    return torch.autograd.forward_ad._current_level >= 0


def is_taken_apart() -> bool:
    """Whether a graph of torch's own operators is being made: by `torch.onnx.export` or `torch.jit.trace`."""
    if torch.compiler.is_compiling():
        return torch.compiler.is_exporting() and torch.onnx.is_in_onnx_export()
    return bool(torch.jit.is_tracing())  # type: ignore[no-untyped-call]

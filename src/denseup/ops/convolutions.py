"""Layers that may be computed in another way than by calling their module."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.utils.module_tracker import ModuleTracker

from denseup.ops import transforms


def is_plain(module: nn.Module, kernel_size: int) -> bool:
    """A dense `nn.Conv2d` of this size, stride 1, zero padding that keeps the size, whose call nobody awaits."""
    if type(module) is not nn.Conv2d or module.kernel_size != (kernel_size, kernel_size) or module.groups != 1:
        return False
    if module.stride != (1, 1) or module.dilation != (1, 1) or module.padding_mode != "zeros":
        return False
    return module.padding in ((kernel_size // 2,) * 2, "same") and not is_awaited(module)


def is_plain_linear(module: nn.Module) -> bool:
    """An `nn.Linear` itself, not what was put in its place, whose call nobody awaits."""
    return type(module) is nn.Linear and not is_awaited(module)


def is_awaited(module: nn.Module) -> bool:
    """Whether somebody awaits the module's call: by hooks of it or of all modules, or in place of its forward."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or "forward" in module.__dict__ or _all_are_awaited()


def _all_are_awaited() -> bool:
    """Whether there are hooks of all modules; those by which FLOP counters know where they are change nothing."""
    if not torch_module._has_any_global_hook():  # type: ignore[no-untyped-call]
        return False
    hooks = (
        *torch_module._global_forward_hooks.values(),
        *torch_module._global_forward_pre_hooks.values(),
        *torch_module._global_backward_hooks.values(),
        *torch_module._global_backward_pre_hooks.values(),
    )
    return any(not isinstance(getattr(hook, "__self__", None), ModuleTracker) for hook in hooks)


def is_transformed(x: Tensor) -> bool:
    """Whether something that runs rewrites what is called here: autocast, `torch.func` or forward mode."""
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return True
    return not torch.compiler.is_compiling() and transforms.are_active()


def convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of map, weight and bias of a plain convolution, of those that are needed.

    They are torch's operator's, which can be differentiated itself.
    """
    padding = [size // 2 for size in weight.shape[2:]]
    common = ([1, 1], padding, [1, 1], False, [0, 0], 1)  # stride, padding, dilation, not transposed, groups
    found = torch.ops.aten.convolution_backward(grad, x, weight, [weight.shape[0]], *common, needs)
    return found[0], found[1], found[2]

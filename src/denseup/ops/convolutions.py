"""Whether a convolution may be computed in another way than by calling its module."""

import torch
from torch import Tensor, nn

from denseup.ops import transforms


def is_plain(module: nn.Module, kernel_size: int) -> bool:
    """A dense `nn.Conv2d` of this size, stride 1, zero padding that keeps the size, and no hooks that want calling."""
    if type(module) is not nn.Conv2d or module.kernel_size != (kernel_size, kernel_size) or module.groups != 1:
        return False
    if module.stride != (1, 1) or module.dilation != (1, 1) or module.padding_mode != "zeros":
        return False
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return module.padding in ((kernel_size // 2,) * 2, "same") and not any(hooks)


def is_transformed(x: Tensor) -> bool:
    """Whether something that runs rewrites what is called here: autocast, `torch.func` or forward mode."""
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return True
    return not torch.compiler.is_compiling() and transforms.are_active()

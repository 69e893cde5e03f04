"""Normalisation with right derivatives of every kind.

torch's own are written for gradients. Derivatives of the derivative that its layer norm has in forward mode are wrong
(`jvp` of `jvp` and `grad` of `jvp` take mean and deviation for constants), and its group norm has none of maps that are
channels-last (torch 2.13). So both are written out where forward mode or `torch.func` may be at work.

torch's gradients of a group norm's weight and bias end the process on a CPU if the map looks channels-last and no
gradient of it is asked for, as of a frozen encoder's (it is written all the same, to nowhere). So it always is there.
"""

from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops import transforms
from denseup.ops.arithmetic import accumulate, unflatten
from denseup.ops.geometry import layout


class LayerNorm(nn.LayerNorm):
    """torch's, over the last dimension."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., C]` → `[..., C]`."""
        if torch.compiler.is_compiling() or not transforms.are_active():
            return super().forward(x)
        return _normed(x, self.eps) * self.weight + self.bias


class GroupNorm(nn.GroupNorm):
    """torch's; of a single value too, which torch refuses though it is nothing to learn from: it becomes the bias."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` → the same."""
        compiled = torch.compiler.is_compiling()
        if (compiled or not transforms.are_active()) and self._is_safe(x):
            return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
        if compiled or transforms.are_active():
            return _by_groups(x, self.weight, self.bias, self.num_groups, self.eps)
        x = x.contiguous(memory_format=torch.channels_last if x.stride(1) == 1 else torch.contiguous_format)
        together: Any = _AllGradients.apply
        out: Tensor = together(x, self.weight, self.bias, self.num_groups, self.eps)
        return out

    def _is_safe(self, x: Tensor) -> bool:
        """Whether torch's own gradient of weight and bias won't be asked for, without that of an `x` on the CPU."""
        if torch.compiler.is_exporting() or transforms.is_taken_apart() or x.device.type != "cpu":
            return True
        return not (torch.is_grad_enabled() and (self.weight.requires_grad or self.bias.requires_grad))


class _AllGradients(torch.autograd.Function):
    """torch's group norm of `[B, C, H, W]`, whose gradients are made together, whichever are asked for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        sizes = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
        out, mean, rstd = torch.native_group_norm(x, weight, bias, *sizes, groups, eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.sizes, ctx.groups, ctx.eps = sizes, groups, eps
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        if not torch.is_grad_enabled():
            grad = grad.contiguous(memory_format=layout(x))
            backward = torch.ops.aten.native_group_norm_backward
            found = backward(grad, x, mean, rstd, weight, *ctx.sizes, ctx.groups, [True, True, True])
            return *found, None, None
        sources = (x, weight, bias)  # a gradient of the gradient will be asked for
        asked = [source for source, needed in zip(sources, ctx.needs_input_grad, strict=False) if needed]
        out = _by_groups(x, weight, bias, ctx.groups, ctx.eps)
        of_asked = iter(torch.autograd.grad(out, asked, grad, create_graph=True))
        return *(next(of_asked) if needed else None for needed in ctx.needs_input_grad[:3]), None, None


def _by_groups(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
    """Group norm of `[B, C, H, W]`, written out."""
    normed = _normed(unflatten(x, 1, (groups, -1)).flatten(2), eps).reshape(x.shape)
    return normed * weight[:, None, None] + bias[:, None, None]


def _normed(x: Tensor, eps: float) -> Tensor:
    """`x` of mean 0 and variance 1 over the last dimension."""
    wide = accumulate(x)
    centred = wide - wide.mean(-1, keepdim=True)
    return (centred * (centred.square().mean(-1, keepdim=True) + eps).rsqrt()).to(x.dtype)

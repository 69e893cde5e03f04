"""Normalisation with right derivatives of every kind.

torch's own are written for gradients. Derivatives of the derivative that its layer norm has in forward mode are wrong
(`jvp` of `jvp` and `grad` of `jvp` take mean and deviation for constants), and its group norm has none of maps that are
channels-last (torch 2.13). So both are written out where forward mode or `torch.func` may be at work.
"""

import torch
from torch import Tensor, nn

from denseup.ops import transforms
from denseup.ops.arithmetic import accumulate


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
        if torch.compiler.is_compiling() or not transforms.are_active():
            return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
        normed = _normed(x.reshape(x.shape[0], self.num_groups, -1), self.eps).reshape(x.shape)
        return normed * self.weight[:, None, None] + self.bias[:, None, None]


def _normed(x: Tensor, eps: float) -> Tensor:
    """`x` of mean 0 and variance 1 over the last dimension."""
    wide = accumulate(x)
    centred = wide - wide.mean(-1, keepdim=True)
    return (centred * (centred.square().mean(-1, keepdim=True) + eps).rsqrt()).to(x.dtype)

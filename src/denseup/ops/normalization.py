"""Normalisation with right derivatives of every kind.

torch's own are written for gradients. Derivatives of the derivative that its layer norm has in forward mode are wrong
(`jvp` of `jvp` and `grad` of `jvp` take mean and deviation for constants), and its group norm has none of maps that are
channels-last (torch 2.13). So both are written out where forward mode or `torch.func` may be at work.

The gradients of a group norm's weight and bias end the process on a CPU if the map is channels-last and no gradient of
it is asked for, as of a frozen encoder's (it is written all the same, to nowhere). There the two are applied apart.
"""

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
        if torch.compiler.is_compiling() or not transforms.are_active():
            if not self._is_unsafe(x):
                return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
            normed = torch.group_norm(accumulate(x), self.num_groups, None, None, self.eps)
        else:
            normed = _normed(unflatten(x, 1, (self.num_groups, -1)).flatten(2), self.eps).reshape(x.shape)
        return torch.addcmul(self.bias[:, None, None], normed, self.weight[:, None, None]).to(x.dtype)

    def _is_unsafe(self, x: Tensor) -> bool:
        """Whether torch's own gradient of weight and bias may be asked for without that of a channels-last `x`."""
        learns = torch.is_grad_enabled() and (self.weight.requires_grad or self.bias.requires_grad)
        return learns and x.device.type == "cpu" and layout(x) is torch.channels_last


def _normed(x: Tensor, eps: float) -> Tensor:
    """`x` of mean 0 and variance 1 over the last dimension."""
    wide = accumulate(x)
    centred = wide - wide.mean(-1, keepdim=True)
    return (centred * (centred.square().mean(-1, keepdim=True) + eps).rsqrt()).to(x.dtype)

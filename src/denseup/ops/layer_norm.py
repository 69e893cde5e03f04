"""Layer normalisation with right derivatives of every kind."""

import torch
from torch import Tensor, nn

from denseup.ops import transforms
from denseup.ops.arithmetic import accumulate


class LayerNorm(nn.LayerNorm):
    """torch's, over the last dimension; written out where forward mode or `torch.func` may be at work.

    Derivatives of the derivative that torch's has there are wrong: `jvp` of `jvp` and `grad` of `jvp` take its mean and
    deviation for constants (torch 2.13).
    """

    def forward(self, x: Tensor) -> Tensor:
        """`[..., C]` → `[..., C]`."""
        if torch.compiler.is_compiling() or not transforms.are_active():
            return super().forward(x)
        wide = accumulate(x)
        centred = wide - wide.mean(-1, keepdim=True)
        normed = centred * (centred.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return normed.to(x.dtype) * self.weight + self.bias

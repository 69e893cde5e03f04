"""Bilinear sampling at any positions, differentiable twice.

`torch.nn.functional.grid_sample` has no second derivative, and a plain-torch version of it (four gathers) measured 2-8
times slower on CPU. So the forward and the first derivative are torch's own kernels, and only what these lack, the
second derivative and those of `torch.func` and forward mode, takes the plain way.
"""

from denseup.ops.sampling.functional import sample_bilinear

__all__ = ["sample_bilinear"]

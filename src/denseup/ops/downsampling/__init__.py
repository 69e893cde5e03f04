"""Content-aware down-sampling: every output pixel is a weighted sum of a k×k window of the high-resolution map.

    out[c, p, q] = Σ_{i,j<k} features[c, p·s - r + i, q·s - r + j] · kernels[(g·k + i)·k + j, p, q]

A2U's counterpart of reassembly (Dai et al., CVPR 2021, arXiv:2011.14288). Like reassembly it is one trilinear form,
whose three contractions differentiate each other, so gradients of any order exist and nothing but the inputs is kept
for backward. There is one implementation: it runs once for each encoder stage, far from being the costly part of any
network.
"""

from denseup.ops.downsampling.functional import bidownsample

__all__ = ["bidownsample"]

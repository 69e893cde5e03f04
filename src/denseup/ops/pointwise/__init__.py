"""1×1 convolutions that embed features for a kernel generator; maps that are read more than once.

    y = W x + b,   dx += Wᵀ dy,   dW = Σ dy xᵀ

In float32, channels-last, on the CPU, C kernels serve (`native/pointwise`): faster than a general matrix product once
the maps have left the caches, and with few outputs. Elsewhere torch's operators do.
"""

from denseup.ops.pointwise.sharing import SharedMap, convolve, project, project_by

__all__ = ["SharedMap", "convolve", "project", "project_by"]

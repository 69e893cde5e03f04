"""Depthwise convolution: every channel by a kernel of its own, those of the batch or of each image.

    y[c, o] = Σ_t w[c, t] · x[c, o·stride - padding + t],   zeros outside the map

torch's is slow in channels-last and for kernels of each image; in float32 on the CPU C kernels serve
(`native/depthwise`).
"""

from denseup.ops.depthwise.functional import convolve_channels

__all__ = ["convolve_channels"]

"""Bilinear sampling at any positions, differentiable twice."""

from denseup.ops.sampling.operators import sample_bilinear

__all__ = ["sample_bilinear"]

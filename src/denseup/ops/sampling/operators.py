"""The operators of sampling as torch sees them."""

from denseup.ops.registration import Gradient, register
from denseup.ops.sampling import arguments, decomposition, flops, gradients, reference

sample = register(
    "sample_bilinear",
    reference.sample,
    check=arguments.check_sample,
    fake=lambda x, grid, padding="border": x.new_empty(*x.shape[:2], *grid.shape[1:3]),
    composed=decomposition.sample,
    exported=reference.interpolate,
    gradient=Gradient(gradients.save, gradients.of_sample),
    flops=flops.of_sample,
    each_image_alone=True,
)
"""`[B, C, h, w]`, `[B, H, W, 2]` with (-1, 1) from border to border, `border` or `zeros` → `[B, C, H, W]`."""

sample_backward = register(
    "sample_bilinear_backward",
    reference.sample_backward,
    check=arguments.check_sample_backward,
    fake=lambda grad, x, grid, padding="border": (x.new_empty(x.shape), grid.new_empty(grid.shape)),
    composed=decomposition.sample_backward,
    gradient=Gradient(gradients.save, gradients.of_sample_backward),
    flops=flops.of_sample_backward,
    each_image_alone=True,
)
"""Gradients of map and grid."""

"""The operators of down-sampling as torch sees them."""

from denseup.ops.downsampling import arguments, decomposition, flops, gradients, reference
from denseup.ops.registration import Gradient, register

downsample = register(
    "bidownsample",
    reference.downsample,
    check=arguments.check_downsampling,
    fake=lambda features, kernels, *_: features.new_empty(*features.shape[:2], *kernels.shape[2:]),
    composed=decomposition.downsample,
    gradient=Gradient(gradients.save, gradients.of_downsample),
    flops=flops.of_downsample,
    each_image_alone=True,
)
"""`[B, C, H, W]`, `[B, G·k², h, w]` → `[B, C, h, w]`."""

adjoint = register(
    "bidownsample_adjoint",
    reference.adjoint,
    check=arguments.check_downsampling_adjoint,
    fake=lambda grad, kernels, kernel_size, scale_factor, groups, *size: grad.new_empty(*grad.shape[:2], *size),
    composed=decomposition.adjoint,
    gradient=Gradient(gradients.save, gradients.of_adjoint),
    flops=flops.of_gradient,
    each_image_alone=True,
)
"""Gradient of the features: `[B, C, h, w]`, `[B, G·k², h, w]` → `[B, C, height, width]`."""

similarity = register(
    "bidownsample_similarity",
    reference.similarity,
    check=arguments.check_downsampling_similarity,
    fake=lambda grad, features, kernel_size, scale_factor, groups: grad.new_empty(
        grad.shape[0], groups * kernel_size**2, *grad.shape[2:]
    ),
    composed=decomposition.similarity,
    gradient=Gradient(gradients.save, gradients.of_similarity),
    flops=flops.of_gradient,
    each_image_alone=True,
)
"""Gradient of the kernels: `[B, C, h, w]`, `[B, C, H, W]` → `[B, G·k², h, w]`."""

"""The operators of sampling as torch sees them.

By positions in pixels, with back ends; and by torch's coordinates, which exporters know.
"""

from torch import Tensor

from denseup.ops.geometry import like_layout, new_map, size_of
from denseup.ops.registration import Gradient, register
from denseup.ops.sampling import arguments, decomposition, flops, gradients, reference
from denseup.ops.sampling.backends import BACKENDS


def _sample_positions(x: Tensor, positions: Tensor, groups: int, padding: str = "border", backend: str = "") -> Tensor:
    out = BACKENDS.serving(backend, x, positions, groups).sample(x, positions, groups, padding)
    return like_layout(out, x)


def _sample_positions_backward(
    grad: Tensor, x: Tensor, positions: Tensor, groups: int, padding: str = "border", backend: str = ""
) -> tuple[Tensor, Tensor]:
    chosen = BACKENDS.serving(backend, x, positions, groups)
    of_x, of_positions = chosen.sample_backward(grad, x, positions, groups, padding)
    return like_layout(of_x, x), of_positions.contiguous()


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

sample_positions = register(
    "sample_positions",
    _sample_positions,
    check=arguments.check_positions,
    fake=lambda x, positions, *_: new_map(x, x.shape[1], size_of(positions)),
    composed=decomposition.sample_positions,
    gradient=Gradient(gradients.save_positions, gradients.of_sample_positions),
    flops=flops.of_sample_positions,
    each_image_alone=True,
)
"""`[B, C, h, w]`, `[B, 2·G, H, W]` in pixels, G, `border` or `zeros` → `[B, C, H, W]`, in the layout of the map."""

sample_positions_backward = register(
    "sample_positions_backward",
    _sample_positions_backward,
    check=arguments.check_positions_backward,
    fake=lambda grad, x, positions, *_: (new_map(x, x.shape[1], size_of(x)), positions.new_empty(positions.shape)),
    composed=decomposition.sample_positions_backward,
    gradient=Gradient(gradients.save_positions, gradients.of_sample_positions_backward),
    flops=flops.of_sample_positions_backward,
    each_image_alone=True,
)
"""Gradients of the map, in its layout, and of the positions."""

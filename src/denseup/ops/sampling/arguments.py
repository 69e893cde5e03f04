"""What the operators of sampling ask of their arguments."""

from torch import Tensor

from denseup.ops.arguments import check_alike, check_floats, check_groups, check_map, check_shape, one_of

PADDINGS = ("border", "zeros")
"""What is read outside the map: its nearest border pixel, or 0."""


def check_padding(padding: str) -> None:
    """One of `PADDINGS`."""
    one_of("padding", padding, PADDINGS)


def check_sample(x: Tensor, grid: Tensor, padding: str = "border") -> None:
    """A map `[B, C, h, w]` and a grid `[B, H, W, 2]`."""
    check_padding(padding)
    check_map("x", x)
    check_floats("grid", grid, 4, "[B, H, W, 2]")
    if grid.shape[0] != x.shape[0] or grid.shape[3] != 2 or 0 in grid.shape[1:]:
        raise ValueError(f"grid has shape {list(grid.shape)}, expected [{x.shape[0]}, H, W, 2] with H and W ≥ 1")
    check_alike("grid", grid, "x", x)


def check_positions(x: Tensor, positions: Tensor, groups: int, padding: str = "border", backend: str = "") -> None:
    """A map `[B, C, h, w]` and positions `[B, 2·groups, H, W]`."""
    check_padding(padding)
    check_map("x", x)
    check_groups(groups, x.shape[1], "x")
    check_map("positions", positions, "[B, 2·G, H, W]")
    expected = [x.shape[0], 2 * groups, *positions.shape[2:]]
    check_shape("positions", positions, expected, "as x and groups have")
    check_alike("positions", positions, "x", x)


def check_positions_backward(
    grad: Tensor, x: Tensor, positions: Tensor, groups: int, padding: str = "border", backend: str = ""
) -> None:
    """The same, and the gradient of the result `[B, C, H, W]`."""
    check_positions(x, positions, groups, padding)
    check_shape("grad", grad, [*x.shape[:2], *positions.shape[2:]], "as x and positions have")
    check_alike("grad", grad, "x", x)


def check_sample_backward(grad: Tensor, x: Tensor, grid: Tensor, padding: str = "border") -> None:
    """The same, and the gradient of the result `[B, C, H, W]`."""
    check_sample(x, grid, padding)
    check_shape("grad", grad, [*x.shape[:2], *grid.shape[1:3]], "as x and grid have")
    check_alike("grad", grad, "x", x)

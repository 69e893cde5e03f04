"""What the operators of depthwise convolution ask of their arguments."""

from collections.abc import Sequence

from torch import Tensor

from denseup.ops.arguments import check_alike, check_map, check_shape


def output_length(length: int, kernel_size: int, stride: int, padding: int) -> int:
    """How many outputs a row or column of the map has."""
    return (length + 2 * padding - kernel_size) // stride + 1


def check_depthwise(x: Tensor, weight: Tensor, stride: int, padding: int, backend: str = "") -> None:
    """A map `[B, C, H, W]`, weights `[1 or B, C, k, k]`, and a result that has a size."""
    check_map("x", x, "[B, C, H, W]")
    if weight.dim() != 4 or weight.shape[1] != x.shape[1] or weight.shape[2] != weight.shape[3]:
        raise ValueError(f"weight has shape {list(weight.shape)}, expected [1 or B, {x.shape[1]}, k, k] as x has")
    if weight.shape[0] != 1 and weight.shape[0] != x.shape[0]:
        raise ValueError(f"weight has kernels of {weight.shape[0]} images, expected 1 or {x.shape[0]}, as x has")
    check_alike("weight", weight, "x", x)
    for name, value, least in (("stride", stride, 1), ("padding", padding, 0)):
        if value < least:
            raise ValueError(f"{name} is {value}, expected a whole number ≥ {least}")
    kernel_size = weight.shape[2]
    if min(x.shape[2], x.shape[3]) + 2 * padding < kernel_size or kernel_size < 1:
        raise ValueError(
            f"weight has kernels of {kernel_size}, expected at least 1 and at most the map, {list(x.shape[2:])}, "
            f"with its padding, {padding} at every side"
        )


def check_backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, needs: Sequence[bool], backend: str = ""
) -> None:
    """The same, and the gradient of the result; `needs` is whether those of map and weight are wanted."""
    check_depthwise(x, weight, stride, padding)
    size = [output_length(length, weight.shape[2], stride, padding) for length in x.shape[2:]]
    check_shape("grad", grad, [*x.shape[:2], *size], "as x and weight have")
    check_alike("grad", grad, "x", x)
    if len(needs) != 2:
        raise ValueError(f"needs has {len(needs)} values, expected 2: for x and weight")

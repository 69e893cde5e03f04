"""What the operators of 1×1 convolutions ask of their arguments."""

from torch import Tensor

from denseup.ops.arguments import check_alike, check_map, check_shape


def check_convolve(x: Tensor, weight: Tensor, bias: Tensor | None, backend: str = "") -> None:
    """A map `[B, C, H, W]`, weights `[O, C, 1, 1]`, bias `[O]` or None."""
    check_map("x", x, "[B, C, H, W]")
    if weight.dim() != 4 or weight.shape[1:] != (x.shape[1], 1, 1):
        raise ValueError(f"weight has shape {list(weight.shape)}, expected [O, {x.shape[1]}, 1, 1] as x has")
    check_alike("weight", weight, "x", x)
    if bias is not None:
        check_shape("bias", bias, [weight.shape[0]], "as weight has")
        check_alike("bias", bias, "x", x)


def check_backward(
    grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool, backend: str = "", add: bool = True
) -> None:
    """The same without bias, the gradient of the result `[B, O, H, W]`, and a map like `x` or None."""
    check_convolve(x, weight, None)
    check_shape("grad", grad, [x.shape[0], weight.shape[0], *x.shape[2:]], "as x and weight have")
    check_alike("grad", grad, "x", x)
    if to is not None:
        check_shape("to", to, list(x.shape), "as x has")
        check_alike("to", to, "x", x)

"""What the operators of content encoding ask of their arguments."""

from collections.abc import Sequence

from torch import Tensor

from denseup.ops.arguments import check_alike, check_map, check_shape


def check_encode(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None, backend: str = "") -> None:
    """Maps `[B, C, H, W]` and `[B, C, h, w]` or None, weights `[O, C, 3, 3]`, bias `[O]` or None."""
    check_map("high", high, "[B, C, H, W]")
    if weight.dim() != 4 or weight.shape[1:] != (high.shape[1], 3, 3):
        raise ValueError(f"weight has shape {list(weight.shape)}, expected [O, {high.shape[1]}, 3, 3] as high has")
    check_alike("weight", weight, "high", high)
    if low is not None:
        check_map("low", low)
        check_shape("low", low, [*high.shape[:2], *low.shape[2:]], "as high has")
        check_alike("low", low, "high", high)
    if bias is not None:
        check_shape("bias", bias, [weight.shape[0]], "as weight has")
        check_alike("bias", bias, "high", high)


def check_encode_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool], backend: str = ""
) -> None:
    """The same without bias, the gradient of the logits `[B, O, H, W]`, and four flags."""
    check_encode(high, low, weight, None)
    check_shape("grad", grad, [high.shape[0], weight.shape[0], *high.shape[2:]], "as high and weight have")
    check_alike("grad", grad, "high", high)
    if len(needs) != 4:
        raise ValueError(f"needs is {list(needs)}, expected four: of high, low, weight and bias")

"""The public function: check the arguments, choose a back end, call the operator."""

from typing import cast

from torch import Tensor

from denseup.ops.arguments import whole_number
from denseup.ops.attention import operators
from denseup.ops.attention.arguments import check_maps, check_scale
from denseup.ops.attention.backends import BACKENDS


def neighbourhood_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel_size: int,
    heads: int = 1,
    scale: float | None = None,
    backend: str | None = None,
) -> Tensor:
    """Attention of every high-resolution pixel to a K×K window of the low-resolution maps.

    out[c, y, x] = Σ_t softmax_t(scale · Σ_{d of head n} query[d, y, x] · key[d, y_t, x_t]) · value[c, y_t, x_t] with
    n = c // (C / N). The window of (y, x) has the rows a … a + min(K, h) - 1, a = ⌊y·h/H⌋ - K // 2, and columns
    likewise; where it would leave the map it is moved inwards, so that no pixel is ever outside, and a map smaller than
    the window is attended whole. The softmax is in at least float32; products that it does not hold are infinite, and
    what attends to them is NaN.

    At H = h it is neighbourhood attention (Hassani et al., CVPR 2023, arXiv:2204.07143), at H > h the attention of NAF
    (arXiv:2511.18452), without the windows raised to the output's size that it is published with.

    Args:
        query: high-resolution map `[B, D, H, W]`.
        key: low-resolution map `[B, D, h, w]`; cast to the dtype of `query`.
        value: low-resolution map `[B, C, h, w]`; cast to the dtype of `query`.
        kernel_size: K, odd or even.
        heads: N, a divisor of D and of C; head n has channels n·D/N … of query and key, n·C/N … of value.
        scale: of the inner products; None takes 1 / √(D/N).
        backend: a name of `available_backends("attention")`; None chooses.

    Returns:
        `[B, C, H, W]` with the dtype of `query`.

    Raises:
        ValueError: an argument has a wrong shape or value; the message names it.
    """
    kernel_size, heads = whole_number("kernel_size", kernel_size), whole_number("heads", heads)
    check_maps(query, key, value, kernel_size, heads)
    if scale is None:
        channels = whole_number("query's channels", query.shape[1], 0) // heads
        scale = channels**-0.5 if channels else 1.0
    check_scale(scale)
    chosen = BACKENDS.choose(backend, query, kernel_size, heads)
    maps = (query, key.to(query.dtype), value.to(query.dtype))
    return cast(Tensor, operators.attention(*maps, kernel_size, heads, float(scale), chosen))

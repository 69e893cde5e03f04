"""What neighbourhood attention asks of its arguments."""

from typing import Any

import torch
from torch import Tensor

from denseup.ops.arguments import check_alike, check_device, check_map, check_shape, finite_number, whole_number


def check_maps(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int) -> None:
    """Query `[B, D, H, W]`, key `[B, D, h, w]`, value `[B, C, h, w]`, the query no smaller; heads of all."""
    check_map("query", query, "[B, D, H, W]")
    check_map("key", key, "[B, D, h, w]")
    check_map("value", value)
    whole_number("kernel_size", kernel_size)
    if key.shape[:2] != query.shape[:2]:
        raise ValueError(f"key has shape {list(key.shape)}, expected {[*query.shape[:2]]} + [h, w] as in query")
    if value.shape[0] != key.shape[0] or value.shape[2:] != key.shape[2:]:
        expected = f"[{key.shape[0]}, C, {key.shape[2]}, {key.shape[3]}] as key has"
        raise ValueError(f"value has shape {list(value.shape)}, expected {expected}")
    if query.shape[2] < key.shape[2] or query.shape[3] < key.shape[3]:
        sizes = f"query is {tuple(query.shape[2:])}, key is {tuple(key.shape[2:])}"
        raise ValueError(f"{sizes}: query must be at least as large as key; were the two swapped?")
    for name, channels in (("query", query.shape[1]), ("value", value.shape[1])):
        if heads < 1 or channels % heads:
            raise ValueError(f"heads is {heads}, expected a divisor of {name}'s {channels} channels")
    check_device("key", key, "query", query)
    check_device("value", value, "query", query)


def check_scale(scale: Any) -> None:
    """A finite number."""
    if not isinstance(scale, torch.SymFloat):
        finite_number("scale", scale, " or None")


def check_attention(
    query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float, backend: str
) -> None:
    """Arguments of the operator `neighbourhood_attention`."""
    check_maps(query, key, value, kernel_size, heads)
    check_scale(scale)
    check_alike("key", key, "query", query)
    check_alike("value", value, "query", query)


def check_attention_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel_size: int,
    heads: int,
    scale: float,
    backend: str,
) -> None:
    """The same, and the gradient of the result `[B, C, H, W]`."""
    check_attention(query, key, value, kernel_size, heads, scale, backend)
    check_shape("grad", grad, [*value.shape[:2], *query.shape[2:]], "as value and query have")
    check_alike("grad", grad, "query", query)

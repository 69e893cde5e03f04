"""Neighbourhood attention as torch sees it, `torch.ops.denseup.…`.

Back ends trust what they get: every argument is checked here. Where there is nothing to compute, no image or no
channel, no back end is asked. Results have the memory format of the first argument, gradients those of their maps.
"""

import torch
from torch import Tensor

from denseup.ops.attention import arguments, decomposition, flops, gradients
from denseup.ops.attention.backends import BACKENDS
from denseup.ops.dispatch import REFERENCE
from denseup.ops.geometry import like_layout, new_map, size_of
from denseup.ops.registration import Gradient, register


def _attention(
    query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float, backend: str
) -> Tensor:
    if not value.numel():
        return query.new_zeros(*value.shape[:2], *query.shape[2:])
    serving = BACKENDS.get(backend if query.numel() else REFERENCE)
    return like_layout(serving.attention(query, key, value, kernel_size, heads, scale), query)


def _attention_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel_size: int,
    heads: int,
    scale: float,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    if not value.numel():
        return torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
    serving = BACKENDS.get(backend if query.numel() else REFERENCE)
    found = serving.attention_backward(grad, query, key, value, kernel_size, heads, scale)
    of_query, of_key, of_value = (like_layout(g, x) for g, x in zip(found, (query, key, value), strict=True))
    return of_query, of_key, of_value


attention = register(
    "neighbourhood_attention",
    _attention,
    check=arguments.check_attention,
    fake=lambda query, key, value, *_: new_map(query, value.shape[1], size_of(query)),
    composed=decomposition.attention,
    gradient=Gradient(gradients.save, gradients.of_attention),
    flops=flops.of_attention,
    each_image_alone=True,
)
"""`[B, D, H, W]`, `[B, D, h, w]`, `[B, C, h, w]` → `[B, C, H, W]`."""

attention_backward = register(
    "neighbourhood_attention_backward",
    _attention_backward,
    check=arguments.check_attention_backward,
    fake=lambda grad, *maps_and_more: tuple(new_map(x, x.shape[1], size_of(x)) for x in maps_and_more[:3]),
    composed=decomposition.attention_backward,
    gradient=Gradient(gradients.save, gradients.of_attention_backward),
    flops=flops.of_attention_backward,
    each_image_alone=True,
)
"""Gradients of query, key and value, each in the layout of its map."""

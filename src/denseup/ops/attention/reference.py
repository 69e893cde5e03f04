"""Reference back end: plain torch, any device, any floating dtype, any ratio; the truth that the others are held to.

The pixels of an output column that belong to one source row have the same window: of each, a matrix product of queries
and keys, a softmax, and a matrix product with the values. Some columns are worked on together; neither windows nor
weights exist for more. Half-precision inputs are accumulated in float32.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from denseup.ops.arithmetic import accumulate, by_group
from denseup.ops.geometry import divided_up, size_of, window_start

NAME = "reference"
PART = 2**22
"""About how many numbers the windows and weights have of the columns that are worked on together."""


def unsupported_reasons(query: Tensor, kernel_size: int, heads: int) -> list[str]:
    """Why this back end cannot serve a call: nothing ever stands against it."""
    return []


def attention(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float) -> Tensor:
    """`[B, D, H, W]`, `[B, D, h, w]`, `[B, C, h, w]` → `[B, C, H, W]`."""
    out = accumulate(query).new_empty(query.shape[0], value.shape[1], *size_of(query))
    for part in _parts(query, key, value, kernel_size):
        weights = _weights(part, query, key, heads, scale)
        part.put(out, weights @ part.window(value, heads).transpose(-1, -2))
    return out.to(query.dtype)


def attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `attention` in query, key and value."""
    grad_query, grad_key, grad_value = (torch.zeros_like(accumulate(x)) for x in (query, key, value))
    for part in _parts(query, key, value, kernel_size):
        weights = _weights(part, query, key, heads, scale)
        high = part.pixels(grad, heads)
        products = weights * (high @ part.window(value, heads))
        slopes = scale * (products - weights * products.sum(-1, keepdim=True))
        part.put(grad_query, slopes @ part.window(key, heads).transpose(-1, -2))
        part.add(grad_key, part.pixels(query, heads).transpose(-1, -2) @ slopes)
        part.add(grad_value, high.transpose(-1, -2) @ weights)
    return grad_query.to(query.dtype), grad_key.to(key.dtype), grad_value.to(value.dtype)


class _Part:
    """Some output pixels, a rectangle, and the windows of its columns: from row `top` and columns `left` `[X]` on."""

    def __init__(self, rows: slice, columns: slice, top: int, left: Tensor, sides: tuple[int, int]) -> None:
        self.rows, self.columns = rows, columns
        self.window_rows, self.sides = slice(top, top + sides[0]), sides
        self.window_columns = (left[:, None] + torch.arange(sides[1], device=left.device)).flatten()

    def pixels(self, x: Tensor, heads: int) -> Tensor:
        """Of a high-resolution map: `[B, N, X, Y, C/N]`."""
        return by_group(accumulate(x[:, :, self.rows, self.columns]), heads).permute(0, 1, 4, 3, 2)

    def put(self, x: Tensor, pixels: Tensor) -> None:
        """The inverse of `pixels`."""
        x[:, :, self.rows, self.columns] = pixels.permute(0, 1, 4, 3, 2).flatten(1, 2)

    def window(self, x: Tensor, heads: int) -> Tensor:
        """Of a low-resolution map: `[B, N, X, C/N, taps]`."""
        found = by_group(accumulate(x[:, :, self.window_rows]).index_select(3, self.window_columns), heads)
        return (
            found.reshape(*found.shape[:4], found.shape[4] // self.sides[1], self.sides[1])
            .permute(0, 1, 4, 2, 3, 5)
            .flatten(-2)
        )

    def add(self, x: Tensor, window: Tensor) -> None:
        """The adjoint of `window`."""
        columns = window.reshape(*window.shape[:4], *self.sides).permute(0, 1, 3, 4, 2, 5).flatten(-2)
        x[:, :, self.window_rows].index_add_(3, self.window_columns, columns.flatten(1, 2))


def _parts(query: Tensor, key: Tensor, value: Tensor, kernel_size: int) -> Iterator[_Part]:
    (height, width), (out_height, out_width) = size_of(key), size_of(query)
    sides = min(kernel_size, height), min(kernel_size, width)
    tops = window_start(height, out_height, kernel_size).tolist()
    left = window_start(width, out_width, kernel_size, query.device)
    first = 0
    for source in range(height):
        last = divided_up((source + 1) * out_height, height)
        a_column = sides[0] * sides[1] * (query.shape[1] + value.shape[1] + last - first) * query.shape[0]
        step = max(1, PART // a_column)
        for column in range(0, out_width, step):
            columns = slice(column, column + step)
            yield _Part(slice(first, last), columns, tops[first], left[columns], sides)
        first = last


def _weights(part: _Part, query: Tensor, key: Tensor, heads: int, scale: float) -> Tensor:
    """`[B, N, X, Y, taps]`."""
    return (part.pixels(query, heads) @ part.window(key, heads) * scale).softmax(-1)

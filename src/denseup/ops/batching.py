"""vmap over operators that mix no images."""

from collections.abc import Callable
from typing import Any

import torch


def fold_batch(operator: Callable[..., Any]) -> Callable[..., Any]:
    """The vmap rule of such an operator: the mapped dimension joins the batch."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        def join(x: Any, dim: int | None) -> Any:
            if not torch.is_tensor(x):
                return x
            x = x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            return x.flatten(0, 1)

        out = operator(*(join(x, dim) for x, dim in zip(args, in_dims, strict=True)))
        if torch.is_tensor(out):
            return out.reshape(info.batch_size, -1, *out.shape[1:]), 0
        split = tuple(x.reshape(info.batch_size, -1, *x.shape[1:]) if x.numel() else x for x in out)
        return split, tuple(0 if x.numel() else None for x in out)

    return rule

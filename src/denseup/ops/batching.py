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

        def split(x: Any) -> Any:
            return x.reshape(info.batch_size, x.shape[0] // info.batch_size, *x.shape[1:])

        if torch.is_tensor(out):
            return split(out), 0
        of_maps = [x.dim() > 1 for x in out]  # what stands for "none" has one dimension
        return tuple(split(x) if there else x for x, there in zip(out, of_maps, strict=True)), tuple(
            0 if there else None for there in of_maps
        )

    return rule

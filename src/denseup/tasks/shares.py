"""The loss of a batch of which each of several processes has a share: one mean over all, not a mean of their means."""

import torch
import torch.distributed as dist
from torch import Tensor


def mean_over_processes(weight: Tensor | float, device: torch.device) -> Tensor:
    """Mean of what the shares of a batch weigh, float64; all processes that train together have to call this.

    DDP takes the mean of the processes' gradients, so that a share's loss l with weight w is to enter as l · w / mean:
    their mean is Σ w l / Σ w, the loss of the whole batch.
    """
    whole = torch.as_tensor(weight, dtype=torch.float64, device=device).detach().clone()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(whole)
        whole /= dist.get_world_size()
    return whole


def by_share(loss: Tensor, weight: Tensor | float, whole: Tensor | float) -> Tensor:
    """A loss times `weight / whole`; 0, with gradients, where nothing in the whole weighs anything."""
    if not isinstance(weight, Tensor) and not isinstance(whole, Tensor):
        return loss * (weight / (whole or 1.0))
    weight, whole = (torch.as_tensor(x, dtype=torch.float64, device=loss.device) for x in (weight, whole))
    share = weight / torch.where(whole > 0, whole, torch.ones_like(whole))
    return loss * share.to(loss.dtype)

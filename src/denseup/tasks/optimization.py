"""How a task is trained: optimizer, parameter groups and learning-rate schedules of the published recipes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from denseup.tasks.checks import check_number
from denseup.tasks.norms import BatchNorm

NORMS = (BatchNorm, nn.LayerNorm, nn.GroupNorm)

Schedule = Callable[[Optimizer, int], LRScheduler]
"""(optimizer, total steps) → scheduler stepped once a step."""


@dataclass
class Optimization:
    """How a task is trained.

    Attributes:
        optimizer: parameter groups → optimizer, such as a partial of `torch.optim.AdamW`.
        lr: base learning rate.
        schedule: (optimizer, total steps) → scheduler stepped every step; None keeps the rates.
        backbone_lr_scale, head_lr_scale, decay_backbone_norms: see `parameter_groups`. For a backbone rate of 0 the
            command freezes the encoder (`TakesMaps.freeze_encoder`), which a library user does by that call.
        freeze_backbone_norms: keep the running statistics of the backbone's batch norms as they are, and use them.
        freeze_backbone_norm_weights: keep the weights and biases of the backbone's batch norms as they are.
        freeze_norms_after: share of the steps after which all batch norms keep theirs. With small batches the
            statistics of a batch are noise that the evaluation does not have: the last part of the training then
            learns under the conditions of the evaluation.

    Raises:
        ValueError: a rate or share that is no finite number ≥ 0.
    """

    optimizer: Callable[..., Optimizer]
    lr: float
    schedule: Schedule | None = None
    backbone_lr_scale: float = 1.0
    head_lr_scale: float = 1.0
    decay_backbone_norms: bool = True
    freeze_backbone_norms: bool = False
    freeze_norms_after: float = 1.0
    freeze_backbone_norm_weights: bool = False

    def __post_init__(self) -> None:
        for name in ("lr", "backbone_lr_scale", "head_lr_scale", "freeze_norms_after"):
            check_number(name, getattr(self, name))


def parameter_groups(
    network: nn.Module,
    lr: float,
    backbone_lr_scale: float = 1.0,
    head_lr_scale: float = 1.0,
    decay_backbone_norms: bool = True,
) -> list[dict[str, Any]]:
    """Split a network's parameters by learning rate and weight decay.

    Args:
        network: one of `denseup.networks`; its `backbone_parameters()` are the backbone, the rest is the head.
        lr: base learning rate.
        backbone_lr_scale, head_lr_scale: factors on it.
        decay_backbone_norms: False exempts the backbone's norms from weight decay (the head's keep it).

    Returns:
        Groups for a torch optimizer, each with a "name"; empty ones and parameters that do not learn are left out.
    """
    backbone = {id(p) for p in network.backbone_parameters()}  # type: ignore[operator]
    norms = {id(p) for m in network.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)}
    groups: dict[str, dict[str, Any]] = {
        "backbone": {"params": [], "lr": lr * backbone_lr_scale},
        "backbone_norms": {"params": [], "lr": lr * backbone_lr_scale, "weight_decay": 0.0},
        "head": {"params": [], "lr": lr * head_lr_scale},
    }
    for parameter in (p for p in network.parameters() if p.requires_grad):
        name = "head" if id(parameter) not in backbone else "backbone"
        if name == "backbone" and id(parameter) in norms and not decay_backbone_norms:
            name = "backbone_norms"
        groups[name]["params"].append(parameter)
    return [{"name": name, **group} for name, group in groups.items() if group["params"]]


def warmup_poly(
    optimizer: Optimizer,
    total_steps: int,
    *,
    warmup_steps: int | float = 1500,
    warmup_ratio: float = 1e-6,
    power: float = 1.0,
) -> LRScheduler:
    """Polynomial decay to zero, multiplied by a linear warm-up from `warmup_ratio`: SegFormer's schedule.

    Args:
        optimizer: whose rates are scheduled.
        total_steps: where the rate reaches zero.
        warmup_steps: length of the warm-up; a fraction < 1 means that share of `total_steps`.
        warmup_ratio: factor at step 0.
        power: of the polynomial.
    """
    warmup = int(warmup_steps * total_steps) if warmup_steps < 1 else int(warmup_steps)

    def factor(step: int) -> float:
        decay = max(0.0, 1 - step / total_steps) ** power
        ramp = 1.0 if step >= warmup else 1 - (1 - step / warmup) * (1 - warmup_ratio)
        return decay * ramp

    return LambdaLR(optimizer, factor)


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    *,
    warmup_steps: int | float = 0.3,
    start_ratio: float = 0.04,
    end_ratio: float = 4e-6,
) -> LRScheduler:
    """Half a cosine up to each group's rate, and half a cosine down: Smith & Topin, 2017, arXiv:1708.07120.

    The rates of torch's `OneCycleLR`, whose moving momentum is left out: it is the optimizer's own.

    Args:
        optimizer: whose rates are scheduled.
        total_steps: where the rate reaches its end.
        warmup_steps: where it is highest; a fraction < 1 means that share of `total_steps`.
        start_ratio: factor at step 0.
        end_ratio: factor at the end.
    """
    highest = (warmup_steps * total_steps if warmup_steps < 1 else warmup_steps) - 1
    last = total_steps - 1

    def factor(step: int) -> float:
        if step < highest:
            return start_ratio + (1 - start_ratio) * (1 - math.cos(math.pi * step / highest)) / 2
        fallen = min((step - highest) / max(last - highest, 1), 1.0)
        return end_ratio + (1 - end_ratio) * (1 + math.cos(math.pi * fallen)) / 2

    return LambdaLR(optimizer, factor)


def multi_step(
    optimizer: Optimizer, total_steps: int, *, epochs: int, milestones: Sequence[int], gamma: float = 0.1
) -> LRScheduler:
    """Times `gamma` after each milestone, in epochs of which `epochs` make up `total_steps`: the matting schedule."""
    steps = [round(milestone * total_steps / epochs) for milestone in milestones]
    return LambdaLR(optimizer, lambda step: gamma ** sum(step >= s for s in steps))

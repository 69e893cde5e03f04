"""Schedules equal the published ones step by step; parameters land in the right groups."""

import pytest
import torch
from golden import array
from torch import nn

from denseup.networks import MattingResNet34, SegFormer
from denseup.tasks.optimization import multi_step, one_cycle, parameter_groups, warmup_poly


def rates(schedule, optimizer: torch.optim.Optimizer, steps: list[int]) -> list[float]:
    """The rate that each step uses; the factors are functions of the step alone."""
    base, factor = schedule.base_lrs[0], schedule.lr_lambdas[0]
    return [base * factor(step) for step in steps]


def optimizer(lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


def test_segmentation_schedule_equals_the_published_one() -> None:
    sgd = optimizer(6e-5)
    steps = array("losses", "seg_lr_schedule/iteration").tolist()
    expected = array("losses", "seg_lr_schedule/lr").tolist()
    assert rates(warmup_poly(sgd, 160_000), sgd, steps) == pytest.approx(expected, rel=1e-12)


def test_matting_schedule_equals_the_published_one() -> None:
    sgd = optimizer(0.01)
    schedule = multi_step(sgd, 180_000, epochs=30, milestones=[20, 26])
    expected = array("losses", "matting_lr_schedule/lr").tolist()
    for offset in (0, 5999):
        actual = rates(schedule, sgd, [epoch * 6000 + offset for epoch in range(30)])
        assert actual == pytest.approx(expected, rel=1e-12)


def test_warm_up_may_be_a_share_of_the_run() -> None:
    sgd = optimizer(1.0)
    schedule = warmup_poly(sgd, 100, warmup_steps=0.1, warmup_ratio=0.5)
    assert rates(schedule, sgd, [0, 10, 100]) == pytest.approx([0.5, 0.9, 0.0])


@pytest.mark.parametrize("warmup", [0.3, 0.1])
def test_one_cycle_is_that_of_torch(warmup: float) -> None:
    ours, theirs = optimizer(2.0), optimizer(2.0)
    schedule = one_cycle(ours, 50, warmup_steps=warmup)
    reference = torch.optim.lr_scheduler.OneCycleLR(theirs, 2.0, 50, pct_start=warmup, cycle_momentum=False)
    for _ in range(49):
        assert schedule.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-9)
        for stepped in (ours, schedule, theirs, reference):
            stepped.step()
    assert schedule.get_last_lr() == pytest.approx([8e-6])


def test_one_cycle_keeps_the_ratio_of_its_groups() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 0.1)]
    schedule = one_cycle(torch.optim.SGD(groups), 10, warmup_steps=4)
    assert schedule.get_last_lr() == pytest.approx([0.04, 0.004])


def test_segmentation_groups() -> None:
    network = SegFormer("b0", 4, "fade", embed_dim=16)
    groups = {g["name"]: g for g in parameter_groups(network, 6e-5, head_lr_scale=10, decay_backbone_norms=False)}
    assert sum(p.numel() for g in groups.values() for p in g["params"]) == sum(p.numel() for p in network.parameters())
    assert groups["head"]["lr"] == pytest.approx(6e-4)
    assert groups["backbone_norms"]["weight_decay"] == 0
    norms = {id(p) for m in network.backbone.modules() if isinstance(m, nn.LayerNorm) for p in m.parameters()}
    assert {id(p) for p in groups["backbone_norms"]["params"]} == norms
    assert "weight_decay" not in groups["head"]


def test_matting_groups() -> None:
    groups = {g["name"]: g for g in parameter_groups(MattingResNet34("fade", width=8), 0.01, backbone_lr_scale=0.01)}
    assert groups["backbone"]["lr"] == pytest.approx(1e-4)
    assert groups["head"]["lr"] == pytest.approx(0.01)
    assert set(groups) == {"backbone", "head"}

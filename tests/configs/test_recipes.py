"""The published recipes, value by value, as `experiment=composition1k` and `experiment=ade20k` compose and build them.

Steps of the augmentation: `tests/data/test_matting_steps.py`, `test_segmentation_steps.py`. Rates at every step as the
authors' code gives them: `tests/tasks/test_optimization.py`; losses: `tests/test_losses.py`.
"""

from typing import Any

import hydra
import pytest
import torch
from configuring import configure
from omegaconf import DictConfig
from torch import nn
from torch.nn import functional as F

from denseup.cli.build import build_data, build_network, taken, task_class
from denseup.data.datamodules import DenseData
from denseup.losses import matting_loss, segmentation_loss
from denseup.tasks.optimization import Optimization, parameter_groups
from denseup.upsamplers import upsampler_factory

MATTING = "experiment=composition1k", "data.root=there", "data.backgrounds=here"
ADE20K = "experiment=ade20k", "data.root=there"


def built(*overrides: str) -> tuple[DictConfig, DenseData, nn.Module, Optimization]:
    """Config, data, network (with random weights) and recipe."""
    cfg = configure(*overrides, "upsampler=bilinear", "encoder.pretrained=false")
    data = build_data(cfg)
    kind = task_class(cfg)
    network = build_network(cfg, kind.in_channels, upsampler_factory("bilinear"), **taken(kind.network_options, data))
    return cfg, data, network, hydra.utils.instantiate(cfg.recipe.optimization)


def optimizer_of(network: nn.Module, recipe: Optimization) -> torch.optim.Optimizer:
    """As `configure_optimizers` makes it."""
    scales = (recipe.backbone_lr_scale, recipe.head_lr_scale, recipe.decay_backbone_norms)
    return recipe.optimizer(parameter_groups(network, recipe.lr, *scales), lr=recipe.lr)


def rate(optimizer: torch.optim.Optimizer, recipe: Optimization, steps: int, step: int, group: str) -> float:
    assert recipe.schedule is not None
    place = [g["name"] for g in optimizer.param_groups].index(group)
    schedule: Any = recipe.schedule(optimizer, steps)
    return float(schedule.base_lrs[place] * schedule.lr_lambdas[place](step))


@pytest.fixture(scope="module")
def matting() -> Any:
    return built(*MATTING)


@pytest.fixture(scope="module")
def ade20k() -> Any:
    return built(*ADE20K)


def test_composition_1k(matting: Any) -> None:
    cfg, data, network, recipe = matting
    assert (cfg.encoder.name, configure(*MATTING).encoder.pretrained) == ("resnet34", True)
    assert cfg.seed == data.seed == 6

    optimizer = optimizer_of(network, recipe)  # Adam, lr 0.01, pretrained encoder weights 1e-4
    assert type(optimizer) is torch.optim.Adam
    assert {g["name"]: g["lr"] for g in optimizer.param_groups} == pytest.approx({"backbone": 1e-4, "head": 1e-2})
    assert all(g["betas"] == (0.9, 0.999) and g["weight_decay"] == 0 for g in optimizer.param_groups)

    epoch, steps = 6000, cfg.recipe.max_steps  # 30 epochs of 6000 iterations, evaluated after each
    assert (steps, cfg.recipe.val_every) == (30 * epoch, epoch)
    assert data.train_length == epoch * 16
    milestones = {0: 1, 20 * epoch - 1: 1, 20 * epoch: 0.1, 26 * epoch - 1: 0.1, 26 * epoch: 0.01, steps - 1: 0.01}
    for step, factor in milestones.items():  # x 0.1 after epochs 20 and 26
        for group, lr in (("head", 0.01), ("backbone", 1e-4)):
            assert rate(optimizer, recipe, steps, step, group) == pytest.approx(lr * factor, rel=1e-12)

    assert (cfg.recipe.effective_batch_size, data.batch_size) == (16, 16)
    assert data.augmentation.crop_size == 512
    assert recipe.freeze_backbone_norms  # encoder BN meant frozen
    assert (recipe.freeze_norms_after, recipe.freeze_backbone_norm_weights) == (1.0, False)
    assert (cfg.recipe.start, cfg.recipe.average, cfg.protocol.evaluation) == ("published", None, "best")
    assert cfg.task.composition_weight == 0.5
    assert cfg.task.stride == 16  # whole images, reflect-padded to a multiple of 16


def test_the_loss_of_composition_1k() -> None:
    """Half alpha and half composition; each sqrt(d^2 + 1e-12) inside the unknown region, by the mask's sum + 1."""
    alpha, target, *colours = (torch.rand(2, c, 5, 6, dtype=torch.float64) for c in (1, 1, 3, 3, 3))
    unknown = (torch.rand(2, 1, 5, 6) > 0.5).double()
    foreground, background, image = colours
    composed = alpha * foreground + (1 - alpha) * background
    terms = []
    for difference in (alpha - target, composed - image):
        rooted = ((difference * unknown) ** 2 + 1e-12).sqrt()
        terms.append(sum(rooted[i].sum() / (unknown[i].sum() + 1) for i in range(2)) / 2)
    found = matting_loss(alpha, target, unknown, (foreground, background, image), 0.5)
    torch.testing.assert_close(found, (terms[0] + terms[1]) / 2, rtol=1e-12, atol=0)


def test_ade20k(ade20k: Any) -> None:
    cfg, data, network, recipe = ade20k
    assert (cfg.encoder.name, configure(*ADE20K).encoder.pretrained) == ("mit_b1", True)
    assert (data.num_classes, data.folders["reduce_zero_label"]) == (150, True)

    optimizer = optimizer_of(network, recipe)  # AdamW 6e-5, weight decay 0.01, the head's rate times ten
    groups = {g["name"]: g for g in optimizer.param_groups}
    assert type(optimizer) is torch.optim.AdamW
    assert {name: g["lr"] for name, g in groups.items()} == pytest.approx(
        {"backbone": 6e-5, "backbone_norms": 6e-5, "head": 6e-4}
    )
    assert {name: g["weight_decay"] for name, g in groups.items()} == {
        "backbone": 0.01,
        "backbone_norms": 0.0,
        "head": 0.01,
    }
    assert all(g["betas"] == (0.9, 0.999) for g in optimizer.param_groups)

    steps = cfg.recipe.max_steps  # 160k
    assert (steps, cfg.recipe.val_every) == (160_000, 16_000)
    for step in (0, 1, 750, 1499):  # linear warm-up of 1500 iterations from ratio 1e-6 ...
        ramp = 1 - (1 - step / 1500) * (1 - 1e-6)
        expected = 6e-5 * ramp * (1 - step / steps)
        assert rate(optimizer, recipe, steps, step, "backbone") == pytest.approx(expected, rel=1e-12)
    for step in (1500, 80_000, 159_999, 160_000):  # ... then poly, power 1, to 0
        expected = 6e-4 * (1 - step / steps)
        assert rate(optimizer, recipe, steps, step, "head") == pytest.approx(expected, rel=1e-12, abs=1e-18)

    assert (cfg.recipe.effective_batch_size, data.batch_size) == (16, 16)
    how = data.augmentation
    assert (how.crop_size, how.short_side, how.long_side, how.ratio) == (512, 512, 2048, (0.5, 2.0))
    assert not recipe.freeze_backbone_norms
    assert recipe.freeze_norms_after == 1.0
    assert data.test_size == (512, 2048)  # whole image, a short side of 512 aligned up to x 32
    assert (cfg.recipe.start, cfg.recipe.average, cfg.protocol.evaluation) == ("published", None, "best")
    assert cfg.trainer.get("sync_batchnorm", False) is False  # BatchNorm


def test_norms_of_the_ade20k_backbone_alone_are_spared_from_decay(ade20k: Any) -> None:
    """The head's norms keep it."""
    _, _, network, recipe = ade20k
    groups = {g["name"]: {id(p) for p in g["params"]} for g in optimizer_of(network, recipe).param_groups}
    kinds = (nn.LayerNorm, nn.modules.batchnorm._BatchNorm)
    norms = [m for m in network.modules() if isinstance(m, kinds)]
    backbone = {id(p) for p in network.backbone_parameters()}
    for norm in norms:
        for parameter in norm.parameters():
            assert id(parameter) in groups["backbone_norms" if id(parameter) in backbone else "head"]
    assert len(groups["backbone_norms"]) == sum(id(p) in backbone for m in norms for p in m.parameters())
    assert sum(map(len, groups.values())) == len(list(network.parameters()))


def test_drop_path_of_ade20k_rises_to_a_tenth(ade20k: Any) -> None:
    cfg, _, network, _ = ade20k
    assert cfg.encoder.drop_path == 0.1
    layers = [module for module in network.modules() if hasattr(module, "drop_path")]
    shares = [float(getattr(layer.drop_path, "drop_prob", 0) or 0) for layer in layers]
    assert len(layers) == 8
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(0.1)
    assert shares == sorted(shares)


def test_the_loss_of_ade20k_averages_over_all_pixels() -> None:
    """Ignored ones count 0; the plain mean is offered too."""
    cfg = configure(*ADE20K)
    assert cfg.task.average == "all"
    logits, label = torch.randn(2, 4, 3, 5, dtype=torch.float64), torch.randint(4, (2, 3, 5))
    label[0, :2] = 255
    each = F.cross_entropy(logits, label, ignore_index=255, reduction="none")
    assert segmentation_loss(logits, label, 255, "all").item() == pytest.approx(each.sum().item() / label.numel())
    valid = (label != 255).sum().item()
    assert segmentation_loss(logits, label, 255, "valid").item() == pytest.approx(each.sum().item() / valid)

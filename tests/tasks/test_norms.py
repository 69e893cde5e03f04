"""Batch norms that a recipe freezes stay frozen, whatever calls `train()`; synchronised ones are batch norms too."""

from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from denseup.networks import MattingNetwork
from denseup.tasks import MattingTask
from denseup.tasks.norms import backbone_norms, batch_norms
from denseup.tasks.optimization import Optimization, parameter_groups

ENCODER = {"name": "resnet34", "width": 4, "depths": (1, 1, 1)}
BATCH = {"image": torch.rand(3, 32, 32), "trimap": torch.full((1, 32, 32), 128, dtype=torch.uint8)}
BATCH |= {"alpha": torch.full((1, 32, 32), 200 / 255)}
WHOLE = {**BATCH, "alpha": torch.full((1, 32, 32), 200, dtype=torch.uint8)}
"""A training sample, and one of evaluation."""


def task(**recipe: Any) -> MattingTask:
    torch.manual_seed(0)
    optimization = Optimization(partial(torch.optim.SGD, momentum=0.9), 0.01, **recipe)
    return MattingTask(MattingNetwork(ENCODER, "bilinear"), optimization, num_examples=0)


class TurnsOn(pl.Callback):
    """What a careless callback might do, before each batch and after each evaluation."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *arguments: Any) -> None:
        pl_module.network.train()
        pl_module.train()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        pl_module.train()


def fit(module: MattingTask, steps: int, path: Any = None, resume: Any = None) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        callbacks=[TurnsOn()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        val_check_interval=1,
        check_val_every_n_epoch=None,
    )
    batches, whole = DataLoader([BATCH] * 8, 2), DataLoader([WHOLE], 1)  # type: ignore[arg-type,var-annotated]
    trainer.fit(module, batches, whole, ckpt_path=resume, weights_only=True)
    if path is not None:
        trainer.save_checkpoint(path)


def statistics(norms: list[Any]) -> list[torch.Tensor]:
    return [buffer.clone() for norm in norms for buffer in norm.buffers()]


def test_frozen_statistics_outlast_everything(tmp_path: Any) -> None:
    """Calls of `train()`, evaluations and a resume; those of the decoder go on."""
    module = task(freeze_backbone_norms=True)
    frozen = backbone_norms(module.network)
    free = [norm for norm in batch_norms(module.network) if norm not in frozen]
    assert frozen
    assert free
    before, moving = statistics(frozen), statistics(free)
    fit(module, 2, tmp_path / "two.ckpt")
    module.train()
    assert not any(norm.training for norm in frozen)
    assert all(norm.training for norm in free)
    resumed = task(freeze_backbone_norms=True)
    fit(resumed, 4, resume=tmp_path / "two.ckpt")
    for one in (module, resumed):
        norms = backbone_norms(one.network)
        assert all(torch.equal(x, y) for x, y in zip(statistics(norms), before, strict=True))
        assert not all(torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms)  # they learn
    assert not any(torch.equal(x, y) for x, y in zip(statistics(free), moving, strict=True))


def test_all_norms_are_frozen_after_their_share_of_the_steps() -> None:
    module = task(freeze_norms_after=0.5)
    fit(module, 4)
    assert {int(norm.num_batches_tracked) for norm in batch_norms(module.network)} == {2}


def test_frozen_weights_are_the_optimizers_no_more() -> None:
    module = task(freeze_backbone_norms=True, freeze_backbone_norm_weights=True)
    frozen = backbone_norms(module.network)
    before = [parameter.clone() for norm in frozen for parameter in norm.parameters()]
    fit(module, 2)
    after = [parameter for norm in frozen for parameter in norm.parameters()]
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
    learning = {id(p) for group in parameter_groups(module.network, 0.1) for p in group["params"]}
    assert not learning & {id(p) for p in after}
    assert learning == {id(p) for p in module.network.parameters() if p.requires_grad}


@pytest.mark.parametrize("frozen", [True, False])
def test_synchronised_norms_are_frozen_and_spared_from_decay_alike(frozen: bool) -> None:
    """`trainer.sync_batchnorm` makes others of them, of another class."""
    plain, synchronised = task(freeze_backbone_norms=frozen), task(freeze_backbone_norms=frozen)
    synchronised.network = nn.SyncBatchNorm.convert_sync_batchnorm(synchronised.network)
    numbers = [len(backbone_norms(one.network)) for one in (plain, synchronised)]
    assert numbers[0] == numbers[1] > 0
    groups = [parameter_groups(one.network, 0.1, decay_backbone_norms=False) for one in (plain, synchronised)]
    sizes = [{group["name"]: len(group["params"]) for group in split} for split in groups]
    assert sizes[0] == sizes[1]
    fit(synchronised, 2)
    tracked = {int(norm.num_batches_tracked) for norm in backbone_norms(synchronised.network)}
    assert tracked == ({0} if frozen else {2})

"""Three processes are as one, and features of a frozen encoder are computed once for several: the long forms."""

from pathlib import Path

import pytest
import torch.distributed as dist
from reliability import group, shared_jobs
from reliability.recording import OPTION, recorded
from reliability.shared_jobs import train_run
from reliability.test_any_number_of_devices import FLOAT32, assert_same_weights, losses

from denseup.data.caching import SampleCache
from denseup.engine import RunFolder
from denseup.engine.state import read_result

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo back end"),
]
TOGETHER = f"{shared_jobs.__name__}:train_together"
SIX = ["recipe.effective_batch_size=6", "data.train_length=20", "data.val_length=4", OPTION % 0]
"""Three batches of twenty samples; four images for three processes: two of them see one that does not count."""

FROZEN = [
    *("protocol=frozen", "protocol.evaluation=best", "encoder=lite0", "encoder.pretrained=false"),
    *("trainer.precision=32-true", "data.crop_size=64", "data.train_length=20", "trainer.max_steps=12"),
    *("data.val_length=3", OPTION % 0),
]
"""More steps than samples, without which features would not be kept."""


def test_three_processes_are_as_one(tmp_path: Path) -> None:
    train_run(tmp_path / "one", *SIX, "data.batch_size=6")
    group.run(tmp_path, 3, (TOGETHER, ["three", *SIX, "data.batch_size=1", "trainer.devices=3"]))
    assert recorded(tmp_path / "three") == recorded(tmp_path / "one")
    assert losses(tmp_path / "three") == pytest.approx(losses(tmp_path / "one"), rel=FLOAT32)
    assert_same_weights(tmp_path / "three", tmp_path / "one")
    metrics = [read_result(RunFolder(tmp_path / name))["metrics"]["last"] for name in ("one", "three")]
    assert metrics[1] == pytest.approx(metrics[0], rel=FLOAT32)


def test_features_are_computed_once(tmp_path: Path) -> None:
    """Both processes want them at the same time; the cache has one entry a split, and no part of another."""
    cache = tmp_path / "cache"
    group.run(tmp_path, 2, (TOGETHER, ["two", *FROZEN, "data.batch_size=2", f"cache.folder='{cache}'"]))
    entries = SampleCache(cache, 1e9).entries()
    assert [entry.whole for entry in entries] == [True, True]
    fillers = [
        rank for rank in range(2) for name in group.written(tmp_path, rank) if name.endswith("/description.json")
    ]
    assert len(fillers) == 2  # an entry of each split, by whichever process came first
    train_run(tmp_path / "one", *FROZEN, "data.batch_size=4", f"cache.folder='{tmp_path / 'other'}'")
    assert {entry.key for entry in entries} == {entry.key for entry in SampleCache(tmp_path / "other", 1e9).entries()}
    assert recorded(tmp_path / "two") == recorded(tmp_path / "one")

"""A frozen encoder learns nothing, and its kept features are what it would compute."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from configuring import tiny_run
from hydra.errors import InstantiationException

import denseup
from denseup.cli import cache, train
from denseup.cli.build import build_data, build_task
from denseup.cli.config import RunError, user_errors
from denseup.data.caching import CacheError, SampleCache
from denseup.engine import RunFolder
from denseup.engine.features import Features
from denseup.engine.state import read_result
from denseup.networks import MattingNetwork, SegmentationNetwork
from denseup.networks.encoders import ResNet34
from denseup.tasks.takes_maps import MAPS

ENCODER = ["encoder=lite0", "encoder.pretrained=false"]
"""Of random weights: a constant is as good as any for what is tested here, and quick."""
FROZEN = ["protocol=frozen", *ENCODER, "data.train_length=6", "recipe.average=0.5"]
TASKS = ("matting", "segmentation")


def run(folder: Path, *overrides: str, task: str = "segmentation") -> dict[str, Any]:
    kept = f"cache.folder='{folder.parent / 'cache'}'"
    return train.run(tiny_run(*FROZEN, kept, *overrides, task=task), RunFolder(folder))


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def features(
    folder: Path, *overrides: str, task: str = "segmentation", samples: float = 1e9
) -> tuple[Features, Any, Any]:
    cfg = tiny_run(*FROZEN, *overrides, task=task)
    torch.manual_seed(0)
    data = build_data(cfg)
    built = build_task(cfg, data)
    config = json.loads(json.dumps({"data": dict(cfg.data), "task": dict(cfg.task)}, default=str))
    return Features(SampleCache(folder, 1e9), config, samples, torch.device("cpu"), progress=False), built, data


@pytest.mark.parametrize("task", TASKS)
def test_the_encoder_learns_nothing_and_the_rest_does(tmp_path: Path, task: str) -> None:
    cfg = tiny_run(*FROZEN, task=task)
    run(tmp_path / "run", task=task)
    trained, loaded = weights(tmp_path / "run"), denseup.load(tmp_path / "run" / "checkpoints" / "averaged.ckpt")
    prefix = f"network.{loaded.network.encoder_name}."
    pl.seed_everything(cfg.seed, verbose=False)
    start = build_task(cfg, build_data(cfg)).state_dict()
    changed = {key for key in trained if not torch.equal(trained[key], start[key])}
    assert changed
    assert not any(key.startswith(prefix) for key in changed)
    averaged = loaded.state_dict()
    assert all(torch.equal(averaged[key], start[key]) for key in start if key.startswith(prefix))
    assert any(not torch.equal(averaged[key], trained[key]) for key in changed), "the average is not the last weights"


@pytest.mark.parametrize("task", TASKS)
def test_kept_features_are_what_the_encoder_gives(tmp_path: Path, task: str) -> None:
    # one image a batch, as they are computed: other shapes would be rounded otherwise
    maker, built, data = features(tmp_path, "data.batch_size=1", task=task)
    kept = maker.of(built, data)
    assert built.network.frozen
    assert set(kept.kept) == {"train", "val"}
    for split, loader, step in (
        ("train", kept.train_dataloader(), built.loss),
        ("val", kept.val_dataloader(), built.predict),
    ):
        batch = next(iter(loader))
        assert MAPS in batch, split
        built.eval()
        with torch.no_grad():
            live = step({key: value for key, value in batch.items() if key != MAPS}).double()
            with built.maps_of(batch):
                cached = step(batch).double()
        if split == "train":
            torch.testing.assert_close(cached, live, rtol=1e-5, atol=0)
        else:  # bytes: a value in between may fall either way
            assert (cached - live).abs().max() <= (1 if task == "matting" else 0)
    plain, again = data.fixed_views(), kept.dataset("train")
    for key, value in plain[2].items():
        assert torch.equal(again[2][key], value) if isinstance(value, torch.Tensor) else again[2][key] == value


def test_the_encoder_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, built, data = features(tmp_path)
    kept = maker.of(built, data)
    monkeypatch.setattr(built.network.backbone, "forward", lambda x: pytest.fail("the encoder is called"))
    batch = next(iter(kept.train_dataloader()))
    built.train()
    with built.maps_of(batch):
        built.loss(batch).backward()
    assert all(p.grad is None for p in built.network.backbone.parameters())


def keys(folder: Path, **given: Any) -> set[str]:
    before = {entry.key for entry in SampleCache(folder, 0).entries()}
    maker, built, data = features(folder, *given.pop("overrides", ()), **given)
    maker.of(built, data)
    return {entry.key for entry in SampleCache(folder, 0).entries()} - before


def test_what_makes_another_entry_and_what_does_not(tmp_path: Path) -> None:
    assert len(keys(tmp_path)) == 2
    same = [
        "upsampler=carafe",
        "seed=3",
        "data.batch_size=3",
        "model.embed_dim=16",
        "task.num_examples=1",
        "data.num_workers=1",
    ]
    assert keys(tmp_path, overrides=same) == set()
    assert len(keys(tmp_path, overrides=["data.crop_size=32"])) >= 1
    assert len(keys(tmp_path, overrides=["data.train_length=7"])) >= 1
    assert len(keys(tmp_path, overrides=["encoder=lite1", "encoder.pretrained=false"])) == 2
    assert len(keys(tmp_path, overrides=["data.image_size=32"])) >= 1
    assert len(keys(tmp_path, task="matting")) == 2


def test_other_weights_make_another_entry(tmp_path: Path) -> None:
    maker, built, data = features(tmp_path)
    maker.of(built, data)
    with torch.no_grad():
        next(built.network.backbone.parameters()).add_(1)
    maker.of(built, data)
    assert len(SampleCache(tmp_path, 0).entries()) == 4


def test_options_of_the_encoder_make_another_entry(tmp_path: Path) -> None:
    """With the same weights another use of them gives other maps; where they came from does not matter."""
    maker, built, data = features(tmp_path)

    def number(**encoder: Any) -> int:
        maker.config = {**maker.config, "encoder": {"name": "auto", **encoder}}
        maker.of(built, data)
        return len(SampleCache(tmp_path, 0).entries())

    assert number(config={"num_attention_heads": 2}, source="/here", pretrained=True) == 2
    assert number(config={"num_attention_heads": 2}, source="/there", pretrained="file") == 2
    assert number(config={"num_attention_heads": 4}) == 4
    assert number(config={"num_attention_heads": 4}, stages=[1, 3]) == 6


def test_samples_of_parted_files_are_another_entry(tmp_path: Path) -> None:
    maker, built, data = features(tmp_path)
    for parted in (data, data.parted(0.25), data.parted(0.25)):
        maker.of(built, parted)
    assert len(SampleCache(tmp_path, 0).entries()) == 3, "the validation samples are the same"


@pytest.mark.parametrize("task", TASKS)
def test_a_network_in_half_precision_takes_them(tmp_path: Path, task: str) -> None:
    for name in ("computes", "finds"):
        result = run(tmp_path / name, "trainer.precision=bf16-true", "trainer.max_steps=2", task=task)
        assert result["status"] == "finished"


def test_an_index_without_its_samples_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker, built, data = features(tmp_path)
    store: Any = maker.of(built, data).kept["train"]
    index = json.loads((store.folder / "index.json").read_text())
    for broken in ({**index, "layouts": []}, {**index, "samples": [[0, 10**9, {}]] * len(store)}):
        (store.folder / "index.json").write_text(json.dumps(broken))
        assert set(maker.of(built, data).kept) == {"train", "val"}
        assert "kept features are not used: they can't be read" in capsys.readouterr().err


def test_random_streams_are_left_as_they_were(tmp_path: Path) -> None:
    maker, built, data = features(tmp_path)
    before = torch.get_rng_state()
    maker.of(built, data)
    assert torch.equal(torch.get_rng_state(), before)


def test_entries_that_are_not_what_they_say_are_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker, built, data = features(tmp_path)
    kept = maker.of(built, data)
    file = kept.kept["train"].folder / "samples.bin"  # type: ignore[attr-defined]
    good = file.read_bytes()
    file.write_bytes(bytes(len(good)))
    again = maker.of(built, data)
    assert "kept features are not used: image of sample 0 differs; they are computed anew" in capsys.readouterr().err
    assert file.read_bytes() == good
    assert set(again.kept) == {"train", "val"}


def test_where_it_does_not_pay_nothing_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker, built, data = features(tmp_path, samples=6)
    assert maker.of(built, data).kept == {}
    assert "the run draws 6 samples of 6" in capsys.readouterr().err
    maker.samples, maker.cache.limit = 100, 10
    assert maker.of(built, data).kept == {}
    assert "are more than the limit of 0.00 GB" in capsys.readouterr().err
    assert not list(tmp_path.glob("*/samples.bin"))


def losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


def test_a_run_without_kept_features_sees_the_same(tmp_path: Path) -> None:
    # one image a batch, as features are computed, so that nothing is rounded otherwise
    alone = ["data.batch_size=1", "data.train_length=3"]
    run(tmp_path / "cached", *alone)
    assert len(SampleCache(tmp_path / "cache", 0).entries()) == 2
    run(tmp_path / "live", *alone, "cache.limit_gb=0")
    assert losses(tmp_path / "cached")[0] == pytest.approx(losses(tmp_path / "live")[0], rel=1e-4)


def test_a_resumed_run_is_the_same_to_the_bit(tmp_path: Path) -> None:
    # a schedule, an average and a random stream of another length would be another run
    same = ["recipe.optimization.schedule=null", "model.dropout=0", "cache.limit_gb=1"]
    whole = run(tmp_path / "whole", *same, "recipe.average=1")
    run(tmp_path / "half", *same, "trainer.max_steps=2", "recipe.average=1")
    (tmp_path / "half" / "result.json").unlink()
    resumed = run(tmp_path / "on", *same, "recipe.average=1", f"resume='{tmp_path / 'half/checkpoints/last.ckpt'}'")
    assert resumed["metrics"]["last"] == whole["metrics"]["last"]
    theirs = weights(tmp_path / "whole")
    assert all(torch.equal(value, theirs[key]) for key, value in weights(tmp_path / "on").items())


def test_an_encoder_whose_pooling_is_learnt_cannot_be_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leaves its pooling to the upsamplers, which learn: it can't be frozen"):
        MattingNetwork(ResNet34(width=4), width=4).freeze_encoder()
    with pytest.raises(InstantiationException, match="can't be frozen"):
        run(tmp_path / "run", "encoder=resnet34", "encoder.width=8", task="matting")
    SegmentationNetwork(ResNet34(width=4), embed_dim=4).freeze_encoder()  # which pools by itself


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("protocol.name=thawed", "protocol.name is 'thawed', valid: frozen, finetune"),
        ("protocol.evaluation=middle", "protocol.evaluation is 'middle', valid: best, last, averaged"),
        ("recipe.average=null", "protocol.evaluation is averaged, but recipe.average is null"),
        ("cache.limit_gb=-1", "cache.limit_gb is -1"),
        ("cache.folder=3", "cache.folder is 3, expected the path of a folder"),
        ("recipe.average=0", "recipe.average is 0, expected a share of the steps"),
        ("recipe.average=2", "recipe.average is 2, expected a share of the steps"),
    ],
)
def test_values_that_no_run_can_have(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        run(tmp_path / "run", override)


def test_a_cache_that_cannot_be_written_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    """After which the run goes on from its checkpoint."""
    folder = RunFolder(tmp_path)
    with pytest.raises(RunError), user_errors(folder):
        raise CacheError("features can't be kept")
    assert read_result(folder)["status"] == "killed"


def test_a_cache_that_cannot_be_written_stops_the_run_by_name(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(CacheError, match=r"features can't be kept: .*cache can't be written: a file is in its place"):
        run(tmp_path / "run", "trainer.max_steps=9")


def test_the_command_lists_and_clears(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker, built, data = features(tmp_path)
    maker.of(built, data)
    folder = f"cache.folder='{tmp_path}'"
    cache.main([folder])
    shown = capsys.readouterr().out
    key = SampleCache(tmp_path, 0).entries()[0].key
    assert key in shown
    assert "2 entries" in shown
    cache.main([folder, f"clear={key}"])
    assert "removed from" in capsys.readouterr().out
    cache.main([folder, "clear=all"])
    assert "0 entries" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no entry 'x'"):
        cache.main([folder, "clear=x"])
    with pytest.raises(SystemExit):
        cache.main(["all"])

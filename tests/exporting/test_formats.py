"""A file gives what the network gives at sizes it was not traced at, in a program that does not know denseup."""

import contextlib
from pathlib import Path

import pytest
import torch
from exporting.served_tasks import small_matting, whole_task
from processes import python
from torch.export import ExportedProgram

from denseup import list_upsamplers
from denseup.exporting import writing
from denseup.exporting.checking import MismatchError
from denseup.exporting.formats import FORMATS
from denseup.exporting.formats.onnx import OPSET
from denseup.exporting.program import example_inputs, traced
from denseup.exporting.writing import SIZES, export_task
from denseup.tasks import DenseTask

METADATA = {"denseup": "0", "task": "matting", "classes": "null"}
HARD = [*SIZES, (2, 33, 150), (1, 5, 7), (1, 1, 1)]
"""Sizes of few pixels too: less than the network's padding, and than its least side."""


@pytest.fixture(scope="module")
def task() -> DenseTask:
    return small_matting()


@pytest.fixture(scope="module")
def program(task: DenseTask) -> ExportedProgram:
    """Made once for all tests."""
    return traced(task)


@pytest.fixture
def _once(program: ExportedProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "traced", lambda task: program)


def need(format: str) -> None:
    for package in FORMATS[format].NEEDS:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'denseup[onnx]'")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("_once")
def test_any_size(format: str, task: DenseTask, tmp_path: Path) -> None:
    need(format)
    path = tmp_path / f"a model{FORMATS[format].SUFFIX}"
    done = export_task(task, path, format, METADATA, sizes=HARD, timed=((1, 32, 32), 1))
    assert [one.size for one in done.compared] == HARD
    assert set(done.timings) == {"eager", "file"}
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with torch.no_grad():
        alpha = task.serve(*example_inputs(task, (1, 64, 96)))
    assert 0.05 < alpha.std() < 1  # there was something to be wrong in


def test_max_unpooling_in_torchscript(tmp_path: Path) -> None:
    """Whose graph holds NaN and infinity as numbers."""
    task = small_matting("max_unpool")
    done = export_task(task, tmp_path / "model.ts", "torchscript", METADATA, sizes=HARD)
    assert all(one.error < 1e-6 for one in done.compared)


@pytest.mark.usefixtures("_once")
def test_onnx_says_what_it_is(task: DenseTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("onnx")
    import onnx

    with contextlib.suppress(ImportError):  # another version of onnxscript has no such rule
        from onnxscript.rewriter.rules.common import slice_split_rule

        monkeypatch.setattr(slice_split_rule, "match", pytest.fail)  # it goes through the graph at each node
    export_task(task, tmp_path / "model.onnx", "onnx", METADATA)
    model = onnx.load(tmp_path / "model.onnx")
    assert {entry.key: entry.value for entry in model.metadata_props}.items() >= METADATA.items()
    assert [port.name for port in model.graph.input] == ["image", "trimap"]
    assert [port.name for port in model.graph.output] == ["alpha"]
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == OPSET == 18
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [bool(dim.dim_param) for dim in shape] == [True, False, True, True]


LOADED = """
import sys, json
sys.modules["denseup"] = None
import torch
loader, path, key = sys.argv[1:]
files = {"denseup.json": ""}
if loader == "torch_export":
    module = torch.export.load(path, extra_files=files).module()
else:
    module = torch.jit.load(path, _extra_files=files)
inputs = torch.load(key)
torch.save((module(*inputs), json.loads(files["denseup.json"])), key)
"""


@pytest.mark.parametrize("format", ["torch_export", "torchscript"])
@pytest.mark.usefixtures("_once")
def test_it_runs_where_denseup_is_not(format: str, task: DenseTask, tmp_path: Path) -> None:
    path, exchange = tmp_path / f"model{FORMATS[format].SUFFIX}", tmp_path / "tensors.pt"
    export_task(task, path, format, METADATA)
    inputs = example_inputs(task, (2, 41, 56))
    torch.save(inputs, exchange)
    done = python("-c", LOADED, format, str(path), str(exchange))
    assert done.returncode == 0, done.stderr
    came, metadata = torch.load(exchange)
    with torch.no_grad():
        torch.testing.assert_close(came, task.serve(*inputs), rtol=0, atol=1e-4)
    assert metadata == METADATA


@pytest.mark.usefixtures("_once")
def test_a_file_that_is_wrong_is_not_kept(task: DenseTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.ts"
    path.write_text("the one before")
    read = FORMATS["torchscript"].read
    monkeypatch.setattr(FORMATS["torchscript"], "read", lambda path: lambda *x: read(path)(*x) + 1e-3)
    with pytest.raises(
        MismatchError, match=r"differs from the network by 1\.0e-03 at 1 × 64 × 96, .*at most 0\.0001 is allowed"
    ):
        export_task(task, path, "torchscript", METADATA)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["the one before"]


def test_a_format_that_is_none(task: DenseTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="format is 'tflite', valid: onnx, torch_export, torchscript"):
        export_task(task, tmp_path / "x", "tflite", METADATA)
    monkeypatch.setattr(FORMATS["onnx"], "NEEDS", ("no_such_package",))
    with pytest.raises(ValueError, match=r"format=onnx needs no_such_package: pip install 'denseup\[onnx\]'"):
        export_task(task, tmp_path / "x", "onnx", METADATA)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["matting", "segmentation"])
@pytest.mark.parametrize("upsampler", list_upsamplers())
def test_every_upsampler_in_both_networks(
    upsampler: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = whole_task(name, upsampler)
    program = traced(task)
    monkeypatch.setattr(writing, "traced", lambda task: program)
    for format, kind in FORMATS.items():
        need(format)
        export_task(task, tmp_path / f"model{kind.SUFFIX}", format, METADATA, sizes=HARD)

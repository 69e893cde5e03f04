"""YOLO models with rows of denseup's upsamplers: built, trained, saved, loaded elsewhere, exported."""

import copy
import importlib
import pickle
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import python
from torch import Tensor

pytest.importorskip("ultralytics.nn.tasks", reason="ultralytics is not installed: pip install ultralytics")

from ultralytics import YOLO
from ultralytics.nn import tasks
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import ROOT, YAML

import denseup.integrations.ultralytics as door
from denseup import create_upsampler, list_upsamplers, register_upsampler
from denseup.integrations.ultralytics import Upsampling
from denseup.upsamplers import CARAFE, FADE
from denseup.upsamplers.registry import UPSAMPLERS
from examples.yolo_dysample import write_data, write_model

MODELS = {"v8": "cfg/models/v8/yolov8.yaml", "11": "cfg/models/11/yolo11.yaml", "26": "cfg/models/26/yolo26.yaml"}
STEM = [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [32, 3, 2]], [-1, 1, "Conv", [64, 3, 2]]]
UP = 3
"""The index of the row behind the stem: 0 and 1 are layers of strides 2 and 4, of 16 and 32 channels."""


def small(row: list[Any], *behind: list[Any]) -> dict[str, Any]:
    """A model of a stem, these rows, and a head on what comes out."""
    head = [[UP + len(behind)], 1, "Detect", ["nc"]]
    return {"nc": 3, "backbone": copy.deepcopy(STEM), "head": copy.deepcopy([row, *behind, head])}


def built(row: list[Any], *behind: list[Any]) -> Any:
    return DetectionModel(small(row, *behind), verbose=False)


@pytest.mark.parametrize("name", list_upsamplers())
def test_every_upsampler_in_a_row(name: str) -> None:
    source = [-1, 1] if create_upsampler(name, de_channels=32).guided else -1
    same = [-1, 1, "Conv", [32, 1, 1]]  # as many channels as the guide: some operators want that
    if create_upsampler(name, de_channels=32).needs_image:
        with pytest.raises(ValueError, match=rf"row 4 .*'{name}' is guided by the image, which no row gets"):
            built(same, [source, 1, name, []])
        return
    model = built(same, [source, 1, name, []], [-1, 1, "Conv", [64, 1, 1]])
    layer = model.model[4]
    assert isinstance(layer, Upsampling)
    assert type(layer.upsampler) is type(create_upsampler(name, de_channels=32))
    assert (layer.upsampler.de_channels, layer.upsampler.en_channels) == (32, 32)
    assert layer.type == f"denseup.{name}"
    assert float(model.stride[0]) == 4
    assert all(p.requires_grad for p in layer.parameters())


def test_arguments_of_a_row() -> None:
    for arguments, factor, size in (
        ([], 2, 5),
        ([2], 2, 5),
        ([2, {"kernel_size": 3}], 2, 3),
        ([{"kernel_size": 3}], 2, 3),
        ([4, {"kernel_size": 3}, {"groups": 2}], 4, 3),
        ([None, {"kernel_size": 3}], 2, 3),
    ):
        upsampler = built([-1, 1, "carafe", arguments]).model[UP].upsampler
        assert type(upsampler) is CARAFE
        assert (upsampler.scale_factor, upsampler.kernel_size, upsampler.de_channels) == (factor, size, 64)


def test_yaml_writes_options_in_either_way(tmp_path: Path) -> None:
    for text in ("[2, {kernel_size: 3, groups: 2}]", "[2, kernel_size: 3, groups: 2]"):
        (tmp_path / "m.yaml").write_text(f"row: [-1, 1, carafe, {text}]")
        upsampler = built(YAML.load(tmp_path / "m.yaml")["row"]).model[UP].upsampler
        assert (upsampler.kernel_size, upsampler.groups) == (3, 2)


def test_a_guided_row_has_the_channels_of_the_first_and_the_size_of_the_second() -> None:
    model = built([[-1, 1], 1, "fade", []], [[-1, 1], 1, "Concat", [1]])
    layer = model.model[UP]
    assert (layer.upsampler.de_channels, layer.upsampler.en_channels) == (64, 32)
    assert (layer.f, type(layer.f), model.model[-1].f) == ([-1, 1], list, [4])
    assert 1 in model.save
    assert model.model[-1].cv2[0][0].conv.in_channels == 64 + 32
    calls: list[tuple[list[Tensor], Tensor]] = []
    layer.register_forward_hook(lambda _, args, out: calls.append((args[0], out)))
    model.eval()(torch.randn(2, 3, 96, 72))
    (de, en), out = calls[0]
    assert [tuple(x.shape[1:]) for x in (de, en, out)] == [(64, 12, 9), (32, 24, 18), (64, 24, 18)]
    assert out.equal(layer.upsampler(de, en))


def test_rows_with_a_guide_that_only_gives_the_size() -> None:
    model = built([[-1, 0], 1, "dysample", [4]])
    assert float(model.stride[0]) == 2
    assert model.model[UP].upsampler.scale_factor == 4


def test_theirs_and_a_yaml_without_ours_are_as_before() -> None:
    torch.manual_seed(0)
    ours = built([-1, 1, "nn.Upsample", [None, 2, "nearest"]])
    torch.manual_seed(0)
    row = [-1, 1, "nn.Upsample", [None, 2, "nearest"]]
    layers, kept = tasks.parse_model.__wrapped__(small(row), ch=3, verbose=False)
    assert ours.save == kept
    assert [type(layer) for layer in ours.model] == [type(layer) for layer in layers]
    assert ours.model[0].conv.weight.equal(layers[0].conv.weight)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([-1, 1, "fade", []], "-1, 1, fade, []]: 'fade' is guided: it needs a second input"),
        ([-1, 1, "carafe", [2, {"kernelsize": 3}]], "no option 'kernelsize'. Did you mean 'kernel_size'?"),
        ([-1, 1, "carafe", [2, {"kernel_size": 4}]], "-1, 1, carafe, [2, {'kernel_size': 4}]]: kernel_size is 4"),
        ([-1, 1, "carafe", [None, 2, "nearest"]], "arguments are [], [factor], [factor, {option: value, …}]"),
        ([-1, 1, "carafe", ["2x"]], "arguments are []"),
        ([-1, 1, "carafe", [0]], "scale_factor is 0"),
        ([-1, 1, "carafe", [{"de_channels": 8}]], "de_channels is not an option of a row"),
        ([-1, 2, "carafe", [2]], "is not repeated, but the second entry is 2"),
        ([[-1, 1, 0], 1, "fade", []], "one input, or two with a guide, not 3"),
        ([[-1, 7], 1, "fade", []], "there are 3 layers before it, but its inputs are [-1, 7]"),
        ([[-1, 0], 1, "fade", []], "its inputs are (32, 32) and (128, 128) in size, expected the second to be 2 times"),
        ([[-1, 1], 1, "fade", [4]], "expected the second to be 4 times the first"),
        ([-1, 1, "dysampel", [2]], "'dysampel' is neither a module of ultralytics nor an upsampler of denseup. Did"),
    ],
)
def test_mistakes_name_the_row(row: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=rf"^row 3 of the model, \[.*{re.escape(words)}"):
        built(row)


def test_a_name_of_theirs_is_theirs_and_the_full_one_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UPSAMPLERS, "factories", dict(UPSAMPLERS.factories))
    register_upsampler("Index")(CARAFE)  # ultralytics has a module of this name
    register_upsampler("later")(FADE)
    assert type(built([-1, 1, "denseup.Index", [2]]).model[UP].upsampler) is CARAFE
    assert type(built([[-1, 1], 1, "later", []]).model[UP].upsampler) is FADE
    assert door.parsing._translated(3, [-1, 1, "Index", [64, 0]]) == [-1, 1, "Index", [64, 0]]


def test_a_reload_changes_nothing() -> None:
    theirs = tasks.parse_model.__wrapped__
    importlib.reload(door)
    assert tasks.parse_model.__wrapped__ is theirs
    assert not hasattr(theirs, "denseup")
    assert type(built([-1, 1, "carafe", [2]]).model[UP].upsampler) is CARAFE


def test_what_a_model_is_put_through() -> None:
    model = built([[-1, 1], 1, "fade", []]).eval()
    x = torch.rand(1, 3, 64, 96)
    expected = model(x)[0]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin(x)[0].equal(expected)
    assert len(model.info(detailed=True)) == 4
    assert model.info()[1] == sum(p.numel() for p in model.parameters())
    fused = copy.deepcopy(model).fuse(verbose=False)
    torch.testing.assert_close(fused(x)[0], expected, rtol=1e-3, atol=1e-3)
    for dtype in (torch.bfloat16, torch.float16):
        out = copy.deepcopy(model).to(dtype)(x.to(dtype))[0]
        assert out.dtype is dtype
        assert out.isfinite().all()


@pytest.mark.parametrize(
    "source", ["v8/yolov8-seg", "11/yolo11-pose", "26/yolo26-obb", "26/yolo26-p2", "26/yolo26-sem"]
)
def test_other_heads(source: str, tmp_path: Path) -> None:
    model = YAML.load(ROOT / f"cfg/models/{source}.yaml")
    replaced = 0
    for row, joined in pairwise(model["head"]):
        if row[2] == "nn.Upsample":
            row[:] = [[-1, joined[0][1]], 1, "fade_lite", [2]]
            replaced += 1
    YAML.save(tmp_path / f"{Path(source).name}.yaml", model)
    network = YOLO(tmp_path / f"{Path(source).name}.yaml").model
    assert sum(isinstance(layer, Upsampling) for layer in network.model) == replaced >= 2
    network.eval()(torch.rand(1, 3, 64, 128))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), images=4, size=64)


@pytest.mark.parametrize("version", MODELS)
def test_two_steps_of_training_and_what_follows(version: str, data: Path, tmp_path: Path) -> None:
    """Its yaml with both up-sampling rows replaced: trained, saved, loaded in another process, predicting, exported."""
    rows = [row[2] for row in YAML.load(ROOT / MODELS[version])["head"]]
    path = write_model(tmp_path / f"yolo{version}n.yaml", MODELS[version])
    model = YOLO(path)
    before = {key: value.clone() for key, value in model.model.state_dict().items()}
    assert [layer.row.name for layer in model.model.modules() if isinstance(layer, Upsampling)] == ["dysample", "fade"]
    assert rows.count("nn.Upsample") == 2
    model.train(
        data=data, epochs=1, batch=2, imgsz=64, workers=0, plots=False, amp=False, val=False, device="cpu",
        project=tmp_path, name="run", verbose=False, warmup_epochs=0, optimizer="SGD", lr0=0.01,
    )  # fmt: skip
    weights = tmp_path / "run" / "weights" / "last.pt"
    trained = YOLO(weights)
    after = trained.model.state_dict()
    moved = [key for key in before if ".upsampler." in key and not torch.equal(before[key], after[key].float())]
    assert any(".gate." in key for key in moved)
    assert any(".offset." in key for key in moved)
    image = np.random.default_rng(0).integers(0, 255, (96, 160, 3), dtype=np.uint8)
    (result,) = trained.predict(image, imgsz=(96, 160), conf=0.0, verbose=False)
    assert np.isfinite(result.boxes.data.numpy()).all()
    _check_exports(trained, (96, 64))
    _check_in_another_process(weights, trained)


def _check_exports(trained: Any, size: tuple[int, int]) -> None:
    """The files compute what the model does."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'denseup[onnx]'")
    x = torch.rand(1, 3, *size)
    network = copy.deepcopy(trained.model).float().eval()
    head = network.model[-1]
    head.export, head.format = True, "onnx"
    with torch.no_grad():
        expected = network.fuse(verbose=False)(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    session = onnxruntime.InferenceSession(trained.export(format="onnx", imgsz=size, simplify=False))
    (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    traced = torch.jit.load(trained.export(format="torchscript", imgsz=size))
    assert "denseup::" not in str(traced.inlined_graph)  # so that it runs where denseup is not
    for found in (torch.from_numpy(out), traced(x)):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def _check_in_another_process(weights: Path, trained: Any) -> None:
    """A checkpoint brings the import with it."""
    x = torch.rand(1, 3, 64, 64)
    torch.save(x, weights.parent / "x.pt")
    code = f"""
import torch
from ultralytics import YOLO
model = YOLO({str(weights)!r}).model.float().eval()
torch.save(model(torch.load({str(weights.parent / "x.pt")!r}))[0], {str(weights.parent / "y.pt")!r})
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        expected = copy.deepcopy(trained.model).float().eval()(x)[0]
    torch.testing.assert_close(torch.load(weights.parent / "y.pt"), expected)

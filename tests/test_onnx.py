"""Everything that upsamples goes through `torch.onnx.export`, and onnxruntime computes the same at any size."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from upsamplers.stages import FEWER, Stage

from denseup import create_upsampler, list_upsamplers
from denseup.networks import MattingNetwork, MattingResNet34, SegFormer
from denseup.ops import decomposition_table

pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'denseup[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'denseup[onnx]'")

CHANNELS = 32  # which A2U's group norm divides


def export(module: nn.Module, x: Tensor, path: Path, *, dims: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """Export for any size of these dimensions; what onnxruntime computes by it."""
    dynamic = dict.fromkeys(dims, torch.export.Dim.DYNAMIC)
    torch.onnx.export(module, (x,), path, dynamo=True, verbose=False, dynamic_shapes=(dynamic,))
    session = onnxruntime.InferenceSession(path)
    (argument,) = session.get_inputs()
    return lambda x: torch.from_numpy(session.run(None, {argument.name: x.numpy()})[0])


def stages() -> Iterator[object]:
    """Every upsampler, with less of the same where it has much of it; as published it takes long."""
    for name in list_upsamplers():
        yield pytest.param(name, FEWER.get(name, {}), id=name)
        if name in FEWER:
            yield pytest.param(name, {}, marks=pytest.mark.slow, id=f"the whole of {name}")


@pytest.mark.parametrize(("name", "options"), stages())
def test_stage(name: str, options: dict[str, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    upsampler = create_upsampler(name, de_channels=CHANNELS, **options)
    stage = Stage(upsampler).eval()
    exact = bool(upsampler.exact_factor_only)
    example = torch.randn(2, CHANNELS, *((12, 16) if exact else (13, 17)))
    exported = export(stage, example, tmp_path / "stage.onnx", dims=(0, 2, 3))
    for height, width in ((12, 16), (8, 30)) if exact else ((13, 17), (14, 20), (9, 12)):
        x = torch.randn(height % 3 + 1, CHANNELS, height, width)
        with torch.no_grad():
            expected = stage(x)
        torch.testing.assert_close(exported(x), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", list_upsamplers())
@pytest.mark.filterwarnings("ignore")  # that sizes become constants, and that this exporter has a successor
def test_stage_by_the_exporter_that_traces(name: str, tmp_path: Path) -> None:
    """`dynamo=False`, which other libraries call: for the sizes of the example."""
    torch.manual_seed(0)
    upsampler = create_upsampler(name, de_channels=CHANNELS)
    stage, x = (
        Stage(upsampler).eval(),
        torch.randn(2, CHANNELS, *((12, 16) if upsampler.exact_factor_only else (13, 17))),
    )
    torch.onnx.export(stage, (x,), tmp_path / "stage.onnx", dynamo=False, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "stage.onnx")
    (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        expected = stage(x)
    torch.testing.assert_close(torch.from_numpy(out), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


SHORT: dict[str, Any] = {"name": "resnet34", "depths": [1, 1, 1], "width": 16}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "matting": (lambda: MattingNetwork(SHORT, "fade"), 4),
    "segmentation": (lambda: SegFormer("b0", 5, "fade", backbone={"depths": [1, 1, 1, 1]}), 3),
}
"""With one block a layer. An RGB encoder under the matting decoder is exported by the README's commands too."""
WHOLE: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "ResNet-34": (lambda: MattingResNet34(upsampler="fade"), 4),
    "Lite0": (lambda: MattingNetwork({"name": "lite0", "in_channels": 3}, "fade", width=8), 4),
    "SegFormer": (lambda: SegFormer("b0", 5, "fade"), 3),
}


def networks() -> Iterator[object]:
    for marks, named in (((), NETWORKS), (pytest.mark.slow, WHOLE)):
        for name, (network, channels) in named.items():
            yield pytest.param(network, channels, marks=marks, id=name)


@pytest.mark.parametrize(("network", "channels"), networks())
def test_network(network: Callable[[], nn.Module], channels: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = network().eval()
    exported = export(module, torch.randn(1, channels, 64, 96), tmp_path / "network.onnx", dims=(2, 3))
    for size in ((64, 96), (67, 71), (96, 50)):
        x = torch.randn(1, channels, *size)
        with torch.no_grad():
            out = module(x).double()
            expected = copy.deepcopy(module).double()(x.double())
        # A network multiplies rounding errors up, torch's as well: onnxruntime's are to be of the same size.
        rounding = max((out - expected).abs().max(), 1e-4 * expected.abs().max())
        assert (exported(x) - expected).abs().max() <= 4 * rounding


@pytest.mark.parametrize("name", ["fade", "sapa", "a2u", "dysample"])
def test_a_program_that_holds_the_operators(name: str, tmp_path: Path) -> None:
    """What `torch.export.export` makes is taken apart by the table that `run_decompositions` is given."""
    stage = Stage(create_upsampler(name, de_channels=CHANNELS)).eval()
    x = torch.randn(2, CHANNELS, 13, 17)
    with torch.no_grad():
        expected = stage(x)
    program = torch.export.export(stage, (x,))
    assert "denseup" in str(program.graph)
    program = program.run_decompositions({**torch.export.default_decompositions(), **decomposition_table()})
    assert "denseup" not in str(program.graph)
    torch.onnx.export(program, f=tmp_path / "stage.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "stage.onnx")
    (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(out), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))

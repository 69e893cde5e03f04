"""Everything that upsamples goes through `torch.onnx.export`, and onnxruntime computes what it computes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from denseup import Upsampler, create_upsampler, list_upsamplers
from denseup.networks import MattingResNet34, SegFormer

pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'denseup[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'denseup[onnx]'")

CHANNELS = 32  # which A2U's group norm divides


class Stage(nn.Module):
    """Down-sampling and upsampling of one stage, as a network calls them."""

    def __init__(self, upsampler: Upsampler) -> None:
        super().__init__()
        self.upsampler = upsampler

    def forward(self, en: Tensor) -> Tensor:
        de, state = self.upsampler.downsample(en)
        out: Tensor = self.upsampler(de, self.upsampler.skip(en, state), state=state)
        return out


def assert_onnxruntime_computes_the_same(module: nn.Module, x: Tensor, folder: Path) -> None:
    module.eval()
    torch.onnx.export(module, (x,), folder / "module.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(folder / "module.onnx")
    (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        expected = module(x)
    torch.testing.assert_close(torch.from_numpy(out), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", list_upsamplers())
def test_stage(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    upsampler = create_upsampler(name, de_channels=CHANNELS)
    size = (12, 16) if upsampler.exact_factor_only else (13, 17)
    assert_onnxruntime_computes_the_same(Stage(upsampler), torch.randn(1, CHANNELS, *size), tmp_path)


def test_matting_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = MattingResNet34(upsampler="fade")
    assert_onnxruntime_computes_the_same(network, torch.randn(1, 4, 64, 96), tmp_path)


def test_segformer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SegFormer(variant="b0", num_classes=5, upsampler="fade")
    assert_onnxruntime_computes_the_same(network, torch.randn(1, 3, 64, 96), tmp_path)

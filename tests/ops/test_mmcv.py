"""The mmcv back end with a stand-in for mmcv's compiled operators: what is passed to them, and what comes of it.

The stand-in follows the signatures of mmcv 2.2 (`mmcv/ops/carafe.py`) and computes with the reference.
"""

import sys
from types import ModuleType

import pytest
import torch
from rounding import check_sums
from torch import Tensor

from denseup.ops import resize_nearest
from denseup.ops.reassembly import mmcv as mmcv_backend
from denseup.ops.reassembly import reference


def nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Reads and writes plain memory as the CUDA operator does: inputs in NCHW, scratch resized to NHWC."""
    assert all(x.is_contiguous() for x in (features, masks, output))
    assert tuple(masks.shape[2:]) == tuple(side * scale_factor for side in features.shape[2:])
    for scratch, source in ((rfeatures, features), (rmasks, masks), (routput, output)):
        scratch.resize_(nhwc(source).shape).copy_(nhwc(source))
    output.copy_(reference.reassemble(features, masks, kernel_size, group_size))


def carafe_backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    assert all(x.is_contiguous() for x in (top_grad, rfeatures, masks, bottom_grad, mask_grad))
    batch, channels, height, width = bottom_grad.shape
    assert tuple(top_grad.shape[2:]) == (height * scale_factor, width * scale_factor)
    assert rfeatures.shape == (batch, height, width, channels)
    scratch = (rtop_grad, rbottom_grad_hs, rbottom_grad, rmask_grad)
    for space, source in zip(scratch, (top_grad, top_grad, bottom_grad, mask_grad), strict=True):
        assert space.numel() == source.numel()
        space.resize_(nhwc(source).shape)
    assert len({x.data_ptr() for x in (top_grad, rfeatures, masks, *scratch, bottom_grad, mask_grad)}) == 9
    features = rfeatures.permute(0, 3, 1, 2)
    bottom_grad.copy_(reference.adjoint(top_grad, masks, kernel_size, group_size, (height, width)))
    mask_grad.copy_(reference.similarity(top_grad, features, kernel_size, group_size))


@pytest.fixture
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    package, extension = ModuleType("mmcv"), ModuleType("mmcv._ext")
    package.__path__ = []
    extension.carafe_forward = carafe_forward
    extension.carafe_backward = carafe_backward
    monkeypatch.setitem(sys.modules, "mmcv", package)
    monkeypatch.setitem(sys.modules, "mmcv._ext", extension)


def maps(layout: torch.memory_format) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    shapes = (2, 6, 3, 4), (2, 18, 9, 12), (2, 6, 9, 12), (2, 1, 3, 4)
    de, kernels, en, gate = (torch.randn(shape).to(memory_format=layout) for shape in shapes)
    return de, kernels, en, gate.sigmoid()


@pytest.mark.usefixtures("_stand_in")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_contractions(layout: torch.memory_format) -> None:
    de, kernels, grad, _ = maps(layout)
    check_sums(mmcv_backend.reassemble(de, kernels, 3, 2), reference.reassemble(de, kernels, 3, 2), "out")
    check_sums(mmcv_backend.adjoint(grad, kernels, 3, 2, (3, 4)), reference.adjoint(grad, kernels, 3, 2, (3, 4)), "de")
    check_sums(mmcv_backend.similarity(grad, de, 3, 2), reference.similarity(grad, de, 3, 2), "kernels")


@pytest.mark.usefixtures("_stand_in")
@pytest.mark.parametrize("gated", [False, True])
def test_fused_and_its_gradients(gated: bool) -> None:
    de, logits, en, gate = (x.requires_grad_() for x in maps(torch.contiguous_format))
    kernels = logits.unflatten(1, (2, -1)).softmax(2).flatten(1, 2)
    windows = torch.nn.functional.unfold(de, 3, padding=1).unflatten(1, (2, 3, 9)).unflatten(-1, (3, 4))
    windows = windows.repeat_interleave(3, -2).repeat_interleave(3, -1)
    expected = (windows * kernels.unflatten(1, (2, 1, 9))).sum(3).flatten(1, 2)
    inputs = (de, logits)
    if gated:
        g = resize_nearest(gate, (9, 12))
        expected, inputs = g * en + (1 - g) * expected, (de, logits, en, gate)
    guide = (en.detach(), gate.detach()) if gated else (None, None)
    arguments = (de.detach(), logits.detach(), *guide, 3, 2)
    check_sums(mmcv_backend.softmax_reassemble(*arguments), expected.detach(), "out", 8)
    grad = torch.randn_like(expected)
    actual = mmcv_backend.softmax_reassemble_backward(grad, *arguments)
    for ours, theirs in zip(actual, torch.autograd.grad(expected, inputs, grad), strict=False):
        check_sums(ours, theirs, "gradient", 8)
    assert [x is None for x in actual] == [False, False, not gated, not gated]


@pytest.mark.usefixtures("_stand_in")
@pytest.mark.parametrize("high", [(9, 8), (7, 8), (6, 9)])
def test_a_ratio_that_is_not_one_integer_is_refused(high: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"cannot go from \(3, 4\)"):
        mmcv_backend.reassemble(torch.randn(1, 2, 3, 4), torch.randn(1, 9, *high), 3, 1)


@pytest.mark.parametrize(
    ("de", "kernel_size", "groups", "words"),
    [
        (torch.empty(1, 4, 3, 3), 3, 1, "on 'cpu'"),
        (torch.empty(1, 4, 3, 3, dtype=torch.bfloat16), 3, 1, "bfloat16"),
        (torch.empty(1, 4, 3, 3), 2, 1, "kernel_size is 2"),
        (torch.empty(1, 4, 3, 3), 3, 3, "groups is 3"),
        (torch.empty(1, 4, 3, 3), 21, 1, "441"),
        (torch.empty(1, 4, 3, 3).to(memory_format=torch.channels_last), 3, 1, "NCHW"),
    ],
)
def test_unsupported_reasons(de: Tensor, kernel_size: int, groups: int, words: str) -> None:
    assert any(words in reason for reason in mmcv_backend.unsupported_reasons(de, kernel_size, groups))


@pytest.mark.usefixtures("_stand_in")
def test_the_extension_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    assert mmcv_backend._has_extension()
    for name in ("mmcv", "mmcv._ext"):
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "mmcv").mkdir()
    (tmp_path / "mmcv" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert not mmcv_backend._has_extension()  # as in mmcv-lite
    (tmp_path / "mmcv" / "_ext.py").touch()
    assert mmcv_backend._has_extension()
    monkeypatch.setitem(sys.modules, "mmcv", None)
    assert not mmcv_backend._has_extension()

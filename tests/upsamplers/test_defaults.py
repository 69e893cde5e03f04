"""torch's default dtype and device are for what a user makes; what is computed of given maps does not go by them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from upsamplers.stages import FEWER, Stage

from denseup import create_upsampler, list_upsamplers
from denseup.losses import matting_loss, segmentation_loss
from denseup.networks import MattingNetwork, SegFormer
from denseup.tasks.logits import resized

CHANNELS = 16
DTYPES = (torch.float64, torch.bfloat16, torch.float16)
LAYOUTS = (torch.contiguous_format, torch.channels_last)
NAMES = list_upsamplers()


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def build(name: str, start: str = "published") -> Stage:
    torch.manual_seed(0)
    return Stage(create_upsampler(name, de_channels=CHANNELS, start=start, **FEWER.get(name, {}))).eval()


def example(layout: torch.memory_format = torch.contiguous_format, channels: int = CHANNELS) -> Tensor:
    x = torch.randn(2, channels, 12, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    return x.contiguous(memory_format=layout)


def results(function: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """Output and gradient, and the output where no gradient is asked for."""
    leaf = x.detach().requires_grad_()
    out = function(leaf)
    (gradient,) = torch.autograd.grad(out.square().sum(), leaf)
    with torch.no_grad():
        return [out.detach(), gradient, function(x)]


def check(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_default_dtypes(name: str, layout: torch.memory_format, dtype: torch.dtype) -> None:
    stage, x = build(name), example(layout)
    expected = results(stage, x)
    with default_dtype(dtype):
        check(results(stage, x), expected)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_default_devices(name: str, layout: torch.memory_format) -> None:
    stage, x = build(name), example(layout)
    expected = results(stage, x)
    with torch.device("meta"):
        check(results(stage, x), expected)


@pytest.mark.parametrize("start", ["published", "neutral"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_has_them(name: str, start: str) -> None:
    """Weights of the default dtype, on the default device."""
    with torch.device("meta"):
        assert all(p.is_meta for p in build(name, start).parameters())
    for dtype in DTYPES:
        with default_dtype(dtype):
            stage = build(name, start)
            out = stage(example().to(dtype))
        assert {p.dtype for p in stage.parameters()} <= {dtype}
        assert out.dtype == dtype
        assert out.isfinite().all()


MADE: dict[str, Callable[[], nn.Module]] = {
    "matting": lambda: MattingNetwork({"name": "resnet34", "depths": [1, 1, 1], "width": 16}, "fade"),
    "segmentation": lambda: SegFormer("b0", 5, "fade", backbone={"depths": [1, 1, 1, 1]}),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("task", MADE)
def test_networks_and_losses(task: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = MADE[task]().eval()
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(2, 4 if task == "matting" else 3, 64, 96, generator=generator)
    alpha, labels = x[:, :1].clone(), (5 * x[:, 0]).long()

    def loss(x: Tensor) -> Tensor:
        out = network(x)
        if task == "segmentation":
            return segmentation_loss(out, labels)
        colours = x[:, :3]
        return matting_loss(out, alpha, torch.ones_like(alpha), (colours, colours.flip(2), colours.flip(3)))

    expected = results(loss, x)
    with default_dtype(dtype):
        check(results(loss, x), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_logits_in_strips(dtype: torch.dtype) -> None:
    logits = example(channels=3)
    expected = torch.cat(list(resized(logits, (3000, 16), 16)), 2)
    with default_dtype(dtype):
        assert torch.equal(torch.cat(list(resized(logits, (3000, 16), 16)), 2), expected)

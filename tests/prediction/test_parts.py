"""Predictions in parts are those of the whole, at any size; and keep to the memory."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from denseup.networks import MattingNetwork, SegmentationNetwork
from denseup.prediction import Predictor, predictor
from denseup.prediction.memory import parse_memory
from denseup.prediction.reach import measure_reach
from denseup.prediction.sample import Sample
from denseup.tasks import DenseTask, MattingTask, SegmentationTask
from denseup.upsamplers import upsampler_factory

SMALL_RESNET = {"name": "resnet34", "width": 8, "depths": (1, 1, 1)}
CLOSE = 1e-4
"""Of alpha: a fortieth of an 8-bit level; another order of sums in float32 leaves some 1e-5."""


def matting(upsampler: str, encoder: dict[str, Any] = SMALL_RESNET) -> DenseTask:
    """Of random weights that give alphas between 0 and 1, and positions of DySample near those of interpolation."""
    torch.manual_seed(1)
    options = {} if encoder is SMALL_RESNET else {"in_channels": 4, "width": 8}
    network = MattingNetwork(encoder, upsampler_factory(upsampler, start="neutral"), **options).eval()
    with torch.no_grad():
        last = network.head.get_parameter("3.weight")
        last /= 4 * network(torch.randn(1, 4, 256, 256)).std()
    return MattingTask(network).eval()


def segmentation(upsampler: str) -> DenseTask:
    """Of random weights, with the classes in balance."""
    torch.manual_seed(1)
    network = SegmentationNetwork({"name": "lite0"}, 5, upsampler, embed_dim=16).eval()
    with torch.no_grad():
        logits = network(torch.randn(1, 3, 512, 64))
        network.head.classify.bias -= logits.mean((0, 2, 3))
        network.head.classify.bias /= logits.std()
        network.head.classify.weight /= logits.std()
    return SegmentationTask(network, num_classes=5, class_names=tuple("abcde")).eval()


def sample(task: DenseTask, size: tuple[int, int]) -> Sample:
    rng = np.random.default_rng(0)
    trimap = np.where(rng.random(size) < 0.9, 128, 255).astype(np.uint8)
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    return Sample(image, {"trimap": trimap} if task.prompts else {})


def in_parts(
    task: DenseTask, one: Sample, pixels: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[np.ndarray, list[int], Predictor]:
    """Values with memory for so many pixels, and the pixels that each call of the network saw."""
    made = Predictor(task)
    room = pixels * made._bytes("whole") + 8 * one.size[0] * one.size[1]
    monkeypatch.setattr(predictor, "free_memory", lambda memory, device: room)
    seen: list[int] = []
    whole = type(task).run_network

    def counted(self: DenseTask, x: torch.Tensor) -> torch.Tensor:
        seen.append(x.shape[2] * x.shape[3])
        return whole(self, x)

    monkeypatch.setattr(type(task), "run_network", counted)
    return made(one.image, one.prompts).values, seen, made


def whole(task: DenseTask, one: Sample) -> np.ndarray:
    with torch.no_grad():
        return task.values(one.batch(torch.device("cpu")))[0].numpy()


@pytest.mark.parametrize(
    ("upsampler", "size"),
    [
        ("fade", (480, 512)),
        ("fade", (437, 390)),
        ("dysample", (437, 390)),
        ("indexnet", (401, 480)),
        ("max_unpool", (437, 390)),
    ],
)
def test_mattes(upsampler: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    task = matting(upsampler)
    one = sample(task, size)
    expected = whole(task, one)
    values, seen, _ = in_parts(task, one, 140_000, monkeypatch)
    assert len(seen) > 4
    assert max(seen[1:]) <= 140_000 * 2.5  # the deep maps take less memory a pixel
    assert np.abs(values - expected).max() < CLOSE
    assert expected.std() > 0.1


@pytest.mark.parametrize("length", [1664, 1649])
def test_mattes_of_the_quick_network(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose encoder looks 448 pixels far, and whose deepest map may be odd."""
    task = matting("fade", {"name": "lite0", "in_channels": 3})
    one = sample(task, (length, 48))
    expected = whole(task, one)
    values, seen, made = in_parts(task, one, 1100 * 48, monkeypatch)
    assert (made.reach.deep, made.reach.direct) == (448, 160)
    assert len(seen) > 3
    assert np.abs(values - expected).max() < CLOSE


@pytest.mark.parametrize("upsampler", ["carafe", "a2u"])
@pytest.mark.parametrize("size", [(1664, 64), (1611, 57)])
def test_label_maps(upsampler: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the head as a whole, any upsampler and size: not one pixel differs but where two classes are equal."""
    task = segmentation(upsampler)
    one = sample(task, size)
    expected = whole(task, one)
    values, seen, made = in_parts(task, one, int(0.85 * size[0] * size[1]), monkeypatch)
    assert made.reach.maps == 448
    assert len(seen) > 2
    assert (values != expected).mean() < 1e-3
    assert len(np.unique(expected)) > 2


def test_label_maps_where_not_even_the_head_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = predictor.measure_reach
    monkeypatch.setattr(predictor, "measure_reach", lambda *given: replace(measured(*given), maps=None))
    task = segmentation("fade")
    one = sample(task, (1920, 64))
    expected = whole(task, one)
    values, seen, made = in_parts(task, one, 1300 * 64, monkeypatch)
    assert made.reach.direct == 576
    assert max(seen) <= 1300 * 64
    assert (values != expected).mean() < 1e-3


def test_too_small_a_halo_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    task = matting("fade")
    one = sample(task, (480, 512))
    reach = measure_reach(task.network, 4)
    monkeypatch.setattr(predictor, "measure_reach", lambda *_: type(reach)(reach.step, 0, 0))
    values, _, _ = in_parts(task, one, 100_000, monkeypatch)
    assert np.abs(values - whole(task, one)).max() > 100 * CLOSE


def test_a_network_that_is_not_local_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    task = matting("a2u", {"name": "lite0", "in_channels": 3})
    one = sample(task, (1664, 48))
    with pytest.warns(UserWarning, match="image: predicted in parts.*every pixel has a say everywhere"):
        values, _, made = in_parts(task, one, 1200 * 48, monkeypatch)
    assert made.reach.direct is None
    assert values.shape == one.size
    assert np.isfinite(values).all()
    assert np.abs(values - whole(task, one)).mean() < 0.05


def test_what_is_known_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    task = matting("bilinear")
    one = sample(task, (480, 512))
    one.prompts["trimap"][:] = 255
    one.prompts["trimap"][:, :100] = 0
    values, seen, _ = in_parts(task, one, 140_000, monkeypatch)
    assert np.array_equal(values, one.prompts["trimap"] / np.float32(255))
    assert sum(seen[1:]) < 3 * 480 * 512  # the deep maps alone


def test_too_little_memory_is_an_error_that_says_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    task = matting("bilinear")
    one = sample(task, (600, 600))
    with pytest.raises(ValueError, match=r"memory is 4 GiB, expected at least [\d.]+ GiB with this network"):
        in_parts(task, one, 5_000, monkeypatch)


class Blur(nn.Module):
    """A network of one's own, without encoder: looks 3 pixels far."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 1, 7, padding=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def test_a_network_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    task = MattingTask(Blur()).eval()
    one = sample(task, (257, 301))
    expected = whole(task, one)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values, seen, made = in_parts(task, one, 20_000, monkeypatch)
    assert made.reach.direct == 32
    assert len(seen) > 4
    assert np.abs(values - expected).max() < CLOSE


@pytest.mark.parametrize(
    ("text", "value"), [("4GiB", 4 << 30), ("800MiB", 800 << 20), ("2 GB", 2 << 30), (1000, 1000), ("1.5G", 3 << 29)]
)
def test_memory(text: str | int, value: int) -> None:
    assert parse_memory(text) == value


@pytest.mark.parametrize("text", ["much", "-3GiB", 0, True, None])
def test_memory_that_is_none(text: object) -> None:
    with pytest.raises(ValueError, match=r"memory is .*, expected a size such as 4GiB"):
        parse_memory(text)

"""Windows, tiles and several views are what their definitions say, and the whole image where they must be."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.evaluation import EvaluationSettings, Way
from denseup.evaluation.sliding import sliding_scores, window_starts
from denseup.evaluation.tiling import Tiles
from denseup.networks import MattingNetwork, SegmentationNetwork
from denseup.tasks import DenseTask, MattingTask, SegmentationTask

EPS = torch.finfo(torch.float32).eps
CLASSES = 3


class Local(nn.Module):
    """Looks `reach` pixels far: means over windows, then numbers of each pixel alone; at stride 4 if asked."""

    def __init__(self, channels: int, classes: int, reach: int = 2, stride: int = 1) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, classes, 1)
        self.reach, self.stride = reach, stride

    def forward(self, x: Tensor) -> Tensor:
        side = 2 * self.reach + 1
        y = F.avg_pool2d(x, side, 1, self.reach, count_include_pad=False)
        return self.mix(F.avg_pool2d(y, self.stride, ceil_mode=True) if self.stride > 1 else y)


def a_task(kind: str, **options: Any) -> DenseTask:
    torch.manual_seed(1)
    if kind == "matting":
        return MattingTask(Local(4, 1, **options), stride=4).eval()
    return SegmentationTask(Local(3, CLASSES, **options), num_classes=CLASSES).eval()


def a_batch(height: int, width: int, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    trimap = torch.tensor([0, 128, 255], dtype=torch.uint8)[
        torch.randint(3, (1, 1, height, width), generator=generator)
    ]
    return {
        "image": torch.rand(1, 3, height, width, generator=generator),
        "trimap": trimap,
        "alpha": trimap,
        "label": torch.randint(CLASSES, (1, height, width), generator=generator),
        "name": ["image"],
    }


def the_same(task: DenseTask, way: Way, batch: dict[str, Any]) -> None:
    """Predictions that differ in rounding alone: a level of alpha at most, or a class where two are as likely."""
    with torch.no_grad():
        expected, found = task.predict(batch), way(batch)
        scores = F.interpolate(task.scores(batch), expected.shape[1:], mode="bilinear")
    if task.values_are_classes:
        best = scores.topk(2, 1).values
        clear = best[:, 0] - best[:, 1] > 64 * EPS * scores.abs().max()
        assert clear.float().mean() > 0.9
        assert torch.equal(found[clear], expected[clear])
    else:
        assert (found.int() - expected.int()).abs().max() <= 1


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize(
    ("length", "crop", "stride", "starts"),
    [
        (10, 4, 3, [0, 3, 6]),
        (11, 4, 3, [0, 3, 6, 7]),  # the last one ends with the image
        (4, 4, 1, [0]),
        (3, 4, 2, [0]),  # no longer than the window
        (1, 1, 1, [0]),
        (5, 1, 1, [0, 1, 2, 3, 4]),
    ],
)
def test_windows_begin_where_mmsegmentation_puts_them(length: int, crop: int, stride: int, starts: list[int]) -> None:
    assert window_starts(length, crop, stride) == starts
    covered = {pixel for start in starts for pixel in range(start, min(start + crop, length))}
    assert covered == set(range(length))


@pytest.mark.parametrize("kind", ["matting", "segmentation"])
@pytest.mark.parametrize("size", [(23, 31), (9, 40), (5, 5), (1, 1)])
@pytest.mark.parametrize("stride", [1, 4])
def test_sliding_is_its_definition(kind: str, size: tuple[int, int], stride: int) -> None:
    """Each pixel: the mean of what the windows that see it say of it, each at its own size."""
    task, batch = a_task(kind, stride=1 if kind == "matting" else stride), a_batch(*size)
    crop, step = (8, 12), (5, 7)
    found = sliding_scores(task, batch, crop, step)
    said: dict[tuple[int, int], list[Tensor]] = {}
    for top in window_starts(size[0], crop[0], step[0]):
        for left in window_starts(size[1], crop[1], step[1]):
            window = {key: batch[key][..., top : top + crop[0], left : left + crop[1]] for key in ("image", "trimap")}
            scores = task.scores(window)
            scores = F.interpolate(scores, window["image"].shape[2:], mode="bilinear")
            for (y, x), _ in np.ndenumerate(scores[0, 0].numpy()):
                said.setdefault((top + y, left + x), []).append(scores[0, :, y, x])
    if found.shape[2:] != size:  # one window: as it comes
        found = F.interpolate(found, size, mode="bilinear")
    for (y, x), values in said.items():
        torch.testing.assert_close(found[0, :, y, x], torch.stack(values).mean(0), rtol=16 * EPS, atol=16 * EPS)
    assert len(said) == size[0] * size[1]


@pytest.mark.parametrize("kind", ["matting", "segmentation"])
def test_a_window_as_large_as_the_image_is_the_whole_image(kind: str) -> None:
    task, batch = a_task(kind, stride=1 if kind == "matting" else 4), a_batch(23, 31)
    way = Way(task, EvaluationSettings(view="slide", crop=[23, 31]))
    assert torch.equal(way(batch), task.predict(batch))
    larger = Way(task, EvaluationSettings(view="slide", crop=64, stride=10))
    assert torch.equal(larger(batch), task.predict(batch))


def test_windows_of_a_network_of_single_pixels_are_the_whole_image() -> None:
    task = a_task("segmentation", reach=0)
    the_same(task, Way(task, EvaluationSettings(view="slide", crop=8, stride=3)), a_batch(23, 31))


@pytest.mark.parametrize("kind", ["matting", "segmentation"])
@pytest.mark.parametrize("size", [(70, 101), (64, 96), (33, 32), (1, 97), (1, 1)])
@pytest.mark.parametrize("stride", [1, 4])
def test_tiles_that_see_enough_are_the_whole_image(kind: str, size: tuple[int, int], stride: int) -> None:
    task, batch = a_task(kind, stride=1 if kind == "matting" else stride), a_batch(*size)
    for overlap in (None, 3):
        the_same(task, Way(task, EvaluationSettings(view="tiles", tile=32, overlap=overlap)), batch)
    scores = Tiles(task, 32, 3)(batch)
    assert scores.shape == task.scores(batch).shape
    torch.testing.assert_close(scores, task.scores(batch), rtol=64 * EPS, atol=64 * EPS)


def test_tiles_that_see_too_little_differ() -> None:
    task, batch = a_task("segmentation", reach=9), a_batch(64, 96)
    difference = (Tiles(task, 32, 0)(batch) - task.scores(batch)).abs().max()
    assert difference > 1e4 * EPS


def test_tiles_of_networks_with_a_context_or_a_decoder_of_few_pixels() -> None:
    """The mean over the whole image in a matting network's pyramid; a head that runs as a whole."""
    torch.manual_seed(1)
    small = {"name": "resnet34", "width": 8, "depths": (1, 1, 1)}
    matting = MattingTask(MattingNetwork(small, "bilinear", in_channels=4, width=8)).eval()
    batch = a_batch(200, 37)
    tiles = Tiles(matting, 64, None)
    assert tiles.reach.deep is not None
    scores = matting.scores(batch)
    close = {"rtol": 0, "atol": 1e-4 * float(scores.abs().max())}  # as tests/prediction/test_parts.py
    torch.testing.assert_close(tiles(batch), scores, **close)


def test_a_network_that_looks_everywhere_asks_for_an_overlap() -> None:
    network = SegmentationNetwork({"name": "mit_b0", "pretrained": False}, CLASSES, "bilinear", embed_dim=16)
    task = SegmentationTask(network, num_classes=CLASSES).eval()
    batch = a_batch(96, 64)
    with pytest.raises(ValueError, match=r"evaluation\.overlap is null, .*every pixel has a say everywhere"):
        Tiles(task, 32, None)(batch)
    assert Tiles(task, 32, 32)(batch).shape == task.scores(batch).shape


def plain_views(task: DenseTask, batch: dict[str, Any], flips: list[bool], scales: list[float]) -> Tensor:
    """By hand: softmax probabilities, or clipped alpha, of each view at the truth's size, their mean."""
    found = []
    height, width = batch["image"].shape[2:]
    for scale in scales:
        size = (max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1))
        for flip in flips:
            image = F.interpolate(batch["image"], size, mode="bilinear")
            trimap = F.interpolate(batch["trimap"], size, mode="nearest-exact")
            if flip:
                image, trimap = image.flip(3), trimap.flip(3)
            scores = task.scores({"image": image, "trimap": trimap})
            if task.values_are_classes:
                value = F.interpolate(scores, (height, width), mode="bilinear").softmax(1)
            else:
                value = F.interpolate(scores.clamp(0, 1), (height, width), mode="bilinear")
            found.append(value.flip(3) if flip else value)
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("size", [(23, 31), (1, 1), (2, 57)])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [[1.0], [0.5, 1.0, 1.75]])
def test_views_are_averaged_as_probabilities_and_as_alpha(
    size: tuple[int, int], flip: bool, scales: list[float]
) -> None:
    settings = EvaluationSettings(flip=flip, scales=scales)
    batch = a_batch(*size)
    segmentation = a_task("segmentation", stride=4)
    mean = plain_views(segmentation, batch, [False, True] if flip else [False], scales)
    best = mean.topk(2, 1).values
    clear = best[:, 0] - best[:, 1] > 64 * EPS
    prediction = Way(segmentation, settings)(batch)
    assert torch.equal(prediction[clear], mean.argmax(1).byte()[clear])
    sure = segmentation.confidence(list(Way(segmentation, settings).views(batch)), batch)
    torch.testing.assert_close(sure, best[:, 0], rtol=64 * EPS, atol=0)

    matting = a_task("matting")
    alpha = plain_views(matting, batch, [False, True] if flip else [False], scales)
    expected = torch.where(batch["trimap"] == 128, alpha, batch["trimap"] / 255)[:, 0]
    assert (Way(matting, settings)(batch) - expected * 255).abs().max() <= 0.5 + 255 * 64 * EPS


def test_views_of_a_symmetric_network_change_nothing() -> None:
    """Means over windows are the same from both sides."""
    task, batch = a_task("segmentation"), a_batch(23, 31)
    the_same(task, Way(task, EvaluationSettings(flip=True)), batch)


def test_scales_round_up_where_the_data_fit_images_to_32() -> None:
    task = a_task("segmentation")
    task.test_size = (64, 128)
    sizes: list[tuple[int, ...]] = []
    task.network.register_forward_hook(lambda module, given, out: sizes.append(tuple(given[0].shape[2:])))
    Way(task, EvaluationSettings(scales=[0.75, 1.0]))(a_batch(64, 96))
    assert sizes == [(64, 96), (64, 96)]  # 48 → 64, 72 → 96
    sizes.clear()
    Way(task, EvaluationSettings(scales=[0.5]))(a_batch(64, 96))
    assert sizes == [(32, 64)]


def test_strips_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    from denseup.tasks import logits

    task, batch = a_task("segmentation", stride=4), a_batch(40, 33)
    way = Way(task, EvaluationSettings(flip=True, scales=[0.5, 1.0]))
    whole = task.confidence(list(way.views(batch)), batch)
    monkeypatch.setattr(logits, "STRIP", 4 * CLASSES * 33 * 3)  # three rows of each of four views
    strips = task.confidence(list(way.views(batch)), batch)
    torch.testing.assert_close(strips, whole, rtol=64 * EPS, atol=0)


class Own(MattingTask):
    """A task that says nothing of its scores."""

    name = "own"
    scores = DenseTask.scores

    def predict(self, batch: dict[str, Any]) -> Tensor:
        return batch["trimap"][:, 0]


def test_a_task_without_scores_is_evaluated_as_it_predicts_and_in_no_other_way() -> None:
    task, batch = Own(Local(4, 1)), a_batch(5, 6)
    assert torch.equal(Way(task, EvaluationSettings())(batch), batch["trimap"][:, 0])
    with pytest.raises(ValueError, match="Own has no `scores` to average"):
        Way(task, EvaluationSettings(flip=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "windows"}, r"evaluation\.view is 'windows', valid: whole, slide, tiles"),
        ({"crop": 64}, r"evaluation\.crop is 64, an option of view=slide; view is 'whole'"),
        ({"view": "slide", "crop": 64, "overlap": 3}, r"evaluation\.overlap is 3, an option of view=tiles"),
        ({"view": "slide"}, r"evaluation\.crop is None, expected pixels"),
        ({"view": "slide", "crop": [64]}, r"evaluation\.crop is \[64\], expected pixels, or \[height, width\]"),
        ({"view": "slide", "crop": 0}, r"evaluation\.crop is 0"),
        ({"view": "slide", "crop": 64, "stride": 65}, r"evaluation\.stride is \[65, 65\], .*would not be seen"),
        ({"view": "tiles"}, r"evaluation\.tile is None, expected an integer of at least 1"),
        ({"view": "tiles", "tile": 64, "overlap": -1}, r"evaluation\.overlap is -1"),
        ({"scales": []}, r"evaluation\.scales is \[\], expected a list of different numbers above 0"),
        ({"scales": [1, 1]}, r"evaluation\.scales is \[1, 1\]"),
        ({"scales": [0]}, r"evaluation\.scales is \[0\]"),
        ({"scales": [float("nan")]}, r"evaluation\.scales is \[nan\]"),
        ({"scales": 0.5}, r"evaluation\.scales is 0\.5"),
        ({"flip": 1}, r"evaluation\.flip is 1, valid: true, false"),
        ({"calibration_bins": 0}, r"evaluation\.calibration_bins is 0"),
        ({"corruption": "mist"}, r"evaluation\.corruption is 'mist', valid: gaussian_noise, .*, all"),
        ({"corruption_severity": 6}, r"evaluation\.corruption_severity is 6, valid: 1, 2, 3, 4, 5, all"),
        ({"corruption": []}, r"evaluation\.corruption is \[\], valid: gaussian_noise"),
        ({"corruption": "fog", "corruption_severity": []}, r"evaluation\.corruption_severity is \[\], valid: 1, 2"),
        ({"corruption_severity": True}, r"evaluation\.corruption_severity is True"),
        ({"prediction_labels": "ids"}, r"evaluation\.prediction_labels is 'ids', valid: data, classes, cityscapes"),
        ({"flips": True}, r"evaluation\.flips: there is no such option, valid: view, crop"),
    ],
)
def test_what_can_not_be_asked_for(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationSettings.read(options)


def test_what_a_task_does_not_have() -> None:
    with pytest.raises(ValueError, match="no probability of being right; SAD and MSE say how far off"):
        EvaluationSettings(calibration=True).check_task(a_task("matting"))
    with pytest.raises(ValueError, match=r"metrics is 'training', valid for task segmentation: mmsegmentation"):
        EvaluationSettings(metrics="training").check_task(a_task("segmentation"))
    with pytest.raises(ValueError, match=r"metrics is 'python', valid for task matting: matlab, training"):
        EvaluationSettings(metrics="python").check_task(a_task("matting"))


def test_identities() -> None:
    """Nothing for the published evaluation, however it is said; what decides values otherwise."""
    for same in ({}, {"metrics": "matlab"}, {"save_predictions": True}, {"scales": [1]}, {"corruption_severity": 3}):
        assert EvaluationSettings.read(same).identity(MattingTask) == {}
    assert EvaluationSettings(view="slide", crop=512).identity(SegmentationTask) == {
        "view": "slide",
        "crop": [512, 512],
        "stride": [341, 341],
    }
    found = EvaluationSettings(corruption=["fog", "shot_noise"], corruption_severity=[3, 1]).identity(MattingTask)
    assert found == {"corruption": ["shot_noise", "fog"], "corruption_severity": [1, 3]}
    assert EvaluationSettings(metrics="training").identity(MattingTask) == {"metrics": "training"}
    seen = EvaluationSettings(view="tiles", tile=64, flip=True, metrics="training").identity(MattingTask)
    assert EvaluationSettings.seen_as(seen) == EvaluationSettings(view="tiles", tile=64, flip=True, scales=[1.0])

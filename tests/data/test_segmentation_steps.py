"""Each step of the segmentation recipe against its definition written down plainly, and at its edges."""

import cv2
import numpy as np
import pytest
from data.recipe_facts import ADE20K
from data.sample_folders import noise

from denseup.data.transforms.segmentation import SegmentationAugmentation, fitted_size, labelled_steps, shapes
from denseup.data.transforms.segmentation.colours import DistortColours
from denseup.data.transforms.segmentation.shapes import PADDING_COLOUR, CropBalanced, Pad, ResizeWithin
from denseup.data.transforms.streams import Streams
from denseup.networks.encoders.base import IMAGENET_MEAN, IMAGENET_STD


def rng(seed=0):
    return np.random.default_rng(seed)


def augmented(image, label, how, seed=0):
    arrays = labelled_steps(how)({"image": image, "label": label}, Streams(seed, 0, 0))
    return arrays["image"], arrays["label"]


def test_the_recipe_has_the_published_steps_in_the_published_order():
    pipeline = labelled_steps(SegmentationAugmentation())
    assert pipeline.names == tuple(name for name, _ in ADE20K)
    for step, (name, numbers) in zip(pipeline.steps, ADE20K, strict=True):
        assert {key: getattr(step, key) for key in numbers} == numbers, name
    assert "photometric" not in labelled_steps(SegmentationAugmentation(photometric=False)).names


@pytest.mark.parametrize("size", [(60, 80), (200, 300)])
def test_labels_stay_with_their_pixels(size):
    label = (noise(0, *size)[..., 0] > 128).astype(np.uint8)
    label = label[::20, ::20].repeat(20, 0).repeat(20, 1)[: size[0], : size[1]]
    how = SegmentationAugmentation(64, short_side=size[0], long_side=900, ratio=(1, 1), photometric=False)
    crop, classes = augmented(np.dstack([label * 255] * 3), label, how)
    counted = classes != 255
    assert crop.shape == (64, 64, 3)
    assert np.array_equal(crop[..., 0][counted] > 127, classes[counted] == 1)
    assert counted.all() == (size[0] >= 64)


def test_labels_stay_with_their_pixels_when_resized():
    label = np.zeros((100, 100), np.uint8)
    label[:, 50:] = 1
    how = SegmentationAugmentation(128, short_side=100, long_side=400, ratio=(0.5, 2.0), photometric=False)
    for seed in range(5):
        crop, classes = augmented(np.dstack([label * 255] * 3), label, how, seed)
        counted = classes != 255
        assert np.mean((crop[..., 0][counted] > 127) != (classes[counted] == 1)) < 0.02


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (17, 2)])
@pytest.mark.parametrize("value", [0, 255])
def test_images_of_a_pixel_and_labels_that_are_all_void(size, value):
    how = SegmentationAugmentation(20, 24, 96)
    for seed in range(6):
        crop, classes = augmented(noise(seed, *size), np.full(size, value, np.uint8), how, seed)
        assert (crop.shape, classes.shape) == ((20, 20, 3), (20, 20))
        assert set(np.unique(classes)) <= {value, 255}


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_resize_keeps_the_aspect_within_both_limits(ratio):
    sample = {"image": noise(0, 60, 80), "label": noise(1, 60, 80)[..., 0]}
    resized = ResizeWithin(30, 100, (ratio, ratio))(sample, rng())
    height, width = fitted_size((60, 80), 30, 100, ratio)
    assert (height, width) == (round(30 * ratio), round(40 * ratio))
    assert np.array_equal(resized["image"], cv2.resize(sample["image"], (width, height)))
    rows, columns = (np.arange(n) * side // n for n, side in ((height, 60), (width, 80)))
    assert np.array_equal(resized["label"], sample["label"][rows][:, columns])


def test_fitted_size_respects_both_limits():
    assert fitted_size((600, 800), 512, 2048) == (512, 683)
    assert fitted_size((100, 1000), 512, 2048) == (205, 2048)
    assert fitted_size((600, 800), 512, 2048, 0.5) == (256, 341)


def test_crop_is_a_window_of_both():
    label = np.arange(60 * 80).reshape(60, 80)
    sample = {"image": np.dstack([label % 251] * 3).astype(np.uint8), "label": (label % 251).astype(np.uint8)}
    crop = CropBalanced(16)(sample, rng())
    assert crop["label"].shape == (16, 16)
    assert np.array_equal(crop["image"][..., 1], crop["label"])
    assert (np.diff(crop["label"].astype(int), axis=1) % 251 == 1).all()


def test_crop_avoids_one_class_filling_it(monkeypatch):
    """One window in six will do; ten tries find one in five of six times."""
    label = np.zeros((200, 200), np.uint8)
    label[:, 160:] = 1

    def share():
        return np.mean([(CropBalanced(64)({"label": label}, rng(i))["label"] == 0).mean() < 0.75 for i in range(50)])

    assert share() > 0.6
    monkeypatch.setattr(shapes, "CROP_TRIES", 1)
    assert share() < 0.4


def test_ignored_pixels_do_not_count_as_a_class():
    """Half void, of the rest a fifth another class: one class has four fifths of what counts, and is too much."""
    label = np.full((40, 40), 255, np.uint8)
    label[:, 20:] = 0
    label[:, 36:] = 1
    tries = CountingRng()
    CropBalanced(40)({"label": label}, tries)
    assert tries.drawn == 20  # ten windows, none of which will do
    tries = CountingRng()
    CropBalanced(40, 0.81)({"label": label}, tries)
    assert tries.drawn == 2


class CountingRng:
    """Always the first window."""

    drawn = 0

    def integers(self, _):
        self.drawn += 1
        return 0


def test_padding_is_ignored():
    sample = Pad(100)({"image": noise(0), "label": np.zeros((60, 80), np.uint8)}, rng())
    assert sample["image"].shape == (100, 100, 3)
    assert (sample["label"] == 255).sum() == 100 * 100 - 60 * 80
    assert np.array_equal(sample["image"][:60, :80], noise(0))
    assert (sample["image"][60:] == PADDING_COLOUR).all()


def test_padding_is_zero_once_normalised():
    """But for half a grey level, as which the mean colour is stored."""
    normalised = (np.array(PADDING_COLOUR) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    assert (np.abs(normalised) <= 0.5 / 255 / np.array(IMAGENET_STD) + 1e-12).all()


def test_distorted_colours_stay_bytes_and_differ():
    outputs = [DistortColours()({"image": noise(0)}, rng(seed))["image"] for seed in range(6)]
    assert all(output.dtype == np.uint8 and output.shape == (60, 80, 3) for output in outputs)
    assert any(not np.array_equal(outputs[0], output) for output in outputs[1:])


class Chosen:
    """A generator whose coins and numbers are given: order of contrast, then which of the four happen."""

    def __init__(self, late, brightness, contrast, saturation, hue):
        self.values = (brightness, contrast, saturation, hue)
        self.coins = np.array([late, *(value is not None for value in self.values)])

    def random(self, _):
        return np.where(self.coins, 0.0, 0.9)

    def uniform(self, low, high):
        value, *self.values = self.values
        return low if value is None else value


CHOSEN = [
    (20, None, None, None),
    (-32, 1.5, None, None),
    (None, 0.5, None, None),
    (9.5, 1.2, 0.7, 36),
    (None, 0.6, 1.5, -9),
]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("brightness", "contrast", "saturation", "hue"), CHOSEN)
def test_colours_are_distorted_in_the_published_order(late, brightness, contrast, saturation, hue):
    """Brightness, contrast (or last), saturation and hue; cut off to a byte after each."""
    expected = noise(4)
    if brightness is not None:
        expected = clipped(expected.astype(float) + brightness)
    if contrast is not None and not late:
        expected = clipped(expected * contrast)
    if saturation is not None:
        hsv = cv2.cvtColor(expected, cv2.COLOR_RGB2HSV_FULL).astype(int)
        hsv[..., 0] = (hsv[..., 0] + round(hue * 256 / 360)) % 256
        hsv[..., 1] = clipped(hsv[..., 1] * saturation)
        expected = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB_FULL)
    if contrast is not None and late:
        expected = clipped(expected * contrast)
    drawn = Chosen(late, brightness, contrast, saturation, hue)
    assert np.array_equal(DistortColours()({"image": noise(4)}, drawn)["image"], expected)


def clipped(values):
    return np.clip(values, 0, 255).astype(np.uint8)

"""Each corruption is what its definition says, at any size, the same for everyone, and stronger at each step."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from denseup.data.datamodules.corrupted import Corrupted, CorruptedData
from denseup.data.datamodules.demo import DemoData
from denseup.data.transforms import corruptions
from denseup.data.transforms.corruptions import CORRUPTIONS, SEVERITIES, corrupted, plasma

LEVEL = 1 / 255
TINY = 2.0**-23
"""What large filters, which OpenCV applies by Fourier transforms in float32, leave of a point of 1 where it is not."""


def photograph(height: int = 96, width: int = 120) -> np.ndarray:
    """Smooth colours with edges, uint8."""
    y, x = np.mgrid[:height, :width]
    rings = 1.5 * (np.hypot(y - 40, x - 50) // 13 % 2)
    waves = [np.sin(x / 17 + channel) + np.cos(y / 11 - channel) + rings for channel in range(3)]
    image = np.stack(waves, -1)
    return np.rint((image - image.min()) / np.ptp(image) * 255).astype(np.uint8)


def flat(value: float, side: int = 200) -> np.ndarray:
    return np.full((side, side, 3), value, np.float32)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (33, 20)])
def test_any_size_any_kind_and_nothing_is_changed_in_place(name: str, size: tuple[int, int]) -> None:
    image = photograph(*size)
    before = image.copy()
    for severity in SEVERITIES:
        found = corrupted(image, name, severity, "image")
        assert (found.shape, found.dtype) == (image.shape, np.uint8)
        floats = corrupted(image.astype(np.float32) / np.float32(255), name, severity, "image")
        assert np.array_equal(found, floats)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_image_is_corrupted_in_the_same_way(name: str) -> None:
    one, again = (corrupted(photograph(), name, 3, "scene") for _ in range(2))
    assert np.array_equal(one, again)
    drawn = {"gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "motion_blur", "fog"}
    assert np.array_equal(one, corrupted(photograph(), name, 3, "another")) == (name not in drawn)


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"saturate"}))
def test_each_step_takes_more_away(name: str) -> None:
    """Saturation goes down in two steps, then up in three."""
    image = photograph().astype(float)
    away = [np.abs(corrupted(photograph(), name, severity, "image") - image).mean() for severity in SEVERITIES]
    assert away == sorted(away)
    assert away[0] > 1


def test_noise_has_the_moments_of_its_definition() -> None:
    """n = 120000 values: means within 5 standard errors, deviations within 5·σ/√(2n), which is 1 % of it."""
    x, n = flat(0.4), 120_000
    added = corruptions.gaussian_noise(x, rng(), 0.1) - x
    assert abs(added.mean()) < 5 * 0.1 / np.sqrt(n)
    assert added.std() == pytest.approx(0.1, rel=0.011)
    counted = corruptions.shot_noise(x, rng(), 25)
    assert counted.mean() == pytest.approx(0.4, abs=5 * np.sqrt(0.4 / 25 / n))
    assert counted.std() == pytest.approx(np.sqrt(0.4 / 25), rel=0.02)  # the fourth moment of Poisson(10) is higher
    assert np.allclose(counted * 25, np.rint(counted * 25), atol=1e-4)
    speckled = corruptions.speckle_noise(x, rng(), 0.2)
    assert speckled.std() == pytest.approx(0.08, rel=0.011)
    hit = corruptions.impulse_noise(x, rng(), 0.1)
    for value in (0, 1):
        assert (hit == value).mean() == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / n))
    assert ((hit == 0) | (hit == 1) | (hit == np.float32(0.4))).all()


@pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur", "motion_blur"])
def test_blurs_are_means_around_a_pixel(name: str) -> None:
    """A constant stays, a point keeps its sum and its place, and nothing of it is beyond the kernel's reach."""
    function, strengths = CORRUPTIONS[name]
    for strength in strengths:
        assert np.abs(function(flat(0.7, 64), rng(), *strength) - 0.7).max() < 1e-5
        point = np.zeros((129, 129, 3), np.float32)
        point[64, 64] = 1
        spread = function(point, rng(), *strength)[..., 0].astype(np.float64)
        assert spread.min() > -TINY
        assert spread.sum() == pytest.approx(1, abs=1e-5)
        y, x = np.mgrid[:129, :129] - 64
        assert abs((spread * y).sum()) + abs((spread * x).sum()) < 1e-3
        reach = {"gaussian_blur": 4 * strength[0], "defocus_blur": strength[0] + 2}.get(name, strength[0])
        assert np.abs(spread[np.maximum(abs(y), abs(x)) > reach + 1]).max() < TINY
        assert spread[64, 64] > 0


def test_motion_is_along_a_line() -> None:
    point = np.zeros((65, 65, 3), np.float32)
    point[32, 32] = 1
    spread = corruptions.motion_blur(point, rng(), 15, 8)[..., 0].astype(np.float64)
    y, x = np.mgrid[:65, :65] - 32
    moments = np.linalg.eigvalsh([[(spread * a * b).sum() for b in (y, x)] for a in (y, x)])
    assert moments[0] < 0.5 < 20 < moments[1]  # across: half a pixel's bilinear share; along: that of the gaussian


def test_fog_contrast_and_colours_by_hand() -> None:
    image = photograph().astype(np.float32) / 255
    haze = plasma(120, rng(), 2)[:96, :120, None]
    assert np.allclose(corruptions.fog(image, rng(), 1.5, 2), (image + 1.5 * haze) * image.max() / (image.max() + 1.5))
    mean = image.mean((0, 1))
    assert np.allclose(corruptions.contrast(image, rng(), 0.3), (image - mean) * 0.3 + mean, atol=1e-6)
    brighter = corruptions.brightness(image, rng(), 0.2)
    assert np.allclose(brighter.max(-1), np.minimum(image.max(-1) + 0.2, 1), atol=1e-5)
    grey = corruptions.saturate(image, rng(), 0, 0)
    assert np.allclose(grey, image.max(-1, keepdims=True), atol=1e-5)


def test_pixelate_is_a_mean_over_areas() -> None:
    image = photograph(40, 40).astype(np.float32) / 255
    found = corruptions.pixelate(image, rng(), 0.25)
    areas = image.reshape(10, 4, 10, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1)
    assert np.abs(found - areas).max() <= 1.001 * LEVEL  # means along rows and columns are rounded, half a level each


@pytest.mark.parametrize("side", [1, 2, 3, 64, 100])
def test_plasma_fills_its_range(side: int) -> None:
    field = plasma(side, rng(), 2)
    assert field.shape[0] == field.shape[1] >= side
    assert field.min() == 0
    assert field.max() == (1 if side > 1 else 0)
    if side >= 64:  # smooth: neighbours differ by far less than pixels that lie far apart
        near, far = (np.abs(field - np.roll(field, shift, 0)).mean() for shift in (1, side // 2))
        assert near < far / 4


def test_what_there_is_not() -> None:
    with pytest.raises(ValueError, match="corruption is 'mist', valid: gaussian_noise, "):
        corrupted(photograph(), "mist", 1, "image")
    with pytest.raises(ValueError, match="corruption_severity is 0, valid: 1, 2, 3, 4, 5"):
        corrupted(photograph(), "fog", 0, "image")


class Nameless(Dataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": torch.full((3, 8, 8), 0.5), "label": torch.zeros(8, 8)}


def test_samples_keep_their_truth_and_draw_by_their_name_or_place() -> None:
    data = DemoData(task="matting", image_size=64, val_length=2)
    clean, noisy = data.dataset("test"), CorruptedData(data, "gaussian_noise", 3).dataset("test")
    for index in range(2):
        before, after = clean[index], noisy[index]
        assert after["name"] == before["name"]
        assert all(torch.equal(after[key], before[key]) for key in ("alpha", "trimap"))
        image = np.rint(before["image"].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        if index == 0:  # composites are in floating point; what is drawn is the same for them
            expected = corrupted(before["image"].permute(1, 2, 0).numpy(), "gaussian_noise", 3, before["name"])
            assert torch.equal(after["image"], torch.from_numpy(expected).permute(2, 0, 1).float() / 255)
        assert not np.array_equal(image, np.rint(after["image"].permute(1, 2, 0).numpy() * 255))
    nameless = Corrupted(Nameless(), "gaussian_noise", 3)
    assert not torch.equal(nameless[0]["image"], nameless[1]["image"])
    assert torch.equal(nameless[1]["image"], nameless[1]["image"])

"""Conn by the compiled kernel and by OpenCV: both equal the definition on random and awkward images."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from naive_metrics import naive_conn, naive_levels

from denseup import native
from denseup.metrics import conn
from denseup.metrics.functional import connectivity_levels
from denseup.metrics.functional.connectivity import THRESHOLDS, _error, _error_by_numpy, _levels_by_opencv

# The kernel packs 64 pixels of a row into a word.
SHAPES = [(1, 1), (1, 2), (2, 1), (1, 200), (150, 1), (3, 63), (4, 64), (5, 65), (2, 129), (19, 67)]


def noise(rng, shape):
    return rng.integers(0, 256, shape)


def high_noise(rng, shape):
    """Mostly connected at low levels, in pieces at high ones."""
    return 255 - rng.gamma(1.0, 60.0, shape).clip(0, 255).astype(int)


def binary(rng, shape):
    """Small components, many of the same size."""
    return 255 * (rng.random(shape) < 0.45)


def thresholds(rng, shape):
    return rng.choice([0, 25, 254, *THRESHOLDS, *(value - 1 for value in THRESHOLDS)], shape)


def checkerboard(rng, shape):
    """Diagonal contacts alone: all components have one pixel."""
    return np.indices(shape).sum(0) % 2 * rng.integers(1, 256)


def columns(rng, shape):
    return np.broadcast_to(rng.choice([0, 90, 255], shape[1]), shape)


def smooth(rng, shape):
    return cv2.resize(rng.random((4, 5)) * 300 - 20, shape[::-1]).clip(0, 255)


def empty(rng, shape):
    return np.zeros(shape)


def full(rng, shape):
    return np.full(shape, 255)


KINDS = [noise, high_noise, binary, thresholds, checkerboard, columns, smooth, empty, full]


def pair(kind, shape, seed):
    """Two images of a kind; the second one mostly repeats the first, or they would share little."""
    rng = np.random.default_rng(seed)
    pred, other = (kind(rng, shape).astype(np.uint8) for _ in range(2))
    return pred, np.where(rng.random(shape) < 0.2, other, pred)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_those_of_the_definition(kind, shape):
    for seed in range(4):
        pred, target = pair(kind, shape, seed)
        np.testing.assert_array_equal(connectivity_levels(pred, target), naive_levels(pred, target))


@pytest.mark.usefixtures("way")
def test_every_value_reaches_its_thresholds():
    # The centre drops out at the thresholds that it does not reach; the rest stays at all of them.
    for value in range(256):
        alpha = np.full((3, 3), 255, np.uint8)
        alpha[1, 1] = value
        assert connectivity_levels(alpha, alpha)[1, 1] == sum(10 * value >= 255 * k for k in range(1, 11)), value


@pytest.mark.usefixtures("way")
def test_of_equal_components_the_first_column_counts():
    alpha = np.zeros((70, 140), np.uint8)
    # The lower one starts in an earlier column, the third one in the same column but below.
    alpha[2, 71:74] = alpha[60, 65:68] = alpha[65, 65:68] = 255
    levels = connectivity_levels(alpha, alpha)
    assert (levels[60, 65:68] == 10).all()
    assert levels.sum() == 30


@pytest.mark.usefixtures("way")
def test_a_largest_component_elsewhere_ends_the_climb():
    # The wide plateau ends at level 5; from level 6 on the small spot is the largest, but it never was connected.
    alpha = np.zeros((20, 90), np.uint8)
    alpha[3:9, 5:80], alpha[12:15, 30:33] = 130, 255
    levels = connectivity_levels(alpha, alpha)
    np.testing.assert_array_equal(levels, naive_levels(alpha, alpha))
    assert np.unique(levels).tolist() == [0, 5]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", KINDS)
def test_views_and_tensors(kind):
    pred, target = pair(kind, (17, 70), 0)
    trimap = np.random.default_rng(1).choice(np.asarray([0, 128, 255], np.uint8), pred.shape)
    for view in (np.s_[::-1], np.s_[:, ::-2], np.s_[1:-3, 3:]):
        case = [image[view] for image in (pred, target, trimap)]
        assert conn(*case) == pytest.approx(naive_conn(*case), rel=1e-9)
        assert conn(*[image.T for image in case]) == pytest.approx(naive_conn(*[image.T for image in case]), rel=1e-9)
        tensors = [torch.from_numpy(image.copy()).T.contiguous().T for image in case]
        assert conn(*tensors) == conn(*case)


@pytest.mark.skipif(native.library() is None, reason="the C kernels were not built")
@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_agree_on_large_images(kind, monkeypatch):
    pred, target = pair(kind, (611, 787), 5)
    trimap = np.random.default_rng(1).choice(np.asarray([0, 128, 255], np.uint8), pred.shape)
    np.testing.assert_array_equal(connectivity_levels(pred, target), _levels_by_opencv(pred, target))
    compiled = conn(pred, target, trimap)
    monkeypatch.setattr(native, "library", lambda: None)
    assert conn(pred, target, trimap) == compiled


def test_error_of_all_alphas_and_levels():
    pred, target, level = (axis.ravel().astype(np.uint8) for axis in np.mgrid[:256, :256, :11])
    unknown = np.random.default_rng(0).random(level.shape) < 0.5
    for region in (unknown, ~unknown, unknown | True):
        assert _error(pred, target, region, level) == _error_by_numpy(pred, target, region, level)


def test_error_without_memory(monkeypatch):
    monkeypatch.setattr(native, "library", lambda: SimpleNamespace(denseup_connectivity_levels=lambda *_: 1))
    with pytest.raises(MemoryError, match=r"connectivity of an image \[4, 5\]"):
        connectivity_levels(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8))

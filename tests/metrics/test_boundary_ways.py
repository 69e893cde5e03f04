"""Boundaries and areas by the compiled kernels and by OpenCV and NumPy: both equal the definition, to the pixel."""

from types import SimpleNamespace

import numpy as np
import pytest
from naive_metrics import naive_areas, naive_boundary

from denseup import native
from denseup.metrics.functional import boundary_areas, class_areas
from denseup.metrics.functional.boundary import _mask_by_opencv, boundary_dilation, boundary_mask

SHAPES = [(1, 1), (1, 40), (40, 1), (2, 9), (3, 3), (8, 9), (17, 64), (33, 31)]


def noise(rng, shape):
    return rng.integers(0, 5, shape)


def constant(rng, shape):
    return np.full(shape, 3)


def columns(rng, shape):
    return np.broadcast_to(rng.integers(0, 3, shape[1]), shape)


def rows(rng, shape):
    return np.broadcast_to(rng.integers(0, 3, shape[0])[:, None], shape)


def spots(rng, shape):
    """A few single pixels in a constant map, one of them without a class."""
    label = np.full(shape, 4)
    for value in (0, 255):
        label[rng.integers(shape[0]), rng.integers(shape[1])] = value
    return label


def quarters(rng, shape):
    y, x = (rng.integers(0, size + 1) for size in shape)
    return 2 * (np.arange(shape[0])[:, None] < y) + (np.arange(shape[1]) < x)


KINDS = [noise, constant, columns, rows, spots, quarters]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_those_of_the_definition(kind, shape):
    for seed, dilation in enumerate([1, 2, 3, 4, 5, 8, 16, 17, 40]):
        label = kind(np.random.default_rng(seed), shape).astype(np.uint8)
        expected = np.any([naive_boundary(label == value, dilation) for value in np.unique(label)], axis=0)
        np.testing.assert_array_equal(boundary_mask(label, dilation), expected)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("void", ["void_excluded", "no_ignore"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_areas_are_those_of_the_definition(kind, shape, void):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        target = kind(rng, shape).astype(np.uint8)
        pred = np.where((rng.random(shape) < 0.1) | (target == 255), 2, target).astype(np.uint8)
        valid = target != 255
        counted = valid | (void == "no_ignore")
        expected = naive_areas(pred, target, 5, counted, boundary_dilation(*shape))
        np.testing.assert_array_equal(boundary_areas(pred, target, 5, void=void), expected)
        np.testing.assert_array_equal(class_areas(pred, target, 5), naive_areas(pred, target, 5, valid))


@pytest.mark.usefixtures("way")
def test_views_and_batches():
    rng = np.random.default_rng(0)
    pred, target = (np.kron(rng.integers(0, 6, (3, 5, 6)), np.ones((1, 9, 8), int)) for _ in range(2))
    for view in (np.s_[:, ::-1], np.s_[:, :, ::-2], np.s_[:, 1:-3, 3:]):
        p, g = pred[view], target[view]
        everywhere = np.ones(g.shape[1:], bool)
        dilation = boundary_dilation(*everywhere.shape)
        expected = [naive_areas(*images, 6, everywhere, dilation) for images in zip(p, g, strict=True)]
        np.testing.assert_array_equal(boundary_areas(p, g, 6), np.sum(expected, axis=0))
        np.testing.assert_array_equal(boundary_areas(p[:, None], g.astype(np.uint8)[:, None], 6), np.sum(expected, 0))


@pytest.mark.skipif(native.library() is None, reason="the C kernels were not built")
@pytest.mark.parametrize("void", ["void_excluded", "no_ignore"])
@pytest.mark.parametrize("cell", [1, 7, 60])
def test_both_ways_agree_on_large_maps(cell, void, monkeypatch):
    rng = np.random.default_rng(cell)
    shape = (1 + 420 // cell, 1 + 600 // cell)
    blocks = rng.integers(0, 151, (2, *shape))
    pred, target = (np.kron(image, np.ones((cell, cell), int)).astype(np.uint8) for image in blocks)
    pred, target = np.where(rng.random(pred.shape) < 1e-3, 7, pred) % 150, np.where(target == 150, 255, target)
    compiled = boundary_areas(pred, target, 150, void=void), class_areas(pred, target, 150)
    np.testing.assert_array_equal(boundary_mask(target, 14), _mask_by_opencv(target, 14))
    monkeypatch.setattr(native, "library", lambda: None)
    python = boundary_areas(pred, target, 150, void=void), class_areas(pred, target, 150)
    np.testing.assert_array_equal(compiled, python)


@pytest.mark.skipif(native.library() is None, reason="the C kernels were not built")
def test_the_widest_boundaries_are_left_to_opencv(monkeypatch):
    calls = []
    monkeypatch.setattr("denseup.metrics.functional.boundary._mask_by_opencv", lambda *_: calls.append(1))
    label = np.zeros((4, 5), np.uint8)
    assert boundary_mask(label, 2**15 - 1).all()
    assert not calls
    boundary_mask(label, 2**15)
    assert calls


def test_error_without_memory(monkeypatch):
    monkeypatch.setattr(native, "library", lambda: SimpleNamespace(denseup_boundary_mask=lambda *_: 1))
    with pytest.raises(MemoryError, match=r"boundaries in a map \[4, 5\]"):
        boundary_mask(np.zeros((4, 5), np.uint8), 1)

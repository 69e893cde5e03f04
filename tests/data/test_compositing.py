"""Layers, composites, trimaps and pasting, against their definitions."""

import numpy as np
import pytest
from data.sample_folders import disc, noise

from denseup.data.transforms.compositing import (
    composite,
    draw_trimap,
    open_trimap,
    over,
    paste,
    premultiply,
    straight,
    trimap_from_alpha,
)


def layer(seed=0, height=60, width=80):
    return premultiply(np.dstack([noise(seed, height, width), disc(height, width)]))


def rng(seed=0):
    return np.random.default_rng(seed)


def test_over_is_compositing_twice():
    front, back, photograph = layer(0), layer(1)[::-1], noise(2).astype(np.float32) / 255
    twice = front[..., :3] + (1 - front[..., 3:]) * (back[..., :3] + (1 - back[..., 3:]) * photograph)
    both = over(front, back)
    assert np.allclose(both[..., :3] + (1 - both[..., 3:]) * photograph, twice, atol=1e-6)


def test_straight_undoes_premultiply_and_fills_the_empty_part():
    green = np.zeros((60, 80, 3), np.uint8)
    green[..., 1] = 200
    green[disc() == 0] = (255, 0, 255)
    foreground, alpha = straight(premultiply(np.dstack([green, disc()])))
    assert np.array_equal(np.rint(alpha * 255), disc())
    assert np.allclose(foreground, np.array([0, 200, 0]) / 255, atol=2e-3)


def test_straight_keeps_opaque_colours():
    foreground, alpha = straight(layer())
    assert np.allclose(foreground[alpha == 1], (noise(0) / 255)[alpha == 1], atol=1e-5)


@pytest.mark.parametrize(("foreground_width", "background_width"), [(1, 1), (5, 15), (29, 3)])
def test_trimap_is_certain_only_where_alpha_is(foreground_width, background_width):
    alpha = disc()
    trimap = trimap_from_alpha(alpha, foreground_width, background_width)
    assert set(np.unique(trimap)) <= {0, 128, 255}
    assert (alpha[trimap == 0] == 0).all()
    assert (alpha[trimap == 255] == 255).all()
    narrow = trimap_from_alpha(alpha, 1, 1)
    assert np.array_equal(narrow == 128, (alpha > 0) & (alpha < 255))
    assert ((trimap == 128) | (narrow != 128)).all()


def test_trimap_erodes_by_half_the_width():
    alpha = np.zeros((9, 21), np.uint8)
    alpha[:, 10:] = 255
    row = trimap_from_alpha(alpha, 5, 7)[4]
    assert (row == 128).nonzero()[0].tolist() == [7, 8, 9, 10, 11]


@pytest.mark.parametrize("level", [0, 255])
def test_trimap_of_a_plain_alpha(level):
    assert (trimap_from_alpha(np.full((4, 5), level, np.uint8), 9, 9) == level).all()


def test_drawn_trimap_widens_with_scale():
    narrow, wide = (draw_trimap(disc(), rng(1), scale=scale) for scale in (0.1, 1.0))
    assert (narrow == 128).sum() < (wide == 128).sum()


def test_open_trimap_never_contradicts_alpha():
    trimap = open_trimap(np.array([[0, 0, 255, 255, 128]], np.uint8), np.array([[0, 1, 254, 255, 9]], np.uint8))
    assert trimap.tolist() == [[0, 128, 128, 255, 128]]


@pytest.mark.parametrize(("top", "left"), [(10, 20), (-30, -50), (40, 60), (-200, 500)])
def test_paste_labels_where_alpha_is_above_half(top, left):
    image, classes = noise(3).astype(np.float32) / 255, np.zeros((60, 80), np.uint8)
    pasted = image.copy()
    paste(pasted, classes, layer(), top, left, 2)
    canvas = np.zeros((600, 1200, 4), np.float32)
    canvas[250 + top : 310 + top, 550 + left : 630 + left] = layer()
    canvas = canvas[250:310, 550:630]
    assert np.array_equal(classes == 2, canvas[..., 3] > 0.5)
    assert np.allclose(pasted, canvas[..., :3] + (1 - canvas[..., 3:]) * image, atol=1e-6)


def test_composite_of_opaque_and_empty():
    foreground, background = (noise(seed).astype(np.float32) / 255 for seed in (0, 1))
    assert np.array_equal(composite(foreground, np.ones((60, 80), np.float32), background), foreground)
    assert np.array_equal(composite(foreground, np.zeros((60, 80), np.float32), background), background)

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
from denseup.data.transforms.matting import (
    MattingAugmentation,
    augment_layers,
    augment_photograph,
    combine,
    jitter_hsv,
    random_affine,
    random_background,
    unknown_window,
)
from denseup.data.transforms.segmentation import (
    SegmentationAugmentation,
    augment_labelled,
    distort_colours,
    fitted_size,
    pad_to,
    random_crop,
)

SMALL = MattingAugmentation.scaled(64)


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
    image, label = noise(3).astype(np.float32) / 255, np.zeros((60, 80), np.uint8)
    before = image.copy()
    pasted, classes = paste(image, label, layer(), top, left, 2)
    canvas = np.zeros((600, 1200, 4), np.float32)
    canvas[250 + top : 310 + top, 550 + left : 630 + left] = layer()
    canvas = canvas[250:310, 550:630]
    assert np.array_equal(image, before)
    assert np.array_equal(classes == 2, canvas[..., 3] > 0.5)
    assert np.allclose(pasted, canvas[..., :3] + (1 - canvas[..., 3:]) * image, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_augmented_layers_hold_the_composite_equation(seed):
    layers = [layer(seed), layer(seed + 100, 90, 30)][: 1 + seed % 2]
    arrays = augment_layers(layers, noise(9, 100, 120), rng(seed), SMALL)
    alpha, trimap = arrays["alpha"], arrays["trimap"]
    assert arrays["image"].shape == (64, 64, 3)
    assert np.allclose(
        arrays["image"],
        alpha[..., None] * arrays["foreground"] + (1 - alpha[..., None]) * arrays["background"],
        atol=1e-6,
    )
    assert (alpha[trimap == 0] == 0).all()
    assert (alpha[trimap == 255] == 1).all()
    assert (trimap == 128).any()


def test_augmented_photograph_keeps_image_and_alpha_aligned():
    alpha = disc()
    arrays = augment_photograph(np.dstack([alpha] * 3), alpha, rng(3), SMALL)
    assert np.allclose(arrays["image"][..., 0], arrays["alpha"], atol=1 / 255)
    assert (arrays["alpha"][arrays["trimap"] == 0] == 0).all()


def test_combine_covers_at_least_what_each_layer_covers():
    both = combine([layer(0), layer(1, 30, 90)])
    assert both.shape == (60, 80, 4)
    assert (both[..., 3] >= layer(0)[..., 3] - 1e-6).all()


def test_affine_makes_room_for_the_crop():
    assert random_affine(layer(0, 20, 300), rng(), SMALL).shape == (64, 300, 4)


def test_plain_affine_changes_nothing():
    still = MattingAugmentation(crop_size=8, rotation=0, scale=(1, 1), shear=0, flip=0)
    assert np.allclose(random_affine(layer(), rng(), still), layer(), atol=1e-6)


def test_window_holds_an_unknown_pixel_and_stays_inside():
    trimap = np.zeros((60, 80), np.uint8)
    trimap[5, 70] = 128
    for seed in range(20):
        top, left, side = unknown_window(trimap, (16, 40, 200), rng(seed))
        assert side in (16, 40, 60)
        assert 0 <= top <= 5 < top + side <= 60
        assert 0 <= left <= 70 < left + side <= 80


def test_window_without_unknown_pixels():
    assert unknown_window(np.zeros((60, 80), np.uint8), (16,), rng())[2] == 16


def test_hsv_jitter_without_strength_changes_nothing():
    foreground, alpha = straight(layer())
    assert np.allclose(jitter_hsv(foreground, alpha, rng(), 0, 0), foreground, atol=1e-4)
    assert not np.allclose(jitter_hsv(foreground, alpha, rng()), foreground, atol=1e-2)


def test_background_smaller_than_the_crop_is_enlarged():
    assert random_background(noise(0, 20, 30), 64, rng()).shape == (64, 64, 3)


def test_composite_of_opaque_and_empty():
    foreground, background = (noise(seed).astype(np.float32) / 255 for seed in (0, 1))
    assert np.array_equal(composite(foreground, np.ones((60, 80), np.float32), background), foreground)
    assert np.array_equal(composite(foreground, np.zeros((60, 80), np.float32), background), background)


@pytest.mark.parametrize("size", [(60, 80), (200, 300)])
def test_augmented_labels_stay_with_their_pixels(size):
    label = (noise(0, *size)[..., 0] > 128).astype(np.uint8)
    label = label[::20, ::20].repeat(20, 0).repeat(20, 1)[: size[0], : size[1]]
    image = np.dstack([label * 255] * 3)
    how = SegmentationAugmentation(64, short_side=size[0], long_side=900, ratio=(1, 1), photometric=False)
    crop, classes = augment_labelled(image, label, rng(), how)
    counted = classes != 255
    assert crop.shape == (64, 64, 3)
    assert np.array_equal(crop[..., 0][counted] > 127, classes[counted] == 1)
    assert counted.all() == (size[0] >= 64)


def test_augmented_labels_stay_with_their_pixels_when_resized():
    label = np.zeros((100, 100), np.uint8)
    label[:, 50:] = 1
    how = SegmentationAugmentation(128, short_side=100, long_side=400, ratio=(0.5, 2.0), photometric=False)
    for seed in range(5):
        crop, classes = augment_labelled(np.dstack([label * 255] * 3), label, rng(seed), how)
        counted = classes != 255
        assert np.mean((crop[..., 0][counted] > 127) != (classes[counted] == 1)) < 0.02


def test_crop_avoids_one_class_filling_it():
    label = np.zeros((200, 200), np.uint8)
    label[:, 160:] = 1
    shares = [(random_crop(label, label, rng(seed), 64, 0.75)[1] == 0).mean() for seed in range(50)]
    assert np.mean(np.array(shares) < 0.75) > 0.6


def test_fitted_size_respects_both_limits():
    assert fitted_size((600, 800), 512, 2048) == (512, 683)
    assert fitted_size((100, 1000), 512, 2048) == (205, 2048)
    assert fitted_size((600, 800), 512, 2048, 0.5) == (256, 341)


def test_padding_is_ignored():
    image, label = pad_to(noise(0), np.zeros((60, 80), np.uint8), 100)
    assert image.shape == (100, 100, 3)
    assert (label == 255).sum() == 100 * 100 - 60 * 80


def test_distorted_colours_stay_bytes_and_differ():
    outputs = [distort_colours(noise(0), rng(seed)) for seed in range(6)]
    assert all(output.dtype == np.uint8 and output.shape == (60, 80, 3) for output in outputs)
    assert any(not np.array_equal(outputs[0], output) for output in outputs[1:])

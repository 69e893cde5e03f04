"""Segmentation metrics against published values, and against their definitions written out class by class."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from naive_metrics import naive_areas, naive_boundary

from denseup.metrics import boundary_iou, mean_accuracy, mean_iou, pixel_accuracy, reduce_zero_label
from denseup.metrics.functional import ClassAreas, boundary_areas, class_areas
from denseup.metrics.functional.boundary import boundary_dilation, boundary_mask
from denseup.metrics.functional.segmentation import mean_of_present

pytestmark = pytest.mark.usefixtures("way")

REFERENCE = Path(__file__).parents[1] / "reference" / "metrics"
SEGMENTATION = json.loads((REFERENCE / "manifest.json").read_text())["segmentation"]["A"]
NUM_CLASSES = SEGMENTATION["num_classes"]
IMAGES = SEGMENTATION["images"]
VOID = {"void_excluded": "void_excluded", "no_ignore": "no_ignore_handling"}
EXACT = 1e-12


def maps(image, truth="gt"):
    with np.load(REFERENCE / "seg_cases.npz") as arrays:
        return arrays[f"{image}__pred"], arrays[f"{image}__{truth}"]


def random_maps(seed, num_classes, height=37, width=29):
    """Blocks of labels, some ignored, with a prediction that has noise and labels of its own."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, num_classes, (5, 4)).astype(np.uint8)
    blocks[rng.random(blocks.shape) < 0.15] = 255
    target = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
    noise = rng.integers(0, num_classes, target.shape).astype(np.uint8)
    pred = np.where((target == 255) | (rng.random(target.shape) < 0.03), noise, np.roll(target, 2, axis=1))
    return np.where(pred == 255, noise, pred), target


def ratios(values):
    return [np.nan if value is None else value for value in values]


@pytest.mark.parametrize("void", VOID)
@pytest.mark.parametrize("image", IMAGES)
def test_boundary_of_reference_images(image, void):
    expected = SEGMENTATION["per_image"][image]
    pred, target = maps(image)
    assert boundary_dilation(*target.shape) == expected["dilation"]
    expected = expected[VOID[void]]
    areas = boundary_areas(pred, target, NUM_CLASSES, void=void)
    assert areas.intersection.tolist() == expected["intersection"]
    assert areas.union.tolist() == expected["union"]
    assert areas.pred.tolist() == expected["pred_boundary"]
    assert areas.target.tolist() == expected["gt_boundary"]
    np.testing.assert_allclose(areas.iou, ratios(expected["biou"]), rtol=EXACT)
    assert boundary_iou(pred, target, NUM_CLASSES, void=void) == pytest.approx(expected["mean"], rel=EXACT)


@pytest.mark.parametrize("void", VOID)
def test_boundary_of_reference_data_set(void):
    expected = SEGMENTATION["dataset"][VOID[void]]
    per_image = [boundary_areas(*maps(image), NUM_CLASSES, void=void) for image in IMAGES]
    areas = ClassAreas(*np.sum(per_image, axis=0))
    assert areas.intersection.tolist() == expected["intersection"]
    assert areas.union.tolist() == expected["union"]
    np.testing.assert_allclose(areas.iou, ratios(expected["biou"]), rtol=EXACT)
    assert mean_of_present(areas.iou) == pytest.approx(expected["mBIoU"], rel=EXACT)
    image_means = np.mean([mean_of_present(areas.iou) for areas in per_image])
    assert image_means == pytest.approx(expected["mean_of_image_means"], rel=EXACT)


def test_regions_of_reference_data_set():
    expected = SEGMENTATION["mmseg"]
    areas = ClassAreas(*np.sum([class_areas(*maps(image), NUM_CLASSES) for image in IMAGES], axis=0))
    assert areas.intersection.tolist() == expected["area_intersect"]
    assert areas.union.tolist() == expected["area_union"]
    assert areas.pred.tolist() == expected["area_pred"]
    assert areas.target.tolist() == expected["area_label"]
    np.testing.assert_allclose(areas.iou, ratios(expected["IoU"]), rtol=EXACT)
    np.testing.assert_allclose(areas.accuracy, ratios(expected["Acc"]), rtol=EXACT)
    assert mean_of_present(areas.iou) == pytest.approx(expected["mIoU"], rel=EXACT)
    assert mean_of_present(areas.accuracy) == pytest.approx(expected["mAcc"], rel=EXACT)
    assert areas.total_accuracy == pytest.approx(expected["aAcc"], rel=EXACT)


@pytest.mark.parametrize("image", IMAGES)
def test_regions_of_reference_images(image):
    expected = SEGMENTATION["mmseg_per_image"][image]
    assert mean_iou(*maps(image), NUM_CLASSES) == pytest.approx(expected["mIoU"], rel=EXACT)
    assert mean_accuracy(*maps(image), NUM_CLASSES) == pytest.approx(expected["mAcc"], rel=EXACT)
    assert pixel_accuracy(*maps(image), NUM_CLASSES) == pytest.approx(expected["aAcc"], rel=EXACT)


@pytest.mark.parametrize("image", IMAGES)
def test_reduce_zero_label(image):
    raw, reduced = maps(image, "gt_raw_zero_label")[1], maps(image)[1]
    np.testing.assert_array_equal(reduce_zero_label(raw), reduced)
    tensor = reduce_zero_label(torch.from_numpy(raw).long())
    assert isinstance(tensor, torch.Tensor)
    assert torch.equal(tensor, torch.from_numpy(reduced))


@pytest.mark.parametrize("num_classes", [2, 7, 150, 255])
@pytest.mark.parametrize("seed", range(4))
def test_definitions(seed, num_classes):
    pred, target = random_maps(seed, num_classes)
    valid = target != 255
    np.testing.assert_array_equal(class_areas(pred, target, num_classes), naive_areas(pred, target, num_classes, valid))
    width = max(1, round(0.02 * np.sqrt(37**2 + 29**2)))
    for void, counted in (("void_excluded", valid), ("no_ignore", np.ones_like(valid))):
        np.testing.assert_array_equal(
            boundary_areas(pred, target, num_classes, void=void),
            naive_areas(pred, target, num_classes, counted, width),
        )


@pytest.mark.parametrize("dilation", [1, 2, 5, 40])
def test_boundary_mask_of_any_width(dilation):
    label = random_maps(1, 5)[1]
    expected = np.any([naive_boundary(label == value, dilation) for value in np.unique(label)], axis=0)
    np.testing.assert_array_equal(boundary_mask(label, dilation), expected)


@pytest.mark.parametrize(
    ("height", "width", "dilation"), [(1, 1, 1), (30, 40, 1), (75, 100, 2), (105, 140, 4), (512, 683, 17)]
)
def test_dilation_rounds_half_to_even_and_is_at_least_one(height, width, dilation):
    # 75 x 100 has 2.5 and 105 x 140 has 3.5 pixels.
    assert boundary_dilation(height, width) == dilation


def test_batch_adds_areas_up_and_types_do_not_matter():
    pairs = [random_maps(seed, 7) for seed in range(3)]
    pred, target = (np.stack(images) for images in zip(*pairs, strict=True))
    np.testing.assert_array_equal(class_areas(pred, target, 7), np.sum([class_areas(*p, 7) for p in pairs], axis=0))
    expected = np.sum([boundary_areas(*p, 7) for p in pairs], axis=0)
    np.testing.assert_array_equal(boundary_areas(pred, target, 7), expected)
    tensors = torch.from_numpy(pred).long(), torch.from_numpy(target).long()[:, None].squeeze(1)
    np.testing.assert_array_equal(boundary_areas(*tensors, 7), expected)
    assert mean_iou(*tensors, 7) == mean_iou(pred, target, 7)


def test_another_ignored_label():
    pred, target = random_maps(0, 11)
    eleven = np.where(target == 255, 11, target)
    assert mean_iou(pred, eleven, 11, ignore_index=11) == mean_iou(pred, target, 11)
    for void in VOID:
        assert boundary_iou(pred, eleven, 11, 11, void) == boundary_iou(pred, target, 11, void=void)


def test_nothing_to_count_is_nan():
    pred, target = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    for metric in (mean_iou, mean_accuracy, pixel_accuracy, boundary_iou):
        assert np.isnan(metric(pred, target, 3))
    assert boundary_iou(pred, target, 3, void="no_ignore") == 0


def test_class_that_is_only_predicted():
    target = np.zeros((4, 4), np.uint8)
    pred = target.copy()
    pred[0, 0] = 1
    assert mean_iou(pred, target, 3) == pytest.approx((15 / 16 + 0) / 2)
    assert mean_accuracy(pred, target, 3) == pytest.approx(15 / 16)


@pytest.mark.parametrize("metric", [mean_iou, mean_accuracy, pixel_accuracy, boundary_iou])
def test_errors_name_the_argument(metric):
    a = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match=r"pred must hold labels in 0\.\.2, got \[3, 255\]"):
        metric(np.asarray([[3, 255]], np.uint8), a[:1, :2], 3)
    with pytest.raises(ValueError, match=r"target must hold labels in 0\.\.2 or ignore_index=255, got \[4\]"):
        metric(a, a + np.uint8(4), 3)
    with pytest.raises(ValueError, match=r"target must hold labels in 0\.\.255, got -1\.\.0"):
        metric(a, np.where(np.eye(4, 5) > 0, -1, 0), 3)
    with pytest.raises(ValueError, match=r"pred must hold integer labels \(uint8 or int64\), got float32"):
        metric(torch.zeros(4, 5), a, 3)
    with pytest.raises(ValueError, match=r"same shape, got pred \[4, 5\], target \[3, 5\]"):
        metric(a, a[:3], 3)
    with pytest.raises(ValueError, match=r"pred must have the shape \[H, W\], .*, got \[5\]"):
        metric(a[0], a[0], 3)
    with pytest.raises(ValueError, match=r"num_classes must be in 1\.\.255, got 256"):
        metric(a, a, 256)
    with pytest.raises(ValueError, match=r"ignore_index must be in num_classes\.\.255, here 3\.\.255, got 2"):
        metric(a, a, 3, 2)


def test_error_of_an_unknown_void_convention():
    a = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match="void must be one of void_excluded, no_ignore, got 'mask'"):
        boundary_iou(a, a, 3, void="mask")


def test_error_of_a_label_that_zero_reduction_cannot_hold():
    with pytest.raises(ValueError, match=r"label must hold labels in 0\.\.255, got 0\.\.300"):
        reduce_zero_label(np.asarray([0, 300]))

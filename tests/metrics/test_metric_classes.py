"""The accumulating classes give what the definitions give over the whole data set."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from denseup.metrics import MattingMetrics, SegmentationMetrics, TrainingMattingMetrics, conn, grad, grad_a2u, mse, sad

pytestmark = pytest.mark.usefixtures("way")

REFERENCE = Path(__file__).parents[1] / "reference" / "metrics"
MANIFEST = json.loads((REFERENCE / "manifest.json").read_text())
SEGMENTATION = MANIFEST["segmentation"]["A"]
NAMES = ("pred", "gt", "trimap")


def matting_images():
    with np.load(REFERENCE / "matting_cases.npz") as arrays:
        return [tuple(torch.from_numpy(arrays[f"{case}__{n}"]) for n in NAMES) for case in MANIFEST["matting"]]


def segmentation_images():
    with np.load(REFERENCE / "seg_cases.npz") as arrays:
        return [tuple(torch.from_numpy(arrays[f"{i}__{n}"]) for n in NAMES[:2]) for i in SEGMENTATION["images"]]


def test_matting_means_are_those_of_the_published_values():
    metric = MattingMetrics()
    for image in matting_images():
        metric.update(*image)
    result = metric.compute()
    references = [case["float64"] for case in MANIFEST["matting"].values()]
    for name in ("SAD", "MSE", "Grad", "Conn"):
        values = [reference[name] for reference in references if reference[name] is not None]
        assert result[name.lower()].dtype == torch.float64
        assert result[name.lower()].item() == pytest.approx(np.mean(values), rel=1e-9)
    assert metric.images_without_unknown() == 1
    assert list(result) == ["sad", "mse", "grad", "conn"]


def test_matting_batches_equal_single_images():
    rng = np.random.default_rng(0)
    pred, target = (torch.from_numpy(rng.integers(0, 256, (3, 20, 24)).astype(np.uint8)) for _ in range(2))
    trimap = torch.full_like(pred, 128)
    trimap[1] = 255
    expected = [np.nanmean([f(*i) for i in zip(pred, target, trimap, strict=True)]) for f in (sad, mse, grad, conn)]
    for batch in ((pred, target, trimap), (pred[:, None], target[:, None], trimap[:, None])):
        metric = MattingMetrics()
        metric.update(*batch)
        assert [value.item() for value in metric.compute().values()] == pytest.approx(expected, rel=1e-12)
        assert metric.images_without_unknown() == 1


def test_matting_without_a_measurable_image_is_nan():
    metric = MattingMetrics()
    known = torch.zeros(4, 4, dtype=torch.uint8)
    metric.update(known, known, known)
    result = metric.compute()
    assert result["mse"].isnan()
    assert result["sad"] == 0


def test_matting_forward_gives_the_batch_and_keeps_the_data_set():
    images = matting_images()[:3]
    metric, whole = MattingMetrics(), MattingMetrics()
    for image in images:
        assert metric(*image)["sad"].item() == pytest.approx(sad(*image), rel=1e-12)
        whole.update(*image)
    assert metric.compute() == whole.compute()
    metric.reset()
    metric.update(*images[1])
    assert metric.compute()["conn"].item() == conn(*images[1])


def test_each_image_has_its_own_values():
    """In the order of the images, also of those in a batch; those of an image alone are its own metrics."""
    metric = MattingMetrics()
    images = matting_images()
    for image in images:
        metric(*image)  # not `update`: it puts the states aside, and must not lose the images
    found = metric.per_image()
    for name, function in {"sad": sad, "mse": mse, "grad": grad, "conn": conn}.items():
        np.testing.assert_array_equal(found[name], [function(*image) for image in images])
    metric.reset()
    assert metric.per_image() == {}


@pytest.mark.parametrize("void", ["void_excluded", "no_ignore"])
def test_each_labelled_image_has_the_values_of_itself_alone(void):
    whole, batched = (SegmentationMetrics(5, void=void) for _ in range(2))
    rng = np.random.default_rng(0)
    pred = torch.from_numpy(rng.integers(0, 3, (3, 20, 24)))
    target = torch.from_numpy(rng.choice([0, 1, 4, 255], (3, 20, 24)))
    target[2] = 255  # nothing to find
    batched.update(pred, target)
    for i in range(3):
        whole.update(pred[i], target[i])
        alone = SegmentationMetrics(5, void=void)
        alone.update(pred[i], target[i])
        for name, value in alone.compute().items():
            np.testing.assert_array_equal(whole.per_image()[name][i], value)
            np.testing.assert_array_equal(batched.per_image()[name][i], value)
    assert whole.per_image()["miou"][2].isnan()


def test_counts_of_images_add_up_to_the_values_of_the_data_set():
    rng = np.random.default_rng(0)
    metric = SegmentationMetrics(5)
    pairs = rng.integers(0, 4, (2, 3, 20, 24))  # no image has the last class
    metric.update(pairs[0, :2], pairs[1, :2])
    metric(pairs[0, 2], pairs[1, 2])  # not `update`: it puts the states aside, and must not lose the images
    found = metric.counts()
    for key, value in metric.compute().items():
        parts, wholes = found[key].sum(0)
        assert len(found[key]) == 3
        assert (parts[wholes > 0] / wholes[wholes > 0]).mean().item() == pytest.approx(value.item(), rel=1e-6)
    metric.reset()
    assert metric.counts() == MattingMetrics().counts() == {}


def test_half_precision_modules_leave_the_sums_alone():
    module = torch.nn.ModuleDict({"metric": MattingMetrics(), "layer": torch.nn.Linear(1, 1)})
    metric = module["metric"]
    image = matting_images()[1]
    metric.update(*image)
    module.to(torch.bfloat16).half()
    assert module["layer"].weight.dtype == torch.float16
    assert metric.compute()["sad"].dtype == torch.float64
    assert metric.compute()["sad"].item() == sad(*image)
    metric.reset()
    assert metric.sums.dtype == torch.float64


def test_a_broken_image_leaves_the_state_as_it_was():
    metric = MattingMetrics()
    good = torch.full((2, 8, 8), 128, dtype=torch.uint8)
    bad = good.clone()
    bad[1, 0, 0] = 3
    with pytest.raises(ValueError, match=r"trimap may hold 0 .* got \[3, 128\]"):
        metric.update(good, good, bad)
    assert metric.images == 0
    with pytest.raises(ValueError, match=r"pred must have the shape \[H, W\], .*, got \[2, 3, 8, 8\]"):
        metric.update(*[good[:, None].expand(2, 3, 8, 8)] * 3)


@pytest.mark.parametrize("void", ["void_excluded", "no_ignore"])
def test_segmentation_values_are_the_published_ones(void):
    metric = SegmentationMetrics(SEGMENTATION["num_classes"], void=void)
    for pred, target in segmentation_images():
        metric.update(pred.long(), target[None].squeeze(0))
    regions = SEGMENTATION["mmseg"]
    boundaries = SEGMENTATION["dataset"][void if void == "void_excluded" else "no_ignore_handling"]
    expected = {"miou": regions["mIoU"], "macc": regions["mAcc"], "aacc": regions["aAcc"], "biou": boundaries["mBIoU"]}
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx(expected, rel=1e-12)
    per_class = {"iou": regions["IoU"], "acc": regions["Acc"], "biou": boundaries["biou"]}
    assert list(metric.per_class()) == list(per_class)
    for name, values in metric.per_class().items():
        wanted = [np.nan if value is None else value for value in per_class[name]]
        np.testing.assert_allclose(values, wanted, rtol=1e-12)


def test_segmentation_batches_equal_single_images():
    rng = np.random.default_rng(0)
    pred = torch.from_numpy(rng.integers(0, 5, (3, 20, 24)))
    target = torch.from_numpy(rng.choice([0, 1, 2, 3, 4, 255], (3, 20, 24)))
    batched, single = SegmentationMetrics(5), SegmentationMetrics(5)
    batched.update(pred, target.to(torch.uint8))
    for image in zip(pred, target, strict=True):
        single.update(*image)
    assert batched.compute() == single.compute()
    assert torch.equal(batched.region, single.region)
    assert torch.equal(batched.boundary, single.boundary)
    single.reset()
    assert single.region.sum() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, r"num_classes must be in 1\.\.255, got 0"),
        ({"num_classes": 5, "ignore_index": 4}, r"ignore_index must be in num_classes\.\.255, here 5\.\.255, got 4"),
        ({"num_classes": 5, "void": "skip"}, r"void must be one of void_excluded, no_ignore, got 'skip'"),
    ],
)
def test_segmentation_options_are_checked_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        SegmentationMetrics(**arguments)


def test_segmentation_update_names_a_wrong_label():
    target = torch.full((4, 4), 9)
    with pytest.raises(ValueError, match=r"target must hold labels in 0\.\.4 or ignore_index=255, got \[9\]"):
        SegmentationMetrics(5).update(torch.zeros_like(target), target)


def test_metrics_of_training_code_look_at_alpha_before_it_is_rounded() -> None:
    """Grad by `grad_a2u` of the float alpha, under a key of its own; the others as of the rounded alpha."""
    rng = np.random.default_rng(0)
    alpha = rng.random((2, 20, 24), np.float32)
    truth = rng.integers(0, 256, alpha.shape).astype(np.uint8)
    trimap = rng.choice([0, 128, 255], alpha.shape).astype(np.uint8)
    levels = np.rint(alpha * 255).astype(np.uint8)
    training, matlab = TrainingMattingMetrics(), MattingMetrics()
    training.update(torch.from_numpy(alpha), truth, trimap)
    matlab.update(levels, truth, trimap)
    found, usual = training.compute(), matlab.compute()
    assert set(found) == {"sad", "mse", "grad_training", "conn"}
    assert all(found[key] == usual[key] for key in ("sad", "mse", "conn"))
    expected = np.mean([grad_a2u(*maps) for maps in zip(alpha, truth, trimap, strict=True)])
    assert float(found["grad_training"]) == pytest.approx(expected, rel=1e-12)
    assert [info.key for info in TrainingMattingMetrics.values] == list(TrainingMattingMetrics.measures)
    with pytest.raises(ValueError, match=r"pred must be uint8, or floating point in \[0, 1\], got float32"):
        training.update(alpha + 1, truth, trimap)
    with pytest.raises(ValueError, match="nan"):
        training.update(np.full_like(alpha, np.nan), truth, trimap)

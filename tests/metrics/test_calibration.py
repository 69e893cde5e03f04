"""Calibration error and confusion matrix are their definitions, and torchmetrics'."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError, MulticlassConfusionMatrix

from denseup.metrics.functional.calibration import reliability
from denseup.metrics.functional.confusion import by_row, confusion
from denseup.metrics.functional.segmentation import class_areas

CLASSES = 4


def drawn(seed: int, shape: tuple[int, ...] = (20, 30), sharpness: float = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities [1, classes, H, W] and labels with some ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, CLASSES, *shape, generator=generator, dtype=torch.float64)
    probabilities = (logits * sharpness).softmax(1)
    label = torch.randint(CLASSES, (1, *shape), generator=generator)
    label[torch.rand(label.shape, generator=generator) < 0.2] = 255
    return probabilities, label


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("sharpness", [0.5, 1, 2])
def test_the_error_is_torchmetrics(bins: int, sharpness: float) -> None:
    """Where no probability is 1, which torchmetrics has in a bin of its own."""
    probabilities, label = drawn(3, sharpness=sharpness)
    sure, chosen = probabilities.max(1)
    assert sure.max() < 1
    oracle = MulticlassCalibrationError(CLASSES, n_bins=bins, norm="l1", ignore_index=255).set_dtype(torch.float64)
    expected = float(oracle(probabilities, label))
    found = reliability(sure, chosen, label, 255, bins)
    borders = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    assert (sure.flatten()[:, None] - borders).abs().min() > 1e-7  # float32 borders, as torchmetrics', are no others
    assert found.error == pytest.approx(expected, abs=1e-6)  # sums of some 500 float32 numbers up to 1, divided by 500
    assert found.pixels.sum() == (label != 255).sum()


def test_the_error_by_hand() -> None:
    """Two bins: confidences 0.5 | 0.6, 1; of the first none is right, of the second one of two."""
    found = reliability(
        np.array([0.5, 0.6, 1.0, 0.9]), np.array([0, 1, 1, 0]), np.array([1, 1, 0, 255]), ignore_index=255, bins=2
    )
    assert found.pixels.tolist() == [1, 2]
    assert found.right.tolist() == [0, 1]
    assert found.error == pytest.approx((abs(0 - 0.5) + abs(1 - 1.6)) / 3)
    assert found.accuracy.tolist() == [0, 0.5]


def test_a_confidence_on_a_border_belongs_below_and_zero_to_the_first_bin() -> None:
    found = reliability(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.zeros(5, int), np.zeros(5, int), 255, 4)
    assert found.pixels.tolist() == [2, 1, 1, 1]


def test_perfect_and_overconfident_predictions() -> None:
    right = reliability(np.ones(9), np.zeros(9, int), np.zeros(9, int), 255, 15)
    assert right.error == 0
    wrong = reliability(np.ones(9), np.ones(9, int), np.zeros(9, int), 255, 15)
    assert wrong.error == 1
    assert np.isnan(reliability(np.ones(2), np.zeros(2, int), np.full(2, 255), 255, 15).error)


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_what_is_no_confidence(value: float) -> None:
    with pytest.raises(ValueError, match=r"confidence must be in \[0, 1\]"):
        reliability(np.array([value]), np.zeros(1, int), np.zeros(1, int), 255, 15)


def test_the_confusion_matrix_is_torchmetrics_and_has_the_areas() -> None:
    probabilities, label = drawn(5)
    chosen = probabilities.argmax(1)
    found = confusion(chosen, label, CLASSES)
    oracle = MulticlassConfusionMatrix(CLASSES, ignore_index=255)
    assert np.array_equal(found, oracle(chosen, label).numpy())
    areas = class_areas(chosen, label, CLASSES)
    assert np.array_equal(np.diag(found), areas.intersection)
    assert np.array_equal(found.sum(1), areas.target)
    assert np.array_equal(found.sum(0), areas.pred)
    assert np.allclose(by_row(found).sum(1), 1)


def test_rows_that_are_never_true() -> None:
    found = by_row(confusion(np.array([[0, 1]]), np.array([[0, 255]]), 3))
    assert found[0].tolist() == [1, 0, 0]
    assert np.isnan(found[1:]).all()

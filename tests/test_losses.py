"""The losses equal the published code on the golden vectors: values and gradients."""

import pytest
import torch
from golden import array, manifest
from rounding import check_sums

from denseup.losses import alpha_loss, composition_loss, matting_loss, segmentation_loss

MATTING = [name for name in manifest("losses") if name.startswith("matting_weighted")]


@pytest.mark.parametrize("name", MATTING)
def test_matting_loss(name: str) -> None:
    alpha = array("losses", f"{name}/pred").double().requires_grad_()
    target, unknown, *colours = array("losses", f"{name}/gt").double().split([1, 1, 3, 3, 3], 1)
    loss = matting_loss(alpha, target, unknown, tuple(colours))
    loss.backward()
    check_sums(loss.detach(), array("losses", f"{name}/loss"), "loss")
    check_sums(alpha.grad, array("losses", f"{name}/grad_pred"), "gradient")
    check_sums(alpha_loss(alpha, target, unknown).detach(), array("losses", f"{name}/loss_alpha_only"), "alpha")
    check_sums(
        composition_loss(alpha, *colours, unknown).detach(), array("losses", f"{name}/loss_comp_only"), "composition"
    )
    assert matting_loss(alpha, target, unknown) == alpha_loss(alpha, target, unknown)


def test_segmentation_loss() -> None:
    logits = array("losses", "seg_ce_mmseg/logits").requires_grad_()
    label = array("losses", "seg_ce_mmseg/labels")
    loss = segmentation_loss(logits, label)
    loss.backward()
    check_sums(loss.detach(), array("losses", "seg_ce_mmseg/loss"), "loss")
    check_sums(logits.grad, array("losses", "seg_ce_mmseg/grad_logits"), "gradient")
    valid = segmentation_loss(logits, label, average="valid")
    check_sums(valid.detach(), array("losses", "seg_ce_mmseg/loss_valid_mean"), "valid mean")
    with pytest.raises(ValueError, match="average is 'some'"):
        segmentation_loss(logits, label, average="some")


def test_a_label_without_a_class_has_loss_zero() -> None:
    logits, label = torch.randn(1, 3, 2, 2), torch.full((1, 4, 4), 255)
    assert segmentation_loss(logits, label) == 0
    assert segmentation_loss(logits, label, average="valid") == 0


@pytest.mark.parametrize("name", ["alpha", "target", "unknown"])
def test_masks_and_maps_are_dense(name: str) -> None:
    arguments = dict.fromkeys(("alpha", "target", "unknown"), torch.ones(1, 1, 2, 2))
    for spoiled in (arguments[name].to_sparse(), torch.nested.nested_tensor([torch.ones(1, 2, 2)])):
        with pytest.raises(ValueError, match=f"{name} is .*, expected a dense tensor"):
            alpha_loss(**arguments | {name: spoiled})


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_an_ignored_label_is_an_int64(number: int) -> None:
    logits, label = torch.randn(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match=f"ignore_index is {number}, expected a whole number, as an int64 holds it"):
        segmentation_loss(logits, label, number)
    assert segmentation_loss(logits, label, number + (1 if number < 0 else -1)) > 0

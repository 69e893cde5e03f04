"""Whole-image prediction and the trivial answer of both tasks."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from denseup.data import DemoMatting, DemoScenes
from denseup.metrics import mean_iou
from denseup.tasks import MattingTask, SegmentationTask
from denseup.tasks.base import Optimization
from denseup.tasks.images import in_turns, names_of
from denseup.tasks.matting import pad_to_multiple


class Constant(nn.Module):
    """Answers the same everywhere, and records the sizes it is asked about."""

    def __init__(self, channels: int, value: float, stride: int = 1) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.full((channels, 1, 1), value))
        self.stride = stride
        self.sizes: list[torch.Size] = []

    def backbone_parameters(self) -> list[nn.Parameter]:
        return []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(x.shape[2:])
        height, width = (side // self.stride for side in x.shape[2:])
        return self.bias.expand(len(x), -1, height, width)


def collate(sample: dict) -> dict:
    return {key: value[None] if torch.is_tensor(value) else [value] for key, value in sample.items()}


def test_matting_prediction_keeps_what_is_known() -> None:
    network = Constant(1, 1.7)
    task = MattingTask(network)
    trimap = torch.tensor([0, 128, 255], dtype=torch.uint8).repeat(37, 9)[None, None, :, :25]
    prediction = task.predict({"image": torch.rand(1, 3, 37, 25), "trimap": trimap})
    assert network.sizes == [(48, 32)]
    assert prediction.dtype == torch.uint8
    assert torch.equal(prediction[0], torch.where(trimap[0, 0] == 128, 255, trimap[0, 0]))


def test_padding_reflects_right_and_bottom() -> None:
    x = torch.arange(25.0).view(1, 1, 5, 5)
    padded = pad_to_multiple(x, 8)
    assert padded.shape == (1, 1, 8, 8)
    assert torch.equal(padded[..., :5, :5], x)
    assert torch.equal(padded[0, 0, 0], torch.tensor([0.0, 1, 2, 3, 4, 3, 2, 1]))
    assert pad_to_multiple(x[..., :1, :1], 16).shape == (1, 1, 16, 16)


def test_matting_baseline_is_one_half_in_the_unknown_region() -> None:
    task = MattingTask(Constant(1, 0.5))
    expected = []
    data = DemoMatting("val", length=3)
    for i in range(3):
        batch = collate(data[i])
        task.update_metrics(task.predict(batch), batch)
        unknown = batch["trimap"] == 128
        expected.append((batch["alpha"][unknown].double() / 255 - 128 / 255).abs().sum().item() / 1000)
    assert task.compute_baseline()["sad"] == pytest.approx(sum(expected) / 3, rel=1e-5)
    assert float(task.metrics.compute()["sad"]) == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_segmentation_baseline_is_the_most_frequent_class() -> None:
    network = Constant(4, 0.0, stride=4)
    network.bias.data[0] = 1
    task = SegmentationTask(network, num_classes=4)
    data = DemoScenes("val", length=4, image_size=128)
    for i in range(4):
        batch = collate(data[i])
        task.update_metrics(task.predict(batch), batch)
    labels = torch.stack([data[i]["label"] for i in range(4)])
    assert labels.flatten().mode().values == 0
    expected = mean_iou(torch.zeros_like(labels), labels, 4)
    assert task.compute_baseline()["miou"] == pytest.approx(expected)
    assert float(task.metrics.compute()["miou"]) == pytest.approx(expected)


def test_segmentation_prediction_has_the_labels_size() -> None:
    task = SegmentationTask(Constant(3, 0.0, stride=4), num_classes=3)
    batch = {"image": torch.rand(1, 3, 64, 48), "label": torch.zeros(1, 101, 75, dtype=torch.int64)}
    assert task.predict(batch).shape == (1, 101, 75)


def test_matting_without_foregrounds_uses_the_alpha_loss_alone() -> None:
    task = MattingTask(Constant(1, 0.25))
    batch = collate(DemoMatting("train", length=2)[0, 0])
    both = task.loss(batch)
    alone = task.loss({key: batch[key] for key in ("image", "trimap", "alpha")})
    assert both.item() != alone.item()


class WithNorms(Constant):
    def __init__(self) -> None:
        super().__init__(1, 0.0)
        self.norm, self.head_norm = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def backbone_parameters(self) -> list[nn.Parameter]:
        return list(self.norm.parameters())


@pytest.mark.parametrize(
    ("recipe", "training"),
    [
        ({}, (True, True)),
        ({"freeze_backbone_norms": True}, (False, True)),
        ({"freeze_norms_after": 0.5}, (True, True)),
        ({"freeze_norms_after": 0.25}, (False, False)),
    ],
)
def test_norms_are_frozen_when_the_recipe_says_so(recipe: dict, training: tuple[bool, bool]) -> None:
    """At step 30 of 100."""
    task = MattingTask(WithNorms(), Optimization(torch.optim.Adam, 0.1, **recipe)).train()
    task.trainer = SimpleNamespace(global_step=30, estimated_stepping_batches=100)
    task.on_train_batch_start({}, 0)
    assert (task.network.norm.training, task.network.head_norm.training) == training


def test_training_needs_a_recipe() -> None:
    with pytest.raises(ValueError, match="evaluation only"):
        MattingTask(Constant(1, 0.5)).configure_optimizers()


def test_images_of_processes_that_take_turns_come_in_the_order_of_the_data() -> None:
    assert in_turns([["a", "d", "g"], ["b", "e"], ["c", "f"]]) == list("abcdefg")
    assert in_turns([[], []]) == []


def test_images_without_a_name_go_by_their_place() -> None:
    assert names_of({"name": ["x", "y"]}, 2, 0) == ["x", "y"]
    assert names_of({}, 2, 4) == ["4", "5"]

"""Images down to a pixel, through reading, training crops, network, metrics and picture."""

import numpy as np
import pytest
import torch
from data.sample_folders import noise, write
from torch.utils.data import default_collate

from denseup.data import (
    DemoMatting,
    DemoScenes,
    MattingAugmentation,
    MattingFolder,
    SegmentationAugmentation,
    SegmentationFolder,
)
from denseup.networks import MattingResNet34, SegFormer
from denseup.tasks import MattingTask, SegmentationTask

SIZES = [(1, 1), (2, 40), (17, 3), (28, 28)]
TINY = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1]}


def matting(root, size):
    alpha = np.full(size, 100, np.uint8)
    write(root / "image" / "a.png", noise(0, *size))
    write(root / "alpha" / "a.png", alpha)
    crops = MattingFolder(root, augmentation=MattingAugmentation.scaled(32))
    return MattingTask(MattingResNet34("bilinear", width=2)), MattingFolder(root), crops


def segmentation(root, size):
    write(root / "images" / "a.png", noise(0, *size))
    write(root / "labels" / "a.png", np.ones(size, np.uint8))
    network = SegFormer("b0", 2, "bilinear", embed_dim=8, backbone=TINY)
    crops = SegmentationFolder(root, 2, augmentation=SegmentationAugmentation(20, 24, 96))
    return SegmentationTask(network, num_classes=2), SegmentationFolder(root, 2), crops


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [matting, segmentation])
def test_training_and_evaluation(tmp_path, make, size):
    task, whole, crops = make(tmp_path, size)
    batch = default_collate([crops[0, 0], crops[1, 0]])
    task.train()
    assert task.loss(batch).isfinite()
    task.eval()
    batch = default_collate([whole[0]])
    with torch.no_grad():
        prediction = task.predict(batch)
    assert prediction.shape == (1, *size)
    task.update_metrics(prediction, batch)
    assert all(value >= 0 for value in task.metrics.compute().values())
    assert task.panel(prediction[0].numpy(), batch).shape[2] == 3


@pytest.mark.parametrize("size", [*SIZES, (29, 29), (28, 70)])
def test_logits_of_short_sides_are_those_of_the_padded_image(size):
    network = SegFormer("b0", 2, "bilinear", embed_dim=8, backbone=TINY).eval()
    image = torch.rand(1, 3, *size)
    padded = torch.nn.functional.pad(image, (0, max(29 - size[1], 0), 0, max(29 - size[0], 0)))
    logits = network(image)
    assert logits.shape == (1, 2, -(-size[0] // 4), -(-size[1] // 4))
    assert torch.equal(logits, network(padded)[..., : logits.shape[2], : logits.shape[3]])


def test_crops_of_a_pixel_mirrored_or_not():
    for crops in (DemoMatting("train", crop_size=1, length=16), DemoScenes("train", crop_size=1, length=16)):
        assert {crops[0, index]["image"].shape for index in range(16)} == {(3, 1, 1)}

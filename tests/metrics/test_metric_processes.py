"""Two processes that share a data set get what one process gets."""

import os

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from denseup.metrics import MattingMetrics, SegmentationMetrics

NUM_CLASSES = 6
IMAGES = 5


def matting_image(index):
    rng = np.random.default_rng(index)
    pred, target = (torch.from_numpy(rng.integers(0, 256, (24, 18)).astype(np.uint8)) for _ in range(2))
    # The last image has no unknown region.
    trimap = torch.full_like(pred, 0 if index == IMAGES - 1 else 128)
    return pred, target, trimap


def segmentation_image(index):
    # Sizes differ, and class 0 occurs in images 0 and 3 alone.
    rng = np.random.default_rng(index)
    shape = (20 + index, 30)
    pred, noise = (rng.integers(int(index % 3 > 0), NUM_CLASSES - 1, shape) for _ in range(2))
    target = np.where(rng.random(shape) < 0.6, pred, noise)
    target[rng.random(shape) < 0.1] = 255
    return torch.from_numpy(pred), torch.from_numpy(target)


def measure(indices):
    matting, segmentation = MattingMetrics(), SegmentationMetrics(NUM_CLASSES)
    for index in indices:
        matting.update(*matting_image(index))
        segmentation.update(*segmentation_image(index))
    return {
        "values": {**matting.compute(), **segmentation.compute()},
        "per_class": segmentation.per_class(),
        "left_out": matting.images_without_unknown(),
        "local": (matting.images.item(), segmentation.region.sum().item()),
    }


def worker(rank, folder):
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.save(measure(range(rank, IMAGES, 2)), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo back end")
def test_two_processes_equal_one(tmp_path):
    mp.spawn(worker, args=(str(tmp_path),), nprocs=2)
    alone, results = measure(range(IMAGES)), [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for rank, result in enumerate(results):
        for name, value in alone["values"].items():
            assert result["values"][name].item() == pytest.approx(value.item(), rel=1e-12), name
        for name, values in alone["per_class"].items():
            torch.testing.assert_close(result["per_class"][name], values, rtol=0, atol=0, equal_nan=True)
        assert result["left_out"] == alone["left_out"] == 1
        # Reading the shared result must not have put the other's images into this process's state.
        assert result["local"][0] == len(range(rank, IMAGES, 2))
    assert sum(result["local"][1] for result in results) == alone["local"][1]

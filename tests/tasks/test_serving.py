"""What an exported file computes is what the evaluation measures."""

import pytest
import torch
from exporting.served_tasks import small_matting, whole_task

from denseup.tasks.matting import pad_to_multiple
from denseup.tasks.serving import reflected


@pytest.mark.parametrize("size", [(48, 32), (33, 50), (9, 20), (8, 20), (20, 8), (1, 1), (17, 1)])
def test_reflection_is_that_of_the_evaluation(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    assert torch.equal(reflected(x, 16), pad_to_multiple(x, 16))


@pytest.mark.parametrize("size", [(64, 96), (50, 71), (9, 13)])
def test_matting(size: tuple[int, int]) -> None:
    task = small_matting()
    image = torch.rand(2, 3, *size)
    levels = torch.tensor([0, 128, 255], dtype=torch.uint8)
    trimap = levels[torch.randint(3, (2, 1, *size))]
    with torch.no_grad():
        expected = task.predict({"image": image, "trimap": trimap})
        served = task.serve(image, torch.tensor([0.0, 0.5, 1.0])[(trimap.long() + 127) // 128])  # type: ignore[call-arg]
        by_levels = task.serve(image, trimap / 255)  # type: ignore[call-arg]
    assert served.shape == (2, 1, *size)
    assert torch.equal((served[:, 0] * 255).round().byte(), expected)
    assert torch.equal(served, by_levels)


@pytest.mark.parametrize(
    ("upsampler", "size"), [("fade", (50, 71)), ("pixel_shuffle", (64, 96)), ("pixel_shuffle", (50, 71))]
)
def test_segmentation(upsampler: str, size: tuple[int, int]) -> None:
    task = whole_task("segmentation", upsampler)
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = task.predict({"image": image, "label": torch.zeros(2, *size)})
        served = task.serve(image)
    assert torch.equal(served.argmax(1).byte(), expected)

"""What a frozen encoder is trained with: the same samples in every epoch and for every seed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from data.sample_folders import label_folder, matting_folder, noise, write
from torch.utils.data import Dataset

from denseup.data.datamodules import DemoData, FrozenData, MattingFolderData, SegmentationFolderData
from denseup.data.datamodules.frozen import collate


def length(dataset: Dataset) -> int:
    return len(dataset)  # type: ignore[arg-type]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one if isinstance(one[key], torch.Tensor))


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_crops_are_drawn_once_for_all_seeds_and_epochs(task: str) -> None:
    one, other = (DemoData(task, crop_size=32, train_length=6, seed=seed).fixed_views() for seed in (0, 5))
    assert length(one) == 6
    assert same(one[(0, 3)], one[(9, 3)])
    assert same(one[(0, 3)], other[(0, 3)])
    assert not same(one[(0, 3)], one[(0, 4)])
    trained = DemoData(task, crop_size=32, train_length=6, seed=0).make("train")
    assert same(one[3], trained[(0, 3)]), "they are the first epoch of seed 0"


def test_several_crops_of_each_image(tmp_path: Path) -> None:
    root = label_folder(tmp_path, 3, "train")
    views = SegmentationFolderData(str(root), 3, crop_size=32, short_side=60, fixed_views=4).fixed_views()
    assert length(views) == 12
    assert not same(views[1], views[4]), "two crops of one image"
    assert views[1]["name"] == views[4]["name"]


@pytest.mark.parametrize("kind", ["segmentation", "matting"])
def test_whole_images_and_their_mirror_images(tmp_path: Path, kind: str) -> None:
    if kind == "segmentation":
        root = label_folder(tmp_path, 2, "train")
        data: Any = SegmentationFolderData(str(root), 3, crop_size=32, fixed_views="whole")
    else:
        data = MattingFolderData(str(matting_folder(tmp_path, 2, "train")), crop_size=32, fixed_views="whole")
    views = data.fixed_views()
    assert length(views) == 4
    for name, value in views[1].items():
        turned = views[(3, 3)][name]
        if isinstance(value, torch.Tensor):
            assert torch.equal(turned, value.flip(-1)), name
            assert value.shape[-2:] == (60, 80)
        else:
            assert turned == value


def test_whole_images_of_two_sizes_are_no_batch(tmp_path: Path) -> None:
    root = label_folder(tmp_path, 1, "train")
    write(root / "images" / "train" / "smaller.png", noise(0, 40, 44))
    write(root / "labels" / "train" / "smaller.png", noise(0, 40, 44)[..., 0] % 3)
    data = SegmentationFolderData(str(root), 3, crop_size=32, fixed_views="whole", batch_size=2, num_workers=0)
    with pytest.raises(ValueError, match=r"different sizes.*(40×44.*60×80|60×80.*40×44).*fixed_views"):
        next(iter(FrozenData(data).train_dataloader()))


@pytest.mark.parametrize("views", [0, -1, 1.5, "all", None])
def test_a_number_of_views_that_is_none(tmp_path: Path, views: Any) -> None:
    with pytest.raises(ValueError, match=rf"fixed_views={views!r}: expected a number of crops"):
        SegmentationFolderData(str(tmp_path), 3, fixed_views=views)


def test_the_order_is_that_of_the_seed() -> None:
    def names(seed: int) -> list[str]:
        data = FrozenData(DemoData("segmentation", crop_size=32, train_length=6, batch_size=2, seed=seed))
        return [name for batch in data.train_dataloader() for name in batch["name"]]

    assert names(0) == names(0)
    assert names(0) != names(1)
    assert sorted(names(0)) == sorted(names(1))


def test_maps_of_a_batch_stay_channels_last() -> None:
    samples = [{"image": torch.rand(3, 6, 8), "name": "a", "maps": [torch.rand(4, 3, 4), torch.rand(9, 2, 2)]}] * 3
    batch = collate(samples)
    assert batch["name"] == ["a"] * 3
    assert [tuple(x.shape) for x in batch["maps"]] == [(3, 4, 3, 4), (3, 9, 2, 2)]
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in batch["maps"])
    assert torch.equal(batch["maps"][0][1], samples[1]["maps"][0])  # type: ignore[index]

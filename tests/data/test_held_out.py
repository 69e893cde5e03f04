"""Settings are chosen by images that were not trained on: no sample of one part shares a file with one of the other."""

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from data.sample_folders import label_folder
from torch.utils.data import Dataset

from denseup.data.datamodules import DemoData, DenseData, FrozenData, HeldOutData, SegmentationFolderData
from denseup.data.datasets.composites import CompositeDataset
from denseup.data.datasets.fixed import FixedViews
from denseup.data.datasets.parting import files_of_parts, held_out, held_samples, hold_out_of
from denseup.data.demo.manifest import demo_files
from denseup.data.reading.samples import Cached
from denseup.data.transforms.matting import MattingAugmentation

FOREGROUNDS, BACKGROUNDS = ([file.path for file in demo_files(kind, "train")] for kind in ("foreground", "background"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """The files that samples asked for."""
    found: set[Path] = set()
    call = Cached.__call__

    def recorded(self: Cached, *args: Any) -> Any:
        found.update(arg for arg in args if isinstance(arg, Path))
        return call(self, *args)

    monkeypatch.setattr(Cached, "__call__", recorded)
    return found


def files_of(dataset: Dataset, read: set[Path]) -> set[Path]:
    read.clear()
    for epoch in range(3):
        for index in range(len(dataset)):  # type: ignore[arg-type]
            dataset[(epoch, index)]
    return set(read)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_parts_share_no_file(task: str, frozen: bool, read: set[Path]) -> None:
    data: DenseData = DemoData(task, crop_size=32, image_size=64, train_length=80, batch_size=2).parted(0.25)
    data = HeldOutData(FrozenData(data) if frozen else data)
    trained, held = (files_of(data.dataset(split), read) for split in ("train", "val"))
    assert trained
    assert held
    assert not trained & held
    loaders = data.train_dataloader(), data.val_dataloader()
    names = [{str(name) for batch in loader for name in batch["name"]} for loader in loaders]
    assert not names[0] & names[1]
    assert len(data.dataset("val")) == len(data.dataset("test"))  # type: ignore[arg-type]


def test_samples_that_are_not_parted_stay_as_they_were(read: set[Path]) -> None:
    """A part of the list draws other files; without one the numbers drawn are the same as ever."""
    how = MattingAugmentation.scaled(32, trimap_scale=0.3)
    whole = CompositeDataset(FOREGROUNDS, BACKGROUNDS, augmentation=how)
    files = files_of(whole, read)
    assert set(FOREGROUNDS) <= files
    assert len(files & set(BACKGROUNDS)) > len(BACKGROUNDS) / 2
    whole.parted(0.25)
    again = CompositeDataset(FOREGROUNDS, BACKGROUNDS, augmentation=how)
    assert all(torch.equal(whole[0, i]["image"], again[0, i]["image"]) for i in range(8))


@pytest.mark.parametrize("length", [6, 45, 100])
def test_all_samples_of_a_foreground_are_on_one_side(length: int) -> None:
    data = CompositeDataset(FOREGROUNDS, BACKGROUNDS, length=length).parted(0.25)
    held = held_samples(data, 0.25)
    sides = {
        name: {held[i] for i in range(length) if data.foregrounds[i % len(FOREGROUNDS)] == name} for name in FOREGROUNDS
    }
    assert all(len(side) <= 1 for side in sides.values())
    images = min(length, len(FOREGROUNDS))
    assert sum(held[:images]) == images - round(0.75 * images)
    assert held_samples(FixedViews(data, 3), 0.25) == held * 3


def test_kinds_of_foregrounds_are_on_both_sides() -> None:
    """Lists are ordered by kind: the last ones of the demo's are all plants."""
    kinds = [file.class_index for file in demo_files("foreground", "train")]
    trained, held = files_of_parts(kinds, 0.25)
    assert set(trained) == set(held) == set(kinds)


@pytest.mark.parametrize("views", ["whole", 2])
def test_images_with_files_of_their_own_are_parted_in_their_order(tmp_path: Path, views: Any) -> None:
    root = label_folder(tmp_path, 4, "train")
    folder = SegmentationFolderData(str(root), 3, crop_size=32, short_side=60, fixed_views=views).parted(0.25)
    data = HeldOutData(FrozenData(folder))
    names = [[str(data.dataset(split)[i]["name"]) for i in range(n)] for split, n in (("train", 6), ("val", 2))]
    every = sorted({*names[0], *names[1]})
    assert (sorted(set(names[0])), sorted(set(names[1]))) == (every[:3], every[3:])
    assert hold_out_of(folder.fixed_views()) is None, "whose kept features serve runs that hold nothing out"


@pytest.mark.parametrize("number", [2, 3, 4, 7, 100])
@pytest.mark.parametrize("share", [0.2, 0.25, 0.5, 0.7])
def test_shares(number: int, share: float) -> None:
    expected = number - round((1 - share) * number)
    for spread in (False, True):
        if expected == 0:
            with pytest.raises(ValueError, match=f"of {number} images that leaves one side without any"):
                held_out(number, share, spread)
            continue
        held = held_out(number, share, spread)
        assert (len(held), sum(held)) == (number, expected)
    if expected:
        assert held_out(number, share, spread=False) == [False] * (number - expected) + [True] * expected
        gaps = [place for place, side in enumerate([True, *held_out(number, share, spread=True), True]) if side]
        assert max(b - a for a, b in pairwise(gaps)) <= -(-number // expected) + 1


def test_too_few_files_serve_both_parts() -> None:
    assert files_of_parts([1], 0.25) == ([1], [1])
    assert files_of_parts([1, 2], None) == ([1, 2], [1, 2])
    assert files_of_parts([1, 2], 0.5) == ([1], [2])


def test_parted_data_sets_travel_to_workers() -> None:
    data = CompositeDataset(FOREGROUNDS, BACKGROUNDS, augmentation=MattingAugmentation.scaled(32)).parted(0.25)
    assert torch.equal(pickle.loads(pickle.dumps(data))[0, 1]["image"], data[0, 1]["image"])


def test_data_that_is_not_parted() -> None:
    with pytest.raises(ValueError, match=r"not parted, expected data\.parted\(SHARE\)"):
        HeldOutData(DemoData("matting"))

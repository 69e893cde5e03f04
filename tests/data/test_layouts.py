"""Folders as real sets have them: sub-folders, and names that end differently for each kind of file."""

import numpy as np
import pytest
from data.sample_folders import disc, label_folder, noise, write

from denseup.data import DataError, MattingFolder, SegmentationFolder, check_dataset
from denseup.data.datamodules import MattingFolderData, SegmentationFolderData

CITYSCAPES = {"images": "leftImg8bit", "labels": "gtFine"}
SUFFIXES = {"image_suffix": "_leftImg8bit", "label_suffix": "_gtFine_labelTrainIds"}


def cityscapes(root, splits=("train", "val")):
    """Two cities a split, each with the same names, so that a stem alone would not tell them apart."""
    for number, (split, city) in enumerate((split, city) for split in splits for city in ("ulm", "bern")):
        for frame in ("000_1", "000_2"):
            write(root / "leftImg8bit" / split / city / f"{frame}_leftImg8bit.png", noise(number, 6, 8))
            for kind, value in (("labelTrainIds", number), ("labelIds", 33), ("color", 99)):
                write(root / "gtFine" / split / city / f"{frame}_gtFine_{kind}.png", np.full((6, 8), value, np.uint8))
    return root


def test_cityscapes(tmp_path):
    data = SegmentationFolderData(
        str(cityscapes(tmp_path)), 4, crop_size=8, batch_size=2, num_workers=0, **CITYSCAPES, **SUFFIXES
    )
    samples = [data.dataset("val")[index] for index in range(4)]
    assert [sample["name"] for sample in samples] == ["bern/000_1", "bern/000_2", "ulm/000_1", "ulm/000_2"]
    assert [int(sample["label"].unique()) for sample in samples] == [3, 3, 2, 2]
    assert np.array_equal(
        samples[2]["image"].numpy(), noise(2, 6, 8).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    )
    assert len(data.dataset("train")) == 4
    assert next(iter(data.train_dataloader()))["label"].shape == (2, 8, 8)
    assert check_dataset(data.dataset("train")) == []


def test_a_partner_in_another_folder_is_none(tmp_path):
    root = cityscapes(tmp_path)
    (root / "gtFine" / "val" / "ulm" / "000_2_gtFine_labelTrainIds.png").rename(root / "gtFine" / "val" / "a.png")
    with pytest.raises(
        DataError,
        match=r"val: found no label file for 000_2_leftImg8bit\.png; expected .*ulm/000_2_gtFine_labelTrainIds",
    ):
        SegmentationFolder(root, 4, split="val", **CITYSCAPES, **SUFFIXES)


def test_what_is_not_found_is_named(tmp_path):
    root = cityscapes(tmp_path)
    with pytest.raises(DataError, match=r"image_suffix='_rgb' before its extension, but 4 others, such as 000_1_left"):
        SegmentationFolder(root, 4, split="val", image_suffix="_rgb", **CITYSCAPES)
    (root / "gtFine" / "val" / "bern" / "000_1_gtFine_labelIds.png").unlink()
    with pytest.raises(
        DataError,
        match=r"There is 000_1_gtFine_color\.png: .* by image_suffix and label_suffix \(now '_leftImg8bit' and ''\)",
    ):
        SegmentationFolder(root, 4, split="val", image_suffix="_leftImg8bit", **CITYSCAPES)


def test_matting_folders_with_suffixes(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / "image" / "val" / folder / "x_rgb.jpg", noise(0))
        write(tmp_path / "alpha" / "val" / folder / "x_matte.png", disc())
        write(tmp_path / "trimap" / "val" / folder / "x_tri.png", np.full((60, 80), 1, np.uint8))
    data = MattingFolderData(
        str(tmp_path), trimap="trimap", image_suffix="_rgb", alpha_suffix="_matte", trimap_suffix="_tri",
        trimap_values={1: 128}, num_workers=0,
    )  # fmt: skip
    batches = list(data.val_dataloader())
    assert [batch["name"] for batch in batches] == [["a/x"], ["b/x"]]
    assert all((batch["trimap"] == 128).all() for batch in batches)


def test_images_and_mattes_in_one_folder(tmp_path):
    write(tmp_path / "image" / "x_rgb.png", noise(0))
    write(tmp_path / "image" / "x_matte.png", disc())
    dataset = MattingFolder(tmp_path, alpha="image", image_suffix="_rgb", alpha_suffix="_matte")
    assert [dataset[0]["name"], len(dataset)] == ["x", 1]


def test_hidden_files_and_circular_links(tmp_path):
    label_folder(tmp_path, 2)
    write(tmp_path / "images" / ".thumbnails" / "im9.png", noise(0))
    write(tmp_path / "images" / "._im8.png", noise(0))
    (tmp_path / "images" / "again").symlink_to(tmp_path / "images", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    for kind in ("images", "labels"):
        write(tmp_path / "elsewhere" / kind / "im7.png", np.zeros((6, 8), np.uint8))
        (tmp_path / kind / "linked").symlink_to(tmp_path / "elsewhere" / kind, target_is_directory=True)
    dataset = SegmentationFolder(tmp_path, 3)
    assert dataset.names == ["im0", "im1", "linked/im7"]

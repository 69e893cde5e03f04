import numpy as np
import pytest
import torch
from configuring import labelled
from data.sample_folders import REAL_DATA, disc, label_folder, matting_folder, noise, write

from denseup.data import (
    DataError,
    MattingAugmentation,
    MattingFolder,
    SegmentationAugmentation,
    SegmentationFolder,
    check_dataset,
    composition1k_test,
    composition1k_train,
    read_alpha,
)

SMALL = MattingAugmentation.scaled(32)
real_data = pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no real data sets in {REAL_DATA} (they are optional)")


def test_matting_folder_evaluates_whole_images(tmp_path):
    for trimap in ("trimap", None):
        dataset = MattingFolder(matting_folder(tmp_path), trimap=trimap)
        sample = dataset[1]
        assert len(dataset) == 4
        assert sample["name"] == "im1"
        assert np.array_equal(sample["image"].numpy(), noise(1).transpose(2, 0, 1).astype(np.float32) / np.float32(255))
        assert np.array_equal(sample["alpha"][0].numpy(), disc())
        assert (sample["alpha"][sample["trimap"] == 0] == 0).all()
        assert (sample["alpha"][sample["trimap"] == 255] == 255).all()
        assert torch.equal(sample["trimap"], dataset[1]["trimap"])


def test_matting_folder_training_crops(tmp_path):
    dataset = MattingFolder(matting_folder(tmp_path, split="train"), split="train", augmentation=SMALL)
    sample = dataset[0, 3]
    assert set(sample) == {"image", "alpha", "trimap", "name"}
    assert sample["image"].shape == (3, 32, 32)
    assert sample["alpha"].dtype == torch.float32
    assert torch.equal(sample["image"], dataset[0, 3]["image"])
    assert not torch.equal(sample["image"], dataset[1, 3]["image"])


def test_missing_root_names_argument_path_and_layout(tmp_path):
    with pytest.raises(DataError, match=r"root='.*nowhere': found nothing there; expected .*ROOT/image/.*ROOT/alpha"):
        MattingFolder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"root='.*nowhere': .*ROOT/images/.*ROOT/labels"):
        SegmentationFolder(tmp_path / "nowhere", 3)


def test_missing_and_empty_sub_folders(tmp_path):
    with pytest.raises(DataError, match=r"image: no such folder; expected the image files in it"):
        MattingFolder(tmp_path)
    (tmp_path / "image").mkdir()
    with pytest.raises(DataError, match=r"image: found no image files; expected files ending in one of \.png"):
        MattingFolder(tmp_path)


def test_missing_partners_are_listed_together(tmp_path):
    matting_folder(tmp_path)
    for name in ("im1.png", "im3.png"):
        (tmp_path / "alpha" / name).unlink()
    with pytest.raises(DataError, match=r"alpha: found no alpha file for im1\.png, im3\.png; expected .* the 4 images"):
        MattingFolder(tmp_path)


def test_two_files_of_one_name(tmp_path):
    matting_folder(tmp_path)
    write(tmp_path / "image" / "im0.jpg", noise(0))
    with pytest.raises(DataError, match=r"im0\.png: found beside im0\.jpg; expected one image file a name"):
        MattingFolder(tmp_path)


def test_sizes_of_image_alpha_and_trimap_must_agree(tmp_path):
    matting_folder(tmp_path)
    write(tmp_path / "alpha" / "im0.png", disc(50, 80))
    write(tmp_path / "trimap" / "im1.png", np.zeros((60, 70), np.uint8))
    dataset = MattingFolder(tmp_path, trimap="trimap")
    with pytest.raises(DataError, match=r"alpha/im0\.png: found 50 x 80 .* expected 60 x 80"):
        dataset[0]
    with pytest.raises(DataError, match=r"trimap/im1\.png: found 60 x 70 .* expected 60 x 80"):
        dataset[1]


def test_segmentation_folder(tmp_path):
    dataset = SegmentationFolder(label_folder(tmp_path), 3, class_names=("a", "b", "c"))
    sample = dataset[2]
    assert sample["image"].shape == (3, 60, 80)
    assert (sample["label"].shape, sample["label"].dtype) == ((60, 80), torch.int64)
    assert set(sample["label"].unique().tolist()) == {0, 1, 2}
    training = SegmentationFolder(tmp_path, 3, augmentation=SegmentationAugmentation(48, 60, 240))
    assert training[0, 2]["label"].shape == (48, 48)
    assert torch.equal(training[0, 2]["image"], training[0, 2]["image"])


def test_class_names_must_fit(tmp_path):
    with pytest.raises(ValueError, match="class_names: got 2 names, expected num_classes=3"):
        SegmentationFolder(tmp_path, 3, class_names=("a", "b"))
    with pytest.raises(ValueError, match=r"num_classes=300: expected 1\.\.255"):
        SegmentationFolder(tmp_path, 300)


def test_label_out_of_range_names_the_file(tmp_path):
    dataset = SegmentationFolder(label_folder(tmp_path, num_classes=5), 3)
    with pytest.raises(DataError, match=r"labels/im0\.png: found labels 3, 4; expected 0\.\.2 \(num_classes=3\)"):
        dataset[0]


def test_ade20k_layout_and_test_size(tmp_path):
    label_folder(tmp_path, split="validation", labels="annotations", num_classes=151)
    dataset = labelled("ade20k", tmp_path).dataset("val")
    sample = dataset[0]
    assert len(dataset.class_names) == 150
    assert sample["image"].shape == (3, 512, 704)
    assert sample["label"].shape == (60, 80)
    assert labelled("ade20k", tmp_path, test_size="null").dataset("val")[0]["image"].shape == (3, 60, 80)


def test_composition1k_layout(tmp_path):
    for group in ("Adobe-licensed images", "Other"):
        write(tmp_path / "Training_set" / group / "fg" / f"{group[0]}.jpg", noise(0))
        write(tmp_path / "Training_set" / group / "alpha" / f"{group[0]}.jpg", disc())
    write(tmp_path / "coco" / "b.jpg", noise(1, 200, 300))
    train = composition1k_train(tmp_path, tmp_path / "coco", augmentation=SMALL, length=10)
    assert len(train) == 10
    assert {train[0, i]["name"] for i in range(10)} == {"A", "O"}
    assert check_dataset(train) == []
    for folder, array in (("merged", noise(2)), ("alpha_copy", disc()), ("trimaps", np.full((60, 80), 128, np.uint8))):
        write(tmp_path / "Test_set" / folder / "a_0.png", array)
    assert (composition1k_test(tmp_path)[0]["trimap"] == 128).all()


def test_check_lists_every_problem(tmp_path):
    label_folder(tmp_path, count=6, num_classes=3)
    (tmp_path / "images" / "im0.jpg").write_bytes(b"broken")
    write(tmp_path / "labels" / "im0.png", np.full((60, 80), 9, np.uint8))
    write(tmp_path / "labels" / "im2.png", np.zeros((50, 80), np.uint8))
    (tmp_path / "labels" / "im4.png").write_bytes(b"")
    dataset = SegmentationFolder(tmp_path, 3)
    problems = check_dataset(dataset)
    expected = ["im0.jpg: 6 bytes", "im0.png: found labels 9", "im2.png: found 50 x 80", "im4.png: 0 bytes"]
    assert len(problems) == len(expected)
    assert all(part in problem for part, problem in zip(expected, problems, strict=True))
    assert len(check_dataset(dataset, limit=2)) == 2


def test_check_wants_a_data_set():
    with pytest.raises(ValueError, match="dataset=list: expected a data set"):
        check_dataset([])


@real_data
def test_alphamatting27():
    dataset = MattingFolder(REAL_DATA / "alphamatting27", trimap="trimap/Trimap1")
    sample = dataset[0]
    assert len(dataset) == 27
    assert check_dataset(dataset, limit=3) == []
    assert np.array_equal(sample["alpha"][0].numpy(), read_alpha(REAL_DATA / "alphamatting27" / "alpha" / "GT01.png"))
    assert set(sample["trimap"].unique().tolist()) == {0, 128, 255}
    crops = MattingFolder(REAL_DATA / "alphamatting27", augmentation=MattingAugmentation.scaled(128))
    assert crops[0, 1]["image"].shape == (3, 128, 128)


@real_data
@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101), ("test", 233)])
def test_camvid(split, count):
    dataset = labelled("camvid", REAL_DATA / "camvid").make_folder("val", split)
    labels = dataset[0]["label"].unique().tolist()
    assert len(dataset) == count
    assert check_dataset(dataset, limit=5) == []
    assert set(labels) <= {*range(11), 255}
    crops = labelled("camvid", REAL_DATA / "camvid").make_folder("train", split)
    assert crops[0, 0]["image"].shape == (3, 320, 320)

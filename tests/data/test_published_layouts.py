"""Published sets in the layouts of their releases, through the composed config: every split loads and trains."""

import shutil

import numpy as np
import pytest
from configuring import configure
from data import published_layouts
from data.published_layouts import MATTING, SEGMENTATION, options
from data.sample_folders import noise, write

from denseup.cli.build import build_data
from denseup.cli.places import CONF
from denseup.data import DataError, SegmentationFolder
from denseup.data.building.composites import build, planned

CROP = "data.crop_size=16"


def composites(root):
    """Make the test composites of a Combined_Dataset."""
    test = root / "Test_set"
    pair = tuple(test / "Adobe-licensed images" / kind for kind in ("fg", "alpha"))
    lists = (test / "test_fg_names.txt", test / "test_bg_names.txt")
    return [*build(planned([pair], root / "JPEGImages", *lists, test / "merged"), 0)]


def loaded(make, root, *overrides):
    said = options(make, root)
    if make is published_layouts.composition1k:
        composites(root)
    return build_data(configure(*said, CROP, *overrides))


def test_every_set_has_a_layout_here():
    known = {make.__name__ for make in (*MATTING, *SEGMENTATION)} | {"demo"}
    assert known == {file.stem for file in (CONF / "data").glob("*.yaml")}


@pytest.mark.parametrize("make", [*MATTING, *SEGMENTATION], ids=lambda make: make.__name__)
def test_all_splits_load(make, tmp_path):
    data = loaded(make, tmp_path, *(["data.train_length=3"] if make is published_layouts.composition1k else []))
    evaluation_only = make is published_layouts.aim500
    assert data.parts() == (("val", "test") if evaluation_only else ("train", "val", "test"))
    if not evaluation_only:
        assert len(data.dataset("train")) == 3
        assert next(iter(data.train_dataloader()))["image"].shape == (2, 3, 16, 16)
    for split in ("val", "test"):
        dataset = data.dataset(split)
        assert len(dataset) == (4 if make is published_layouts.composition1k else 2)
        for sample in (dataset[index] for index in range(len(dataset))):
            assert sample["image"].shape == (3, 24, 32)
            assert sample["name"]
            if make in MATTING:
                assert set(sample["trimap"].unique().tolist()) == {0, 128, 255}
            else:
                found = set(sample["label"].unique().tolist()) - {255}
                assert found
                assert max(found) < data.num_classes


def test_an_evaluation_set_has_no_training(tmp_path):
    data = loaded(published_layouts.aim500, tmp_path)
    with pytest.raises(DataError, match=r"original: found no train split; expected a folder named train there"):
        data.dataset("train")


def test_classes_of_cityscapes(tmp_path):
    data = loaded(published_layouts.cityscapes, tmp_path)
    label = data.dataset("val")[0]["label"]
    path = data.dataset("val").labels[0]
    write(path, np.array([[7, 8, 33, 0, 6, 29, 23, 255]], np.uint8).repeat(24, 0).repeat(4, 1))
    assert set(label.unique().tolist()) == {*range(19), 255}
    assert data.dataset("val")[0]["label"][0, ::4].tolist() == [0, 1, 18, 255, 255, 255, 10, 255]
    write(path, np.full((24, 32), 34, np.uint8))
    with pytest.raises(DataError, match=r"labelIds\.png: found labels 34; expected those of class_values, 7, 8, 11"):
        data.dataset("val")[0]


def test_cityscapes_train_ids(tmp_path):
    said = ["data.label_suffix=_gtFine_labelTrainIds", "data.class_values=[]", "data.ignore_labels=[]"]
    published_layouts.cityscapes(tmp_path)
    for path in (tmp_path / "gtFine").rglob("*_labelIds.png"):
        write(path.with_name(path.name.replace("labelIds", "labelTrainIds")), np.full((24, 32), 18, np.uint8))
    data = loaded(published_layouts.cityscapes, tmp_path, *said)
    assert data.dataset("train").coding.class_values == ()
    assert data.dataset("val")[0]["label"].unique().tolist() == [18]


def test_classes_of_coco_stuff(tmp_path):
    data = loaded(published_layouts.cocostuff164k, tmp_path)
    path = data.dataset("val").labels[0]
    write(path, np.array([[0, 10, 12, 24, 26, 91, 181, 255]], np.uint8).repeat(24, 0).repeat(4, 1))
    assert data.dataset("val")[0]["label"][0, ::4].tolist() == [0, 10, 11, 23, 24, 80, 170, 255]
    write(path, np.full((24, 32), 11, np.uint8))
    with pytest.raises(DataError, match="found labels 11; expected those of class_values"):
        data.dataset("val")[0]


def test_voc_takes_the_images_that_its_lists_name(tmp_path):
    data = loaded(published_layouts.voc2012, tmp_path)
    assert data.dataset("train").names == ["2008_000000", "2008_000001", "2008_000002"]
    assert data.dataset("val").names == data.dataset("test").names == ["2007_000033", "2011_003256"]
    both = loaded(published_layouts.voc2012, tmp_path, "data.splits=[trainval,val,val]")
    assert len(both.dataset("train")) == 5


def test_lists_that_name_what_is_not_there(tmp_path):
    make = published_layouts.voc2012
    data = loaded(make, tmp_path)
    lists = tmp_path / "ImageSets" / "Segmentation"
    for content, message in (
        ("2008_000000\nnowhere\n", r"train\.txt: found no image file for nowhere; expected a file of that name"),
        ("2008_000000\n2008_000000\n", r"train\.txt: found 2008_000000 twice; expected each image once"),
        ("\n", r"train\.txt: found no name in it; expected the name of an image a line"),
    ):
        (lists / "train.txt").write_text(content)
        with pytest.raises(DataError, match=message):
            data.make("train")
    (lists / "train.txt").unlink()
    with pytest.raises(DataError, match=r"found no train split; expected a file named ImageSets/Segm.*/train\.txt"):
        data.make("train")


def test_lists_of_images_with_mattes(tmp_path):
    said = options(published_layouts.aim500, tmp_path)
    (tmp_path / "lists").mkdir()
    for split, name in (("train", "o_00000001"), ("val", "o_00000000.jpg")):
        (tmp_path / "lists" / f"{split}.txt").write_text(f"{name}\n")
    cfg = configure(*said, CROP, "data.splits=[train,val,val]", "+data.lists='lists/{split}.txt'")
    data = build_data(cfg)
    assert data.parts() == ("train", "val", "test")
    assert data.dataset("train").names == ["o_00000001"]
    assert data.dataset("val").names == data.dataset("test").names == ["o_00000000"]


def test_lists_need_the_name_of_the_split():
    cfg = configure("task=matting", "data=matting_folder", "data.root=x", "data.lists=train.txt")
    with pytest.raises(Exception, match="MattingFolderData") as error:
        build_data(cfg)
    assert "lists='train.txt': expected the path of text files with {split} in it" in str(error.value.__cause__)


def test_frozen_encoders_see_whole_images_of_a_list(tmp_path):
    data = loaded(published_layouts.voc2012, tmp_path, "data.fixed_views=whole")
    views = data.fixed_views()
    assert len(views) == 6
    assert views[0]["name"] == "2008_000000"


@pytest.mark.parametrize("image", ["{split}/image", ["a/image", "b/image", "c/image"]], ids=["mark", "three"])
def test_splits_before_kinds(tmp_path, image):
    for split in "abc":
        write(tmp_path / split / "image" / "x.png", noise(0, 12, 12))
        write(tmp_path / split / "alpha" / "x.png", np.full((12, 12), 128 + ord(split), np.uint8))
    said = {"image": image, "alpha": "{split}/alpha", "splits": ["a", "b", "c"], "root": str(tmp_path)}
    cfg = configure("task=matting", "data=matting_folder", "data.root=x", CROP)
    cfg.data.update(said)
    data = build_data(cfg)
    values = [data.make_folder("val", where)[0]["alpha"].unique().tolist() for where in ("train", "val", "test")]
    assert values == [[225], [226], [227]]
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(DataError, match=r"found no val split; expected a folder named b/image there"):
        data.make("val")


def test_a_place_is_one_folder_or_three():
    cfg = configure("task=matting", "data=matting_folder", "data.root=x", "data.image=[a,b]")
    with pytest.raises(Exception, match="MattingFolderData") as error:
        build_data(cfg)
    assert "image=['a', 'b']: expected a folder, or three, of train, val, test" in str(error.value.__cause__)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"class_values": (1, 2)}, "class_values: found 2 file values; expected num_classes=3"),
        ({"class_values": (1, 2, 2)}, "the file values 2 are named twice"),
        ({"class_values": (1, 2, 3), "ignore_labels": (3,)}, "the file values 3 are named twice"),
        ({"class_values": (1, 2, 3), "label_values": {1: 0}}, "the file values 1 are named twice"),
        ({"class_values": (1, 2, 3), "reduce_zero_label": True}, "both say what values mean"),
    ],
)
def test_class_values_that_contradict(tmp_path, said, message):
    with pytest.raises(ValueError, match=message):
        SegmentationFolder(tmp_path, 3, **said)


def test_composites_that_are_missing_are_named(tmp_path):
    data = loaded(published_layouts.composition1k, tmp_path)
    (tmp_path / "Test_set" / "merged" / "boy-1518482_1920_1.png").unlink()
    with pytest.raises(DataError, match=r"test_fg_names\.txt: found no image file for boy-1518482_1920_1"):
        data.make("test")
    shutil.rmtree(tmp_path / "Test_set" / "merged")
    with pytest.raises(DataError, match=r"merged'?: found nothing there; .*src\.build_composition1k"):
        data.make("test")

import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from denseup.data import (
    DEMO_CLASSES,
    DEMO_ROOT,
    CompositeDataset,
    DemoMatting,
    DemoScenes,
    check_dataset,
    demo_files,
    read_cutout,
    read_manifest,
)

DATASETS = {"matting": DemoMatting, "segmentation": DemoScenes}


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[k], second[k]) if k != "name" else first[k] == second[k] for k in first)


def test_manifest_covers_exactly_the_files_and_their_contents():
    files = read_manifest()
    assert {f.path for f in files} == {
        p for kind in ("foregrounds", "backgrounds") for p in (DEMO_ROOT / kind).iterdir()
    }
    assert [f.path.name for f in files if hashlib.sha256(f.path.read_bytes()).hexdigest() != f.sha256] == []
    assert all(f.licence and f.author and f.source for f in files)


def test_splits_share_no_file():
    for kind in ("foreground", "background"):
        train, val = ({f.path for f in demo_files(kind, split)} for split in ("train", "val"))
        assert train
        assert val
        assert not train & val


def test_data_sets_use_only_files_of_their_split():
    for split in ("train", "val"):
        allowed = {f.path for kind in ("foreground", "background") for f in demo_files(kind, split)}
        for dataset in (DemoMatting(split), DemoScenes(split)):
            assert {path for group in dataset.file_groups() for path in group} == allowed


def test_first_foregrounds_show_every_class():
    for split in ("train", "val"):
        assert {f.class_name for f in demo_files("foreground", split)[:3]} == set(DEMO_CLASSES[1:])


@pytest.mark.parametrize("task", DATASETS)
def test_training_sample_depends_on_seed_epoch_and_index_alone(task):
    make = DATASETS[task]
    dataset, again, other = make("train", length=9), make("train", length=500), make("train", length=9, seed=1)
    reference = dataset[1, 2]
    dataset[0, 0], dataset[4, 4]
    assert same(reference, dataset[1, 2])
    assert same(reference, again[1, 2])
    for different in (dataset[2, 2], dataset[1, 3], other[1, 2]):
        assert not torch.equal(reference["image"], different["image"])


@pytest.mark.parametrize("task", DATASETS)
def test_evaluation_samples_are_the_same_in_any_order_and_copy(task):
    dataset = DATASETS[task]("val", length=6)
    copy = pickle.loads(pickle.dumps(dataset))
    assert len(dataset) == 6
    backwards = {index: copy[index] for index in reversed(range(6))}
    assert all(same(dataset[index], backwards[index]) for index in range(6))
    with pytest.raises(IndexError, match=r"index=6: expected 0\.\.5"):
        dataset[6]


@pytest.mark.parametrize("task", DATASETS)
def test_training_by_int_says_what_is_wanted(task):
    with pytest.raises(TypeError, match=r"indexed by \(epoch, index\), got 3"):
        DATASETS[task]("train")[3]


@pytest.mark.parametrize("task", DATASETS)
def test_unknown_split(task):
    with pytest.raises(ValueError, match=r"split='test': expected one of train, val"):
        DATASETS[task]("test")


def test_matting_training_sample():
    dataset = DemoMatting("train", length=40, crop_size=96)
    for index in range(40):
        sample = dataset[0, index]
        for key in ("image", "foreground", "background"):
            assert (sample[key].shape, sample[key].dtype) == ((3, 96, 96), torch.float32)
            assert sample[key].min() >= 0
            assert sample[key].max() <= 1
        alpha, trimap = sample["alpha"], sample["trimap"]
        assert (alpha.shape, alpha.dtype) == ((1, 96, 96), torch.float32)
        assert (trimap.shape, trimap.dtype) == ((1, 96, 96), torch.uint8)
        assert set(trimap.unique().tolist()) <= {0, 128, 255}
        assert (trimap == 128).any()
        assert (alpha[trimap == 0] == 0).all()
        assert (alpha[trimap == 255] == 1).all()
        expected = alpha * sample["foreground"] + (1 - alpha) * sample["background"]
        assert torch.allclose(sample["image"], expected, atol=1e-6)


def test_matting_validation_composites_are_as_in_the_file():
    dataset = DemoMatting("val")
    files = {f.path.stem: f.path for f in demo_files("foreground", "val")}
    assert len(dataset) == 2 * len(files)
    names = [dataset[i]["name"] for i in range(len(dataset))]
    assert len(set(names)) == len(names)
    for index in (0, 5, 20):
        sample = dataset[index]
        alpha = read_cutout(files[sample["name"].split("_on_")[0]])[..., 3]
        assert np.array_equal(sample["alpha"][0].numpy(), alpha)
        assert sample["alpha"].dtype == torch.uint8
        assert sample["image"].shape == (3, *alpha.shape)
        assert (sample["alpha"][sample["trimap"] == 0] == 0).all()
        assert (sample["alpha"][sample["trimap"] == 255] == 255).all()


def test_validation_composites_are_not_mostly_empty():
    shares = [
        float((sample["trimap"] == 128).float().mean()) for sample in map(DemoMatting("val").__getitem__, range(28))
    ]
    assert 0.2 < np.mean(shares) < 0.5
    assert min(shares) > 0.1


def test_smaller_composites():
    sample = DemoMatting("val", image_size=64)[0]
    assert max(sample["image"].shape) == 64
    assert (sample["alpha"][sample["trimap"] == 0] == 0).all()


def test_scene_training_sample():
    dataset = DemoScenes("train", length=10)
    for index in range(10):
        sample = dataset[0, index]
        assert (sample["image"].shape, sample["image"].dtype) == ((3, 160, 160), torch.float32)
        assert (sample["label"].shape, sample["label"].dtype) == ((160, 160), torch.int64)
        assert set(sample["label"].unique().tolist()) <= {0, 1, 2, 3, 255}
        assert sample["image"].max() <= 1


def test_validation_scenes_show_all_classes_in_balance():
    dataset = DemoScenes("val", length=16)
    labels = torch.stack([dataset[i]["label"] for i in range(16)])
    shares = torch.stack([(labels == c).flatten(1).float().mean(1) for c in range(4)], 1)
    assert labels.shape == (16, 256, 256)
    assert shares.min() > 0.02
    assert ((shares.mean(0)[1:] > 0.08) & (shares.mean(0)[1:] < 0.2)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], ["b"]), "foregrounds: got an empty list"),
        ((["f"], []), "backgrounds: got an empty list"),
        ((["f"], ["b"], ["a", "c"]), "alphas: got 2 files, expected one for each of 1"),
    ],
)
def test_composites_need_files(arguments, message):
    with pytest.raises(ValueError, match=message):
        CompositeDataset(*arguments)


@pytest.mark.parametrize("task", DATASETS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_demo_set_passes_its_check(task, split):
    assert check_dataset(DATASETS[task](split)) == []


def test_import_needs_no_lightning():
    code = "import sys, denseup.data; sys.exit(any('lightning' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

import pytest
import torch
from configuring import labelled
from data.sample_folders import REAL_DATA, label_folder, matting_folder
from torch.utils.data import DataLoader

from denseup.data import DataError, DemoMatting, EpochSampler
from denseup.data.datamodules import (
    Composition1kData,
    DemoData,
    MattingFolderData,
    SegmentationFolderData,
)


def test_sampler_visits_every_index_in_a_new_order_each_epoch():
    sampler = EpochSampler(10, seed=3)
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == [(0, i) for i in range(10)]
    assert sorted(second) == [(1, i) for i in range(10)]
    assert [i for _, i in first] != [i for _, i in second]
    assert [i for _, i in first] != [i for _, i in EpochSampler(10, seed=4)]
    assert list(EpochSampler(3, shuffle=False)) == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize(("length", "world"), [(12, 3), (14, 4), (3, 3)])
def test_sampler_shares_equally_between_processes(length, world):
    shares = []
    for rank in range(world):
        sampler = EpochSampler(length, seed=1, num_replicas=world, rank=rank)
        sampler.set_epoch(2)
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler) == length // world
    together = [item for share in shares for item in share]
    assert len(set(together)) == len(together)


def test_sampler_asks_torch_distributed(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        sampler = EpochSampler(5)
    finally:
        torch.distributed.destroy_process_group()
    assert (sampler.num_replicas, sampler.rank) == (1, 0)


def test_sampler_needs_a_sample_for_each_process():
    with pytest.raises(ValueError, match="length=2: expected at least one sample for each of the 3 processes"):
        EpochSampler(2, num_replicas=3, rank=0)


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_batches_do_not_depend_on_the_number_of_workers(task):
    def batches(num_workers):
        data = DemoData(task, 64, 4, num_workers, train_length=12, val_length=2, image_size=96, seed=5)
        data.setup("fit")
        loader = data.train_dataloader()
        loader.sampler.set_epoch(3)
        return [*loader, *data.val_dataloader()]

    alone, helped = batches(0), batches(2)
    assert len(alone) == len(helped) == 5
    for first, second in zip(alone, helped, strict=True):
        assert list(first["name"]) == list(second["name"])
        assert all(torch.equal(first[key], second[key]) for key in first if key != "name")


def test_persistent_workers_follow_the_epoch():
    dataset = DemoMatting("train", length=4, crop_size=32)
    sampler = EpochSampler(4)
    loader = DataLoader(dataset, 2, sampler=sampler, num_workers=1, persistent_workers=True)
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        expected = torch.stack([dataset[item]["image"] for item in sampler])
        assert torch.equal(torch.cat([batch["image"] for batch in loader]), expected)


def test_lightning_keeps_the_sampler_and_sets_its_epoch():
    import pytorch_lightning as pl

    class Recorder(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))
            self.images = []

        def training_step(self, batch, _):
            self.images.append(batch["image"])
            return self.weight * batch["image"].mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    module, data = Recorder(), DemoData("matting", 32, 2, train_length=2, image_size=64)
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, data)
    expected = [data.dataset("train")[epoch, index]["image"] for epoch in (0, 1) for index in (0, 1)]
    for epoch, batch in enumerate(module.images):
        found = sorted(batch.flatten(1).sum(1).tolist())
        assert found == pytest.approx(sorted(image.sum().item() for image in expected[2 * epoch : 2 * epoch + 2]))


def test_demo_data_attributes():
    matting, scenes = DemoData(), DemoData("segmentation")
    assert (matting.task, matting.num_classes, matting.class_names) == ("matting", 1, ("alpha",))
    assert (scenes.task, scenes.num_classes, scenes.ignore_index) == ("segmentation", 4, 255)
    assert scenes.class_names == ("background", "fur", "leafy", "bare")
    assert (matting.crop_size, scenes.crop_size) == (96, 160)


def test_validation_does_not_depend_on_the_seed():
    for task in ("matting", "segmentation"):
        first, second = (next(iter(DemoData(task, seed=seed).val_dataloader())) for seed in (0, 1))
        assert torch.equal(first["image"], second["image"])
        assert first["image"].shape[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "depth"}, r"task='depth': expected one of matting, segmentation"),
        ({"batch_size": 0}, r"batch_size=0: expected an integer of at least 1"),
        ({"num_workers": -1}, r"num_workers=-1: expected an integer of at least 0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        DemoData(**arguments)


def test_more_batch_than_data():
    with pytest.raises(ValueError, match="batch_size=8: expected at most the 6 training samples"):
        DemoData(train_length=6).train_dataloader()


@pytest.mark.parametrize(
    "make",
    [
        lambda root: MattingFolderData(root),
        lambda root: SegmentationFolderData(root, 3),
        lambda root: labelled("camvid", root),
        lambda root: labelled("ade20k", root),
        lambda root: Composition1kData(root, backgrounds=root),
    ],
)
def test_missing_root_is_found_in_setup_not_in_the_constructor(tmp_path, make):
    data = make(str(tmp_path / "nowhere"))
    for stage in ("fit", "validate", "test"):
        with pytest.raises(
            DataError, match=r"root='.*nowhere': found nothing there; expected a folder laid out as ROOT"
        ):
            data.setup(stage)


def test_folder_with_splits(tmp_path):
    for split, count in (("train", 4), ("val", 2)):
        matting_folder(tmp_path, count, split)
        label_folder(tmp_path, count, split)
    matting = MattingFolderData(str(tmp_path), trimap="trimap", crop_size=32, batch_size=2, num_workers=0)
    labels = SegmentationFolderData(str(tmp_path), 3, crop_size=32, batch_size=2, num_workers=0)
    for data in (matting, labels):
        data.setup("fit")
        assert len(data.train_dataloader()) == 2
        assert next(iter(data.train_dataloader()))["image"].shape == (2, 3, 32, 32)
        assert len(data.val_dataloader()) == len(data.test_dataloader()) == 2
        assert next(iter(data.val_dataloader()))["image"].shape == (1, 3, 60, 80)


def test_folder_without_splits_is_for_evaluation(tmp_path):
    matting_folder(tmp_path, 3)
    data = MattingFolderData(str(tmp_path), num_workers=0)
    for stage in ("validate", "test", None):
        data.setup(stage)
    assert len(data.val_dataloader()) == len(data.test_dataloader()) == 3
    message = r"found no train split; expected a folder named train there"
    with pytest.raises(DataError, match=message):
        data.train_dataloader()
    with pytest.raises(DataError, match=message):
        data.setup("fit")


def test_folder_with_a_single_split(tmp_path):
    label_folder(tmp_path, 2, "val")
    data = SegmentationFolderData(str(tmp_path), 3, num_workers=0)
    assert len(data.test_dataloader()) == len(data.val_dataloader()) == 2
    with pytest.raises(DataError, match=r"found no train split"):
        data.train_dataloader()


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no real data sets in {REAL_DATA} (they are optional)")
def test_real_data_modules():
    camvid = labelled("camvid", REAL_DATA / "camvid", crop_size=160, batch_size=2, num_workers=0)
    assert next(iter(camvid.train_dataloader()))["label"].shape == (2, 160, 160)
    assert (len(camvid.val_dataloader()), len(camvid.test_dataloader())) == (101, 233)
    portraits = MattingFolderData(str(REAL_DATA / "alphamatting27"), trimap="trimap/Trimap2", num_workers=0)
    assert len(portraits.val_dataloader()) == 27

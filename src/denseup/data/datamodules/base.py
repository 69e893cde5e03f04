"""What the Lightning data modules share; the modules themselves are in `denseup.data.datamodules`."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from denseup.data.datasets.fixed import FixedViews, WithMirrored
from denseup.data.datasets.parting import held_samples, parted
from denseup.data.datasets.sampling import EpochSampler, SeededBySample
from denseup.data.reading.folders import require_folder
from denseup.data.reading.samples import IGNORE_INDEX, DataError
from denseup.data.reading.splits import MARK, SPLITS, Place, folder_of, read_names

VIEWS_SEED = 0
"""Of the crops that a frozen encoder sees: all seeds of a run see the same, so that their maps can be kept once."""


class DenseData(pl.LightningDataModule):
    """What all data modules share; a subclass says in `make` which data set a split ("train", "val", "test") is.

    `task` is the name of the task they serve. What that task or its network takes from the data are attributes of the
    same name (`DenseTask.data_options`); `num_classes` and `class_names` stay as they are where there are no classes.
    """

    task: str
    num_classes: int = 1
    class_names: tuple[str, ...] = ("alpha",)
    ignore_index: ClassVar[int] = IGNORE_INDEX
    test_size: tuple[int, int] | None = None
    """(short side, long side) that evaluation images are fitted into; None: they keep their size."""

    def __init__(self, batch_size: int, num_workers: int, seed: int) -> None:
        super().__init__()
        for name, value, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
            if value < least:
                raise ValueError(f"{name}={value}: expected an integer of at least {least}")
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self._datasets: dict[str, Dataset] = {}
        self.hold_out: float | None = None

    def make(self, split: str) -> Dataset:
        """The data set of a split; raises `DataError` when its files are not there."""
        raise NotImplementedError

    def dataset(self, split: str) -> Dataset:
        """The data set of a split, made on first use."""
        if split not in self._datasets:
            self._datasets[split] = self._training_set() if split == "train" else self.make(split)
        return self._datasets[split]

    def parts(self) -> tuple[str, ...]:
        """The splits that there are to be."""
        return SPLITS

    def fixed_views(self) -> Dataset:
        """What a frozen encoder is trained with: one epoch of the training samples, the same for every seed."""
        return FixedViews(self._of_all_seeds().dataset("train"), 1)

    def held_samples(self, share: float) -> list[bool]:
        """Of each training sample whether it is held out."""
        return held_samples(self.dataset("train"), share)

    def parted(self, share: float) -> "DenseData":
        """The same data, whose training samples are of one part or the other for `HeldOutData`.

        Raises:
            ValueError: a share that is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise ValueError(f"protocol.hold_out is {share!r}, expected a share between 0 and 1")
        return self._with(hold_out=share)

    def _training_set(self) -> Dataset:
        return parted(self.make("train"), self.hold_out)

    def _of_all_seeds(self) -> "DenseData":
        return self._with(seed=VIEWS_SEED)

    def _with(self, **attributes: Any) -> "DenseData":
        other = copy.copy(self)
        vars(other).update(attributes, _datasets={})
        return other

    def setup(self, stage: str | None = None) -> None:
        """Look up the files that a stage ("fit", "validate", "test", "predict") needs."""
        for split in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage or "", ("val",)):
            self.dataset(split)

    def train_dataloader(self) -> DataLoader:
        """Batches of random crops, the same in every run with this seed; incomplete ones are dropped."""
        dataset = self.dataset("train")
        sampler = EpochSampler(len(dataset), seed=self.seed)  # type: ignore[arg-type]
        epoch, batches = self._progress()
        sampler.set_epoch(epoch)  # Lightning does it too, but after workers have asked for the first samples
        sampler.done = batches * self.batch_size
        if len(sampler) < self.batch_size:
            raise ValueError(
                f"batch_size={self.batch_size}: expected at most the {len(sampler)} training samples of a process"
            )
        return self._loader(SeededBySample(dataset, self.seed), self.batch_size, sampler=sampler, drop_last=True)

    def _progress(self) -> tuple[int, int]:
        """The epoch that a run begins with or goes on in, and the batches of it that it had before.

        Of an epoch that was complete none is left out: Lightning asks for no batch of it, so they would be missing from
        the next one.
        """
        if self.trainer is None:
            return 0, 0
        batches = self.trainer.fit_loop.epoch_loop.batch_progress
        return self.trainer.current_epoch, 0 if batches.is_last_batch else batches.current.completed

    def val_dataloader(self) -> DataLoader:
        """Whole images, one at a time."""
        return self._loader(self.dataset("val"), 1)

    def test_dataloader(self) -> DataLoader:
        """Whole images, one at a time."""
        return self._loader(self.dataset("test"), 1)

    def _loader(self, dataset: Dataset, batch_size: int, **kwargs: Any) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            **kwargs,
        )


class FolderData(DenseData):
    """Data sets in a folder `root` whose kinds of file ("image", "alpha", ...) have folders for each split.

    `splits` gives the names of train, val and test, and `images` where the images are: see `reading.splits.Place`. With
    `lists`, text files such as "lists/{split}.txt" name the images of each split, and folders are not split.

    A folder without these is for evaluation only: it serves as val and test. Where there is no test folder the
    validation files are the test files.

    `fixed_views` is what a frozen encoder is trained with: so many random crops of each image, or "whole" images, as
    the evaluation sees them, and their mirror images.
    """

    layout: str = ""

    def __init__(
        self,
        root: str,
        splits: Sequence[str],
        batch_size: int,
        num_workers: int,
        seed: int,
        images: Place,
        fixed_views: int | Literal["whole"] = 1,
        lists: str | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        if fixed_views != "whole" and not (isinstance(fixed_views, int) and fixed_views >= 1):
            raise ValueError(f"fixed_views={fixed_views!r}: expected a number of crops of at least 1, or 'whole'")
        if lists is not None and MARK not in lists:
            raise ValueError(f"lists={lists!r}: expected the path of text files with {MARK} in it")
        self.views = fixed_views
        if len(splits) != len(SPLITS):
            raise ValueError(f"splits={tuple(splits)!r}: expected the names of the train, val and test folders")
        self.root, self.images, self.lists = Path(root), images, lists
        self.splits = dict(zip(SPLITS, splits, strict=True))

    def make(self, split: str) -> Dataset:
        """The data set of a split; raises `DataError` when it is not there."""
        return self.make_folder(split, self._where(split))

    def parts(self) -> tuple[str, ...]:
        """The splits that there are to be: a folder without any is for evaluation alone."""
        return SPLITS if self._split else SPLITS[1:]

    def fixed_views(self) -> Dataset:
        """As the option `fixed_views` says."""
        if self.views != "whole":
            return FixedViews(self._of_all_seeds().dataset("train"), self.views)
        self.dataset("train")  # which says what is missing
        return WithMirrored(self.make_folder("val", "train"))

    def make_folder(self, split: str, where: str | None) -> Dataset:
        """The data set of `split` ("train", "val", "test"), of the files of `where`; None where there are no splits."""
        raise NotImplementedError

    def place(self, place: Place | None, where: str | None) -> str | None:
        """The folder below the root where the files of a split are."""
        return folder_of(place, where, None if where is None or self.lists else self.splits[where])

    def names(self, where: str | None, images: str) -> tuple[Path, list[str]] | None:
        """The text file that lists the images of a split, and what it lists; None where there is none."""
        if where is None or self.lists is None:
            return None
        return self._path(where), read_names(self._path(where), images)

    @property
    def _split(self) -> bool:
        """Whether the folder has splits, or is of a kind that can't do without."""
        plain = self.lists is None and isinstance(self.images, str) and MARK not in self.images
        return not plain or any(self._path(split).exists() for split in SPLITS)

    def _where(self, split: str) -> str | None:
        """Whose files a split has; None where there are no splits."""
        require_folder(self.root, "root", self.layout)
        choices = ["test", "val"] if split == "test" else [split]
        for choice in choices:
            if self._path(choice).exists():
                return choice
        if split != "train" and not self._split:
            return None
        folder = self.root if self.lists or not isinstance(self.images, str) else self.root / self.images.split(MARK)[0]
        names = " or ".join(self._path(choice).relative_to(folder).as_posix() for choice in choices)
        kind = "file" if self.lists else "folder"
        raise DataError(
            f"{folder}: found no {split} split; expected a {kind} named {names} there for that "
            f"(root={str(self.root)!r}, laid out as {self.layout})"
        )

    def _path(self, split: str) -> Path:
        """What a split has if it is there: its list, or its folder of images."""
        if self.lists is not None:
            return self.root / self.lists.replace(MARK, self.splits[split])
        return self.root / str(folder_of(self.images, split, self.splits[split]))

"""The Lightning data module of sets that are released as foregrounds with mattes."""

from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import Dataset

from denseup.data.datamodules.base import DenseData
from denseup.data.datasets.foregrounds import foregrounds_on, ready_composites
from denseup.data.reading.folders import require_folder
from denseup.data.transforms.matting import MattingAugmentation


class ForegroundData(DenseData):
    """Training foregrounds on random photographs, ready composites for validation and test; see `datasets.foregrounds`.

    `foregrounds` and `alphas` are folders below `root`, as many of each, `merged`, `test_alpha` and `trimaps` those of
    the composites; without `trimaps` they are made from the mattes, `trimap_width` pixels wide. `backgrounds` is the
    folder of training photographs; `train_length` samples make an epoch.
    """

    task = "matting"

    def __init__(
        self,
        root: str,
        backgrounds: str,
        foregrounds: Sequence[str],
        alphas: Sequence[str],
        merged: str,
        test_alpha: str,
        trimaps: str | None = None,
        trimap_width: float = 15.0,
        crop_size: int = 512,
        batch_size: int = 16,
        num_workers: int = 8,
        train_length: int | None = None,
        seed: int = 0,
        augmentation: MattingAugmentation | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        if len(foregrounds) != len(alphas) or not len(alphas):
            raise ValueError(f"alphas: got {len(alphas)} folders, expected one for each of foregrounds={foregrounds}")
        self.root, self.backgrounds, self.train_length = Path(root), Path(backgrounds), train_length
        self.folders = list(zip(foregrounds, alphas, strict=True))
        self.merged, self.test_alpha, self.trimaps, self.trimap_width = merged, test_alpha, trimaps, trimap_width
        self.augmentation = augmentation or MattingAugmentation.scaled(crop_size, trimap_scale=1.0)

    def make(self, split: str) -> Dataset:
        """Random composites for "train", the ready ones else."""
        shown = ", ".join(f"{colours} and {mattes}" for colours, mattes in self.folders)
        root = require_folder(self.root, "root", f"ROOT with {shown}, {self.merged} and {self.test_alpha}")
        if split != "train":
            return ready_composites(root, self.merged, self.test_alpha, self.trimaps, trimap_width=self.trimap_width)
        return foregrounds_on(
            root,
            self.backgrounds,
            self.folders,
            augmentation=self.augmentation,
            length=self.train_length,
            seed=self.seed,
        )

"""The Lightning data module of Adobe Composition-1k."""

from pathlib import Path

from torch.utils.data import Dataset

from denseup.data.datamodules.base import DenseData
from denseup.data.datasets.composition1k import composition1k_test, composition1k_train
from denseup.data.transforms.matting import MattingAugmentation


class Composition1kData(DenseData):
    """Adobe Composition-1k; see `composition1k` for the layout. Validation and test are the 1000 test composites.

    `root` is Adobe's Combined_Dataset, `backgrounds` the folder of training photographs; `train_length` samples make
    an epoch (published: 6000 iterations of 16).
    """

    task = "matting"

    def __init__(
        self,
        root: str,
        backgrounds: str,
        crop_size: int = 512,
        batch_size: int = 16,
        num_workers: int = 8,
        train_length: int = 96000,
        seed: int = 6,
        augmentation: MattingAugmentation | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.root, self.backgrounds, self.train_length = Path(root), Path(backgrounds), train_length
        self.augmentation = augmentation or MattingAugmentation.scaled(crop_size, trimap_scale=1.0)

    def make(self, split: str) -> Dataset:
        """Random composites for "train", the ready ones else."""
        if split != "train":
            return composition1k_test(self.root)
        return composition1k_train(
            self.root,
            self.backgrounds,
            augmentation=self.augmentation,
            length=self.train_length,
            seed=self.seed,
        )

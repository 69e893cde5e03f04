"""Scenes of the demo set, whose cut-outs are what stands out."""

from typing import Any

from torch.utils.data import Dataset

from denseup.data import DemoScenes
from denseup.data.datamodules.base import DenseData


class SalientScenes(Dataset):
    """Image, saliency as uint8 `[H, W]`, and name."""

    def __init__(self, scenes: DemoScenes) -> None:
        self.scenes, self.file_groups = scenes, scenes.file_groups

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, item: Any) -> dict[str, Any]:
        sample = self.scenes[item]
        return {"image": sample["image"], "saliency": (sample["label"] > 0).byte() * 255, "name": sample["name"]}


class SaliencyData(DenseData):
    """Square scenes of `size` pixels a side, `length` of them in an epoch and in an evaluation."""

    task = "saliency"

    def __init__(
        self, size: int = 64, length: int = 8, batch_size: int = 2, num_workers: int = 0, seed: int = 0
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.size, self.length = size, length

    def make(self, split: str) -> Dataset:
        """The test split is the validation split."""
        kind, seed = ("train", self.seed) if split == "train" else ("val", 0)
        scenes = DemoScenes(kind, image_size=self.size, crop_size=self.size, length=self.length, seed=seed)
        return SalientScenes(scenes)

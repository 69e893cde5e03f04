"""Composites of the embedded demo set."""

import copy
from collections.abc import Iterator
from typing import ClassVar

from torch.utils.data import Dataset

from denseup.data.checking.files import FileGroup
from denseup.data.datasets.composites import CompositeDataset, FixedComposites
from denseup.data.datasets.parting import image_of, parted
from denseup.data.datasets.sampling import Sample, TrainIndex
from denseup.data.demo.manifest import demo_files
from denseup.data.transforms.matting import MattingAugmentation
from denseup.data.transforms.pipeline import Arrays

# The published widths are for crops of 512 pixels; at this scale a third of a demo composite of 256 is unknown.
DEMO_TRIMAP_SCALE = 0.3


class DemoMatting(Dataset):
    """The embedded cut-outs on the embedded photographs, each split with its own of both.

    `split="train"` is a `CompositeDataset` of crops, indexed by (epoch, index); `split="val"` a `FixedComposites` of
    whole composites of at most `image_size` pixels, the default length showing each foreground on two backgrounds.
    """

    task: ClassVar[str] = "matting"
    class_names: ClassVar[tuple[str, ...]] = ("alpha",)
    default_crop_size: ClassVar[int] = 96

    def __init__(
        self,
        split: str = "train",
        *,
        length: int | None = None,
        crop_size: int = 128,
        image_size: int = 256,
        augmentation: MattingAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        foregrounds = [file.path for file in demo_files("foreground", split)]
        backgrounds = [file.path for file in demo_files("background", split)]
        self.hold_out: float | None = None
        self._composites: CompositeDataset | FixedComposites
        if split == "train":
            how = augmentation or MattingAugmentation.scaled(crop_size, trimap_scale=DEMO_TRIMAP_SCALE)
            self._composites = CompositeDataset(
                foregrounds, backgrounds, augmentation=how, length=length, seed=seed, cache=True
            )
        else:
            length = 2 * len(foregrounds) if length is None else length
            scale = DEMO_TRIMAP_SCALE * min(image_size / 256, 1)
            self._composites = FixedComposites(
                foregrounds, backgrounds, length=length, long_side=image_size, trimap_scale=scale, seed=seed, cache=True
            )

    def __len__(self) -> int:
        return len(self._composites)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """The sample of (epoch, index) in training, of an int in evaluation."""
        return self._composites[item]  # type: ignore[index]

    def stages(self, item: TrainIndex) -> Iterator[tuple[str, Arrays]]:
        """(name of the step, its arrays) for each step that makes a training crop; see `Pipeline.stages`."""
        assert isinstance(self._composites, CompositeDataset), "whole composites go through no steps"
        return self._composites.stages(item)

    def image_of(self, place: int) -> int:
        """See `parting.OfImages`."""
        return image_of(self._composites, place)

    def parted(self, share: float) -> Dataset:
        """See `parting.Partable`."""
        other = copy.copy(self)
        other.hold_out, other._composites = share, parted(self._composites, share)  # type: ignore[assignment]
        return other

    def file_groups(self) -> Iterator[FileGroup]:
        """See `check.Checkable`."""
        return self._composites.file_groups()

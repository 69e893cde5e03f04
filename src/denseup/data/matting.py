"""Matting data sets: the embedded demo set, and folders of images with mattes."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from denseup.data.augment_matting import MattingAugmentation, augment_photograph
from denseup.data.check import FileGroup
from denseup.data.composites import CompositeDataset, FixedComposites
from denseup.data.compositing import trimap_from_alpha
from denseup.data.files import find_files, list_files, require_folder, split_folder
from denseup.data.io import Array, check_same_size, read_alpha, read_image, read_trimap
from denseup.data.levels import checked_trimap_values
from denseup.data.manifest import demo_files
from denseup.data.sampling import Sample, TrainIndex, train_rng
from denseup.data.survey import MattingSurvey
from denseup.data.tensors import image_tensor, map_tensor

# The published widths are for crops of 512 pixels; at this scale a third of a demo composite of 256 is unknown.
DEMO_TRIMAP_SCALE = 0.3
MATTING_LAYOUT = "ROOT/image/[SPLIT/]NAME.png, ROOT/alpha/[SPLIT/]NAME.png and, if wanted, ROOT/trimap/[SPLIT/]NAME.png"


class DemoMatting(Dataset):
    """The embedded cut-outs on the embedded photographs, each split with its own of both.

    `split="train"` is a `CompositeDataset` of crops, indexed by (epoch, index); `split="val"` a `FixedComposites` of
    whole composites of at most `long_side` pixels, the default length showing each foreground on two backgrounds.
    """

    def __init__(
        self,
        split: str = "train",
        *,
        length: int | None = None,
        crop_size: int = 128,
        long_side: int = 256,
        augmentation: MattingAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        foregrounds = [file.path for file in demo_files("foreground", split)]
        backgrounds = [file.path for file in demo_files("background", split)]
        self._composites: CompositeDataset | FixedComposites
        if split == "train":
            how = augmentation or MattingAugmentation.scaled(crop_size, trimap_scale=DEMO_TRIMAP_SCALE)
            self._composites = CompositeDataset(
                foregrounds, backgrounds, augmentation=how, length=length, seed=seed, cache=True
            )
        else:
            length = 2 * len(foregrounds) if length is None else length
            scale = DEMO_TRIMAP_SCALE * min(long_side / 256, 1)
            self._composites = FixedComposites(
                foregrounds, backgrounds, length=length, long_side=long_side, trimap_scale=scale, seed=seed, cache=True
            )

    def __len__(self) -> int:
        return len(self._composites)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """The sample of (epoch, index) in training, of an int in evaluation."""
        return self._composites[item]  # type: ignore[index]

    def file_groups(self) -> Iterator[FileGroup]:
        """See `check.Checkable`."""
        return self._composites.file_groups()


class MattingFolder(Dataset):
    """A folder of images with mattes of the same stem, and trimaps where there are some.

    Layout: `root/image/NAME.*`, `root/alpha/NAME.*` and `root/trimap/NAME.*`; with a `split`, a folder of that name
    inside each. `image`, `alpha` and `trimap` rename these folders. NAME may begin with sub-folders, the same for all;
    `image_suffix`, `alpha_suffix` and `trimap_suffix` are what the files' names have after it. `alpha_max` and
    `trimap_values` say what the values mean where they are not the usual ones, see `read_alpha` and `read_trimap`;
    `apply_orientation` is explained at `denseup.data.io`. With `trimap=None` the trimap is made from alpha,
    eroding foreground and background by discs of `trimap_width` pixels.

    Without `augmentation` it gives whole images for evaluation, indexed by an int; with it training crops, indexed by
    (epoch, index), whose trimaps are drawn from alpha. Foreground and background colours are not known.

    Raises `DataError` for a missing or empty folder, a missing partner, an unreadable file, and sizes that differ.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        split: str | None = None,
        image: str = "image",
        alpha: str = "alpha",
        trimap: str | None = None,
        image_suffix: str = "",
        alpha_suffix: str = "",
        trimap_suffix: str = "",
        alpha_max: float | None = None,
        trimap_values: Mapping[int, int] | None = None,
        apply_orientation: bool = True,
        trimap_width: float = 15.0,
        augmentation: MattingAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        root = require_folder(Path(root), "root", MATTING_LAYOUT)
        listing = list_files(split_folder(root / image, split), "image", image_suffix)
        self.names, self.images = list(listing.files), list(listing.files.values())
        self.alphas = find_files(listing, split_folder(root / alpha, split), "alpha", alpha_suffix)
        self.trimaps: list[Path] | None = None
        if trimap is not None:
            self.trimaps = find_files(listing, split_folder(root / trimap, split), "trimap", trimap_suffix)
        self.apply_orientation = apply_orientation
        self._read_image = partial(read_image, apply_orientation=apply_orientation)
        self._read_alpha = partial(read_alpha, alpha_max=alpha_max, apply_orientation=apply_orientation)
        values = checked_trimap_values(trimap_values)
        self._read_trimap = partial(read_trimap, trimap_values=values, apply_orientation=apply_orientation)
        self.trimap_width, self.augmentation, self.seed = trimap_width, augmentation, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """The sample of (epoch, index) in training, of an int in evaluation."""
        if self.augmentation is None:
            return self._whole(item)  # type: ignore[arg-type]
        rng = train_rng(self.seed, item)  # type: ignore[arg-type]
        index = item[1]  # type: ignore[index]
        image, alpha = self._read(index)
        arrays = augment_photograph(image, alpha, rng, self.augmentation)
        maps = {name: map_tensor(arrays[name]) for name in ("alpha", "trimap")}
        return {"image": image_tensor(arrays["image"])} | maps | {"name": self.names[index]}

    def _whole(self, index: int) -> Sample:
        image, alpha = self._read(index)
        return {
            "image": image_tensor(image),
            "trimap": map_tensor(self._trimap(index, alpha)),
            "alpha": map_tensor(alpha),
            "name": self.names[index],
        }

    def _read(self, index: int) -> tuple[Array, Array]:
        image, alpha = self._read_image(self.images[index]), self._read_alpha(self.alphas[index])
        check_same_size({self.images[index]: image, self.alphas[index]: alpha})
        return image, alpha

    def _trimap(self, index: int, alpha: Array) -> Array:
        if self.trimaps is None:
            return trimap_from_alpha(alpha, self.trimap_width, self.trimap_width)
        trimap = self._read_trimap(self.trimaps[index])
        check_same_size({self.alphas[index]: alpha, self.trimaps[index]: trimap})
        return np.ascontiguousarray(trimap)

    def file_groups(self) -> Iterator[FileGroup]:
        """See `check.Checkable`."""
        for index, (image, alpha) in enumerate(zip(self.images, self.alphas, strict=True)):
            trimap = {} if self.trimaps is None else {self.trimaps[index]: self._read_trimap}
            yield {image: self._read_image, alpha: self._read_alpha, **trimap}

    def survey(self) -> MattingSurvey:
        """See `check.Surveyable`."""
        return MattingSurvey(self.trimap_width if self.augmentation is None else None)

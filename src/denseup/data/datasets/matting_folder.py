"""Folders of images with mattes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from denseup.data.checking.files import FileGroup
from denseup.data.checking.mattes import MattingSurvey
from denseup.data.datasets.sampling import Sample, TrainIndex, train_streams
from denseup.data.datasets.tensors import image_tensor, map_tensor
from denseup.data.reading.folders import Partners, list_files, match_files, only_named, require_folder, split_folder
from denseup.data.reading.levels import checked_trimap_values
from denseup.data.reading.samples import Array, check_same_size, read_alpha, read_image, read_trimap
from denseup.data.transforms.compositing import trimap_from_alpha
from denseup.data.transforms.matting import MattingAugmentation, photograph_steps
from denseup.data.transforms.pipeline import Arrays, Pipeline
from denseup.data.transforms.streams import Streams

MATTING_LAYOUT = "ROOT/image/[SPLIT/]NAME.png, ROOT/alpha/[SPLIT/]NAME.png and, if wanted, ROOT/trimap/[SPLIT/]NAME.png"


class MattingFolder(Dataset):
    """A folder of images with mattes of the same stem, and trimaps where there are some.

    Layout: `root/image/NAME.*`, `root/alpha/NAME.*` and `root/trimap/NAME.*`; with a `split`, a folder of that name
    inside each. `image`, `alpha` and `trimap` rename these folders. NAME may begin with sub-folders, the same for all;
    `image_suffix`, `alpha_suffix` and `trimap_suffix` are what the files' names have after it. `alpha_max` and
    `trimap_values` say what the values mean where they are not the usual ones, see `read_alpha` and `read_trimap`;
    `apply_orientation` is explained at `denseup.data.reading.samples`. With `trimap=None` the trimap is made from
    alpha, eroding foreground and background by discs of `trimap_width` pixels. `names` are those of the images that
    count, by their NAME, with the file that lists them; None: all count. `alpha_keys` gives for a NAME that of its
    matte, where several images have one together.

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
        names: tuple[Path, Sequence[str]] | None = None,
        alpha_keys: Callable[[str], str] | None = None,
        augmentation: MattingAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        root = require_folder(Path(root), "root", MATTING_LAYOUT)
        listing = list_files(split_folder(root / image, split), "image", image_suffix)
        listing = listing if names is None else only_named(listing, names[1], names[0])
        keys = {} if alpha_keys is None else {key: alpha_keys(key) for key in listing.files}
        partners = [Partners(split_folder(root / alpha, split), "alpha", alpha_suffix, keys)]
        if trimap is not None:
            partners.append(Partners(split_folder(root / trimap, split), "trimap", trimap_suffix))
        listing, (self.alphas, *trimaps) = match_files(listing, *partners)
        self.names, self.images = list(listing.files), list(listing.files.values())
        self.trimaps: list[Path] | None = trimaps[0] if trimaps else None
        self.apply_orientation = apply_orientation
        self._read_image = partial(read_image, apply_orientation=apply_orientation)
        self._read_alpha = partial(read_alpha, alpha_max=alpha_max, apply_orientation=apply_orientation)
        values = checked_trimap_values(trimap_values)
        self._read_trimap = partial(read_trimap, trimap_values=values, apply_orientation=apply_orientation)
        self.trimap_width, self.seed = trimap_width, seed
        self.pipeline: Pipeline | None = None if augmentation is None else photograph_steps(augmentation)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """The sample of (epoch, index) in training, of an int in evaluation."""
        if self.pipeline is None:
            return self._whole(item)  # type: ignore[arg-type]
        arrays = self.pipeline(*self._source(item))  # type: ignore[arg-type]
        maps = {name: map_tensor(arrays[name]) for name in ("alpha", "trimap")}
        return {"image": image_tensor(arrays["image"])} | maps | {"name": self.names[item[1]]}  # type: ignore[index]

    def stages(self, item: TrainIndex) -> Iterator[tuple[str, Arrays]]:
        """(name of the step, its arrays) for each step that makes a training crop; see `Pipeline.stages`."""
        assert self.pipeline is not None, "whole images go through no steps"
        return self.pipeline.stages(*self._source(item))

    def _source(self, item: TrainIndex) -> tuple[Arrays, Streams]:
        streams = train_streams(self.seed, item)
        image, alpha = self._read(item[1])
        return {"image": image, "alpha": alpha}, streams

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
        return MattingSurvey(self.trimap_width if self.pipeline is None else None)

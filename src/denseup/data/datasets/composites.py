"""Matting samples made by putting foregrounds with known alpha on photographs."""

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from denseup.data.checking.files import FileGroup
from denseup.data.checking.mattes import MattingSurvey
from denseup.data.datasets.parting import files_of_parts, held_out
from denseup.data.datasets.sampling import Sample, TrainIndex, train_streams
from denseup.data.datasets.tensors import image_tensor, map_tensor
from denseup.data.reading.samples import Array, Cached, read_alpha, read_cutout, read_image
from denseup.data.transforms.compositing import composite, draw_trimap, premultiply, read_layer, straight
from denseup.data.transforms.matting import MattingAugmentation, composite_steps
from denseup.data.transforms.pipeline import Arrays, Pipeline
from denseup.data.transforms.streams import Generator, Streams


class _Composites(Dataset):
    """The files of both data sets below; `alphas` None means that the foregrounds are RGBA files."""

    def __init__(
        self,
        foregrounds: Sequence[Path],
        backgrounds: Sequence[Path],
        alphas: Sequence[Path] | None = None,
        *,
        length: int | None = None,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        for name, files in (("foregrounds", foregrounds), ("backgrounds", backgrounds)):
            if not files:
                raise ValueError(f"{name}: got an empty list, expected at least one file")
        if alphas is not None and len(alphas) != len(foregrounds):
            raise ValueError(
                f"alphas: got {len(alphas)} files, expected one for each of {len(foregrounds)} foregrounds"
            )
        self.foregrounds, self.backgrounds, self.alphas = list(foregrounds), list(backgrounds), alphas
        self.length = len(foregrounds) if length is None else length
        self.seed = seed
        self._read_layer, self._read_image = Cached(read_layer, cache), Cached(read_image, cache)

    def __len__(self) -> int:
        return self.length

    def _files(self, index: int) -> tuple[Path, Path | None]:
        index %= len(self.foregrounds)
        return self.foregrounds[index], None if self.alphas is None else self.alphas[index]

    def file_groups(self) -> Iterator[FileGroup]:
        """See `check.Checkable`."""
        for index, path in enumerate(self.foregrounds):
            yield {path: read_cutout} if self.alphas is None else {path: read_image, self.alphas[index]: read_alpha}
        for path in self.backgrounds:
            yield {path: read_image}

    def survey(self) -> MattingSurvey:
        """See `check.Surveyable`."""
        return MattingSurvey()


class CompositeDataset(_Composites):
    """Training crops: foreground `index` modulo their number, augmented, on a random background.

    Indexed by (epoch, index); see `sampling`. `length` is the number of samples an epoch, by default one for each
    foreground. `cache` keeps decoded files in memory, which is for small sets only.
    """

    def __init__(
        self,
        foregrounds: Sequence[Path],
        backgrounds: Sequence[Path],
        alphas: Sequence[Path] | None = None,
        *,
        augmentation: MattingAugmentation | None = None,
        length: int | None = None,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        super().__init__(foregrounds, backgrounds, alphas, length=length, seed=seed, cache=cache)
        self.augmentation = augmentation or MattingAugmentation()
        self.hold_out: float | None = None
        self._held = [False] * len(self.foregrounds)
        self.pipeline = self._held_pipeline = self._drawing_from(range(len(self.foregrounds)), self.backgrounds)

    def __getitem__(self, item: TrainIndex) -> Sample:
        """The training sample of (epoch, index), with its foreground and background."""
        source = self._source(item)
        arrays = self._pipeline(item)(*source)
        sample: Sample = {name: image_tensor(arrays[name]) for name in ("image", "foreground", "background")}
        maps = {name: map_tensor(arrays[name]) for name in ("alpha", "trimap")}
        return sample | maps | {"name": self._files(item[1])[0].stem}

    def stages(self, item: TrainIndex) -> Iterator[tuple[str, Arrays]]:
        """(name of the step, its arrays) for each step that makes the sample; see `Pipeline.stages`."""
        source = self._source(item)
        return self._pipeline(item).stages(*source)

    def image_of(self, place: int) -> int:
        """The foreground; see `parting.OfImages`."""
        return place % len(self.foregrounds)

    def parted(self, share: float) -> "CompositeDataset":
        """Second foregrounds and, where there are several, backgrounds are of one part; see `parting.Partable`."""
        other = copy.copy(self)
        other.hold_out, number = share, min(len(self.foregrounds), self.length)
        other._held = held_out(number, share, spread=True)
        layers = ([place for place in range(number) if other._held[place] == side] for side in (False, True))
        parts = zip(layers, files_of_parts(self.backgrounds, share), strict=True)
        other.pipeline, other._held_pipeline = (self._drawing_from(*files) for files in parts)
        return other

    def _pipeline(self, item: TrainIndex) -> Pipeline:
        return self._held_pipeline if self._held[self.image_of(item[1])] else self.pipeline

    def _drawing_from(self, layers: Sequence[int], backgrounds: Sequence[Path]) -> Pipeline:
        draws = partial(self._any_layer, layers), partial(self._any_background, backgrounds)
        return composite_steps(self.augmentation, *draws)

    def _any_layer(self, layers: Sequence[int], rng: Generator) -> Array:
        return self._read_layer(*self._files(layers[int(rng.integers(len(layers)))]))

    def _any_background(self, backgrounds: Sequence[Path], rng: Generator) -> Array:
        return self._read_image(backgrounds[int(rng.integers(len(backgrounds)))])

    def _source(self, item: TrainIndex) -> tuple[Arrays, Streams]:
        streams = train_streams(self.seed, item)
        return {"layer": self._read_layer(*self._files(item[1]))}, streams


class FixedComposites(_Composites):
    """Whole composites for evaluation, the same in every run: each foreground on several backgrounds.

    Indexed by an int. A composite has its foreground's size, or is reduced to `long_side` pixels where the foreground
    is larger. Backgrounds are scaled to cover it and cut at the centre.
    """

    def __init__(
        self,
        foregrounds: Sequence[Path],
        backgrounds: Sequence[Path],
        alphas: Sequence[Path] | None = None,
        *,
        length: int | None = None,
        long_side: int | None = None,
        trimap_scale: float = 1.0,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        super().__init__(foregrounds, backgrounds, alphas, length=length, seed=seed, cache=cache)
        self.long_side, self.trimap_scale = long_side, trimap_scale

    def __getitem__(self, index: int) -> Sample:
        """The evaluation sample `index`."""
        if not 0 <= index < len(self):
            raise IndexError(f"index={index}: expected 0..{len(self) - 1}")
        foreground, alpha = self._foreground(index)
        path = self.backgrounds[self._background_index(index)]
        background = covering(self._read_image(path), alpha.shape)
        trimap = draw_trimap(alpha, np.random.default_rng([self.seed, index]), scale=self.trimap_scale)
        return {
            "image": image_tensor(composite(foreground, alpha.astype(np.float32) / 255, background)),
            "trimap": map_tensor(trimap),
            "alpha": map_tensor(alpha),
            "name": f"{self.foregrounds[index % len(self.foregrounds)].stem}_on_{path.stem}",
        }

    def _background_index(self, index: int) -> int:
        # Each round through the foregrounds starts one background further, so that a foreground changes its own.
        turn, first = divmod(index, len(self.foregrounds))
        return (first + turn * (1 + len(self.backgrounds) // 2)) % len(self.backgrounds)

    def _foreground(self, index: int) -> tuple[Array, Array]:
        """Colours float32 [H, W, 3] in [0, 1] and alpha uint8 [H, W]."""
        cutout = read_cutout(*self._files(index))
        longest = max(cutout.shape[:2])
        if self.long_side is None or longest <= self.long_side:
            return cutout[..., :3].astype(np.float32) / 255, cutout[..., 3].copy()
        height, width = (max(round(side * self.long_side / longest), 1) for side in cutout.shape[:2])
        colours, alpha = straight(cv2.resize(premultiply(cutout), (width, height), interpolation=cv2.INTER_AREA))
        return colours, np.rint(alpha * 255).astype(np.uint8)


def covering(image: Array, size: tuple[int, ...]) -> Array:
    """The centre of a uint8 [H, W, 3] image scaled to just cover `size` (height, width), as float32 in [0, 1]."""
    height, width = size
    scale = max(height / image.shape[0], width / image.shape[1])
    scaled = (max(round(image.shape[1] * scale), width), max(round(image.shape[0] * scale), height))
    image = cv2.resize(image, scaled, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width].astype(np.float32) / 255

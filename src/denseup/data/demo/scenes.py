"""Segmentation scenes from the embedded demo set: several cut-outs pasted into a photograph."""

import copy
from collections.abc import Iterator
from typing import ClassVar

import cv2
import numpy as np
from torch.utils.data import Dataset

from denseup.data.checking.files import FileGroup
from denseup.data.datasets.parting import files_of_parts, held_out
from denseup.data.datasets.sampling import Sample, TrainIndex, train_streams
from denseup.data.datasets.tensors import image_tensor, label_tensor
from denseup.data.demo.manifest import DEMO_CLASSES, demo_files
from denseup.data.reading.samples import Array, Cached, read_cutout, read_image
from denseup.data.transforms.compositing import paste, read_layer
from denseup.data.transforms.geometry import levels, mirrored, random_background
from denseup.data.transforms.pipeline import Arrays
from denseup.data.transforms.segmentation import SegmentationAugmentation, labelled_steps
from denseup.data.transforms.streams import Generator, Streams

# Long side of a pasted cut-out as a share of the scene's. Twigs fill little of their frame and fur most of it, so
# the ranges differ, to give the classes comparable numbers of pixels.
SIZES = {1: (0.4, 0.65), 2: (0.55, 0.85), 3: (0.75, 1.1)}
# How often each class is the one cut-out more that a scene may have.
EXTRA_SHARES = (0.15, 0.25, 0.6)
MAX_EXTRA = 2
# Evaluation scenes are drawn again until every class has this share of the pixels.
MIN_SHARE = 0.03
SCENE_TRIES = 20


class DemoScenes(Dataset):
    """Photographs with three to five cut-outs pasted in, at least one of each class; labels index `DEMO_CLASSES`.

    `split="train"` gives augmented crops, indexed by (epoch, index); `split="val"` whole scenes of
    `image_size` pixels a side, indexed by an int and the same in every run, each showing all classes. Splits share no
    file.
    """

    task: ClassVar[str] = "segmentation"
    class_names: ClassVar[tuple[str, ...]] = DEMO_CLASSES
    default_crop_size: ClassVar[int] = 160

    def __init__(
        self,
        split: str = "train",
        *,
        length: int = 32,
        image_size: int = 256,
        crop_size: int = 160,
        augmentation: SegmentationAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.split, self.length, self.size, self.seed = split, length, image_size, seed
        how = augmentation or SegmentationAugmentation(
            crop_size=crop_size, short_side=image_size, long_side=4 * image_size, ratio=(0.75, 1.5)
        )
        self.pipeline = labelled_steps(how)
        foregrounds = demo_files("foreground", split)
        self.cutouts = {c: [f.path for f in foregrounds if f.class_index == c] for c in range(1, len(DEMO_CLASSES))}
        self.backgrounds = [file.path for file in demo_files("background", split)]
        self.hold_out: float | None = None
        self._read_layer, self._read_image = Cached(read_layer, True), Cached(read_image, True)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """The sample of (epoch, index) in training, of an int in evaluation."""
        if self.split == "train":
            arrays = self.pipeline(*self._source(item))  # type: ignore[arg-type]
            image, label = arrays["image"], arrays["label"]
            name = "scene_{:04d}_{:04d}".format(*item)  # type: ignore[misc]
        else:
            image, label = self._balanced_scene(item)  # type: ignore[arg-type]
            name = f"scene_{item:04d}"
        return {"image": image_tensor(image), "label": label_tensor(label), "name": name}

    def stages(self, item: TrainIndex) -> Iterator[tuple[str, Arrays]]:
        """(name of the step, its arrays) for each step from a scene to a training crop; see `Pipeline.stages`."""
        return self.pipeline.stages(*self._source(item))

    def _source(self, item: TrainIndex) -> tuple[Arrays, Streams]:
        streams = train_streams(self.seed, item)
        held = self.hold_out is not None and held_out(self.length, self.hold_out, spread=True)[item[1]]
        image, label = self._scene(streams("scene"), int(held))
        return {"image": image, "label": label}, streams

    def parted(self, share: float) -> "DemoScenes":
        """Cut-outs, of each class, and backgrounds are of one part; see `parting.Partable`."""
        other = copy.copy(self)
        other.hold_out = share
        return other

    def file_groups(self) -> Iterator[FileGroup]:
        """See `check.Checkable`."""
        yield from ({path: read_cutout} for paths in self.cutouts.values() for path in paths)
        yield from ({path: read_image} for path in self.backgrounds)

    def _balanced_scene(self, index: int) -> tuple[Array, Array]:
        if not 0 <= index < len(self):
            raise IndexError(f"index={index}: expected 0..{len(self) - 1}")
        rng = np.random.default_rng([self.seed, index])
        for _ in range(SCENE_TRIES):
            image, label = self._scene(rng)
            if np.bincount(label.ravel(), minlength=len(DEMO_CLASSES)).min() >= MIN_SHARE * label.size:
                break
        return image, label

    def _scene(self, rng: Generator, part: int = 0) -> tuple[Array, Array]:
        """A scene as uint8 [S, S, 3] and its label map uint8 [S, S], of the files of a part."""
        backgrounds = files_of_parts(self.backgrounds, self.hold_out)[part]
        path = backgrounds[int(rng.integers(len(backgrounds)))]
        image = random_background(self._read_image(path), self.size, rng)
        label = np.zeros((self.size, self.size), np.uint8)
        classes = [*self.cutouts, *rng.choice(list(self.cutouts), int(rng.integers(MAX_EXTRA + 1)), p=EXTRA_SHARES)]
        for class_index in rng.permutation(classes):
            layer = self._layer(int(class_index), rng, part)
            top, left = (self._position(side, rng) for side in layer.shape[:2])
            paste(image, label, layer, top, left, int(class_index))
        return levels(image), label

    def _layer(self, class_index: int, rng: Generator, part: int) -> Array:
        paths = files_of_parts(self.cutouts[class_index], self.hold_out)[part]
        layer = self._read_layer(paths[int(rng.integers(len(paths)))])
        scale = rng.uniform(*SIZES[class_index]) * self.size / max(layer.shape[:2])
        size = (max(round(layer.shape[1] * scale), 1), max(round(layer.shape[0] * scale), 1))
        layer = cv2.resize(layer, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        return mirrored(layer) if rng.random() < 0.5 else layer

    def _position(self, side: int, rng: Generator) -> int:
        """Where a cut-out `side` pixels long begins: at most a quarter of it reaches beyond the scene."""
        room = self.size - side
        slack = side // 4
        return int(rng.integers(min(0, room) - slack, max(0, room) + slack + 1))

"""The steps of those data sets that do not tell them themselves, in the order of their augmentation.

Only `stages.py` uses it: a data set with a method `stages` does without.
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset

from denseup.data.datasets.composites import CompositeDataset
from denseup.data.datasets.matting_folder import MattingFolder
from denseup.data.datasets.sampling import TrainIndex, train_rng
from denseup.data.datasets.segmentation_folder import SegmentationFolder
from denseup.data.reading.samples import Array
from denseup.data.transforms import matting as m
from denseup.data.transforms import segmentation as s
from denseup.data.transforms.compositing import composite, draw_trimap, open_trimap, straight

Arrays = dict[str, Any]
Stages = Iterator[tuple[str, Arrays]]


def replayed(dataset: Any, item: TrainIndex) -> Stages:
    """The steps of a training sample; of a data set of another kind none."""
    dataset = getattr(dataset, "_composites", dataset)
    if isinstance(dataset, CompositeDataset):
        return _composited(dataset, item)
    if isinstance(dataset, MattingFolder) and dataset.augmentation is not None:
        return _photographed(dataset, item, dataset.augmentation)
    if isinstance(dataset, SegmentationFolder) and dataset.augmentation is not None:
        image, label = dataset._read(item[1])
        return _labelled(image, label, train_rng(dataset.seed, item), dataset.augmentation)
    if hasattr(dataset, "_scene"):
        rng = train_rng(dataset.seed, item)
        image, label = dataset._scene(rng)
        return _labelled(image, label, rng, dataset.augmentation)
    assert isinstance(dataset, Dataset)
    return iter(())


def _labelled(image: Array, label: Array, rng: m.Generator, how: s.SegmentationAugmentation) -> Stages:
    image, label = s.random_resize(image, label, rng, how)
    yield "resize", {"image": image, "label": label}
    image, label = s.random_crop(image, label, rng, how.crop_size, how.max_class_share)
    yield "crop", {"image": image, "label": label}
    if rng.random() < how.flip:
        image, label = image[:, ::-1], label[:, ::-1]
    yield "flip", {"image": image, "label": label}
    if how.photometric:
        image = s.distort_colours(np.ascontiguousarray(image), rng)
        yield "colours", {"image": image, "label": label}
    image, label = s.pad_to(image, label, how.crop_size)
    yield "pad", {"image": image, "label": label}


def _photographed(dataset: MattingFolder, item: TrainIndex, how: m.MattingAugmentation) -> Stages:
    rng = train_rng(dataset.seed, item)
    image, alpha = dataset._read(item[1])
    if rng.random() < how.flip:
        image, alpha = image[:, ::-1], np.ascontiguousarray(alpha[:, ::-1])
    yield "flip", {"image": image, "alpha": alpha}
    trimap = draw_trimap(alpha, rng, how.trimap_widths, how.trimap_scale)
    yield "trimap", {"image": image, "alpha": alpha, "trimap": trimap}
    window = m.unknown_window(trimap, how.crop_sizes, rng)
    alpha = m._cut(alpha, window, how.crop_size)
    trimap = open_trimap(m._cut(trimap, window, how.crop_size, cv2.INTER_NEAREST), alpha)
    yield "crop", {"image": m._cut(image, window, how.crop_size), "alpha": alpha, "trimap": trimap}


def _composited(dataset: CompositeDataset, item: TrainIndex) -> Stages:
    how, rng = dataset.augmentation, train_rng(dataset.seed, item)
    layers = [dataset._read_layer(*dataset._files(item[1]))]
    if rng.random() < how.combine:
        layers.append(dataset._read_layer(*dataset._files(int(rng.integers(len(dataset.foregrounds))))))
    background = dataset._read_image(dataset.backgrounds[int(rng.integers(len(dataset.backgrounds)))])
    layer = m.combine(layers)
    yield "combine", {"layer": layer}
    if rng.random() < how.resize:
        layer = cv2.resize(layer, (how.resize_to, how.resize_to), interpolation=cv2.INTER_LINEAR)
    yield "resize", {"layer": layer}
    layer = m.random_affine(layer, rng, how)
    yield "affine", {"layer": layer}
    if rng.random() < how.flip:
        layer = layer[:, ::-1]
    yield "flip", {"layer": layer}
    trimap = draw_trimap(m._bytes(layer[..., 3]), rng, how.trimap_widths, how.trimap_scale)
    yield "trimap", {"layer": layer, "trimap": trimap}
    window = m.unknown_window(trimap, how.crop_sizes, rng)
    foreground, alpha = straight(m._cut(layer, window, how.crop_size))
    trimap = open_trimap(m._cut(trimap, window, how.crop_size, cv2.INTER_NEAREST), m._bytes(alpha))
    yield "crop", {"foreground": foreground, "alpha": alpha, "trimap": trimap}
    foreground = m.jitter_hsv(foreground, alpha, rng, how.hue, how.shift)
    yield "colours", {"foreground": foreground, "alpha": alpha, "trimap": trimap}
    behind = m.random_background(background, how.crop_size, rng)
    yield "composite", {"image": composite(foreground, alpha, behind), "alpha": alpha, "trimap": trimap}

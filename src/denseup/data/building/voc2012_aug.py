"""PASCAL VOC 2012's training set with the images that SBD adds: one folder of labels and one list."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from denseup.data.building.built import Built, not_written, until_stopped
from denseup.data.parallel import worked
from denseup.data.reading.decoding import Array, DataError, open_picture
from denseup.data.reading.files import file_bytes
from denseup.data.reading.folders import require_folder
from denseup.data.reading.sbd import read_sbd_label
from denseup.data.reading.splits import read_names
from denseup.writing import WriteError, write_whole

LISTED = 20
LABELS = "SegmentationClassAug"
LISTS = "ImageSets/Segmentation"
LIST = f"{LISTS}/train_aug.txt"
IMAGES = "JPEGImages"


class Label(NamedTuple):
    """A label to be made, and the file that it is made of: VOC's own as it is, or SBD's."""

    target: Path
    source: Path


class Plan(NamedTuple):
    """Labels in the order of their names, and the training images among them."""

    labels: list[Label]
    training: list[str]


def planned(root: Path, sbd: Path) -> Plan:
    """The labels of all images of VOC's lists and SBD's, VOC's own where there are both.

    VOC's labels have a border of 255 and are finer. Training images are VOC's and those of SBD that VOC does not
    validate on, 10582 in the releases.

    Args:
        root: VOCdevkit/VOC2012.
        sbd: `dataset` of SBD's release, with `cls/NAME.mat`, train.txt and val.txt.

    Raises:
        DataError: a folder or list that is not there, or images or labels that the lists name and that are not there.
    """
    root = require_folder(root, "root", f"ROOT/{IMAGES}/NAME.jpg, ROOT/SegmentationClass/NAME.png, ROOT/{LISTS}")
    sbd = require_folder(sbd, "sbd", "SBD/cls/NAME.mat, SBD/train.txt, SBD/val.txt")
    train, val = (read_names(root / LISTS / f"{split}.txt", IMAGES) for split in ("train", "val"))
    added = [name for split in ("train", "val") for name in read_names(sbd / f"{split}.txt", "img")]
    sources = {name: sbd / "cls" / f"{name}.mat" for name in added}
    sources |= {name: root / "SegmentationClass" / f"{name}.png" for name in (*train, *val)}
    wanted = [*sources.values(), *(root / IMAGES / f"{name}.jpg" for name in sources)]
    missing = [str(path) for path in wanted if not path.is_file()]
    if missing:
        more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
        raise DataError(f"found no file {', '.join(missing[:LISTED])}{more}; the lists of VOC and SBD name them")
    labels = [Label(root / LABELS / f"{name}.png", source) for name, source in sorted(sources.items())]
    return Plan(labels, sorted({*train, *added} - {*val}))


def build(labels: Sequence[Label], workers: int) -> Iterator[Built]:
    """Make the labels by so many processes, and say of each what became of it, in their order.

    What is there already is kept if it holds the same labels. Files appear whole or not at all.

    Raises:
        WriteError: nothing can be written any more.
    """
    return until_stopped(worked(_build, labels, workers))


def write_list(root: Path, training: Sequence[str]) -> Path:
    """The list of the training images, an image a line."""
    write_whole(root / LIST, "".join(f"{name}\n" for name in training))
    return root / LIST


def _build(label: Label) -> Built:
    try:
        classes = read_sbd_label(label.source) if label.source.suffix == ".mat" else open_picture(label.source).values()
        if _holds(label.target, classes):
            return Built(label.target, "kept")
        write_whole(label.target, _content(label.source, classes))
    except WriteError as error:
        return not_written(label.target, error)
    except (DataError, OSError) as error:
        return Built(label.target, "failed", str(error))
    return Built(label.target, "built")


def _content(source: Path, classes: Array) -> bytes:
    if source.suffix != ".mat":
        return file_bytes(source)
    encoded: bytes = cv2.imencode(".png", classes)[1].tobytes()
    return encoded


def _holds(target: Path, classes: Array) -> bool:
    if not target.exists():
        return False
    try:
        return np.array_equal(open_picture(target).values(), classes)
    except DataError:
        return False

"""Training samples in two parts that share no image: one is trained on, by the other settings are chosen.

Samples that are an image each, or a view of one, are parted by their order: the last images are held out, so that
neighbours, frames of a video, are mostly on one side. Data sets whose samples are made of files that several of them
share (composites) part the files, and hold out ones from all over their list, which may be ordered by kind.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from torch.utils.data import Dataset

Item = TypeVar("Item")


@runtime_checkable
class OfImages(Protocol):
    """A training data set with several samples of an image."""

    def image_of(self, place: int) -> int:
        """Which image the sample at a place is of; its samples are all on one side."""
        ...


@runtime_checkable
class Partable(Protocol):
    """A training data set whose samples are made of files that other samples are made of too."""

    hold_out: float | None
    """The share that it is parted by; None: all samples draw from all files."""

    def parted(self, share: float) -> Dataset:
        """The same images; those that `held_out` of their number names are made of no file of the others."""
        ...


def parted(dataset: Dataset, share: float | None) -> Dataset:
    """A data set as `Partable.parted` gives it; None: as it is."""
    return dataset if share is None or not isinstance(dataset, Partable) else dataset.parted(share)


def hold_out_of(dataset: Dataset) -> float | None:
    """The share that the files behind a data set are parted by."""
    share: float | None = getattr(dataset, "hold_out", None)
    return share


def image_of(dataset: Dataset, place: int) -> int:
    """The image of the sample at a place."""
    return dataset.image_of(place) if isinstance(dataset, OfImages) else place


def held_samples(dataset: Dataset, share: float) -> list[bool]:
    """Of each training sample whether its image is held out.

    Raises:
        ValueError: a share that leaves nothing on one side.
    """
    images = [image_of(dataset, place) for place in range(len(dataset))]  # type: ignore[arg-type]
    held = held_out(max(images, default=-1) + 1, share, spread=hold_out_of(dataset) is not None)
    return [held[image] for image in images]


def held_out(number: int, share: float, spread: bool) -> list[bool]:
    """Of each of `number` images whether it is held out: the last ones, or ones `spread` over all.

    Raises:
        ValueError: a share that leaves nothing on one side.
    """
    first = round((1 - share) * number)
    if not 0 < first < number:
        raise ValueError(f"protocol.hold_out is {share}: of {number} images that leaves one side without any")
    if not spread:
        return [place >= first for place in range(number)]
    held = number - first
    return [(place + 1) * held // number > place * held // number for place in range(number)]


def files_of_parts(files: Sequence[Item], share: float | None) -> tuple[list[Item], list[Item]]:
    """What the samples that are trained on draw from, and the held-out ones.

    Both draw from all files where no share is held out, or there are too few for two parts.
    """
    try:
        held = held_out(len(files), share or 0, spread=True)
    except ValueError:
        return list(files), list(files)
    parts: tuple[list[Item], list[Item]] = ([], [])
    for file, side in zip(files, held, strict=True):
        parts[side].append(file)
    return parts

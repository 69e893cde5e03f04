"""Lightning data modules of one's own folders; see `denseup.data.datamodules`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch.utils.data import Dataset

from denseup.data.datamodules.base import FolderData
from denseup.data.datasets.matting_folder import MATTING_LAYOUT, MattingFolder
from denseup.data.datasets.segmentation_folder import SegmentationFolder, class_names_for
from denseup.data.reading.label_coding import LabelCoding
from denseup.data.reading.levels import checked_trimap_values
from denseup.data.reading.splits import Place, checked_place, layout_of
from denseup.data.transforms.matting import MattingAugmentation
from denseup.data.transforms.segmentation import SegmentationAugmentation


class MattingFolderData(FolderData):
    """One's own images with mattes; see `MattingFolder` for the layout and for what the values may mean.

    Training crops are `crop_size` pixels wide, with the published recipe in proportion unless `augmentation` is given.
    """

    task, layout = "matting", MATTING_LAYOUT

    def __init__(
        self,
        root: str,
        image: Place = "image",
        alpha: Place = "alpha",
        trimap: Place | None = None,
        splits: Sequence[str] = ("train", "val", "test"),
        crop_size: int = 512,
        batch_size: int = 16,
        num_workers: int = 4,
        seed: int = 0,
        trimap_width: float = 15.0,
        augmentation: MattingAugmentation | None = None,
        image_suffix: str = "",
        alpha_suffix: str = "",
        trimap_suffix: str = "",
        alpha_max: float | None = None,
        trimap_values: Mapping[int, int] | None = None,
        apply_orientation: bool = True,
        fixed_views: int | Literal["whole"] = 1,
        lists: str | None = None,
    ) -> None:
        image = checked_place("image", image)
        super().__init__(root, splits, batch_size, num_workers, seed, image, fixed_views, lists)
        self.places: dict[str, Place | None] = {"image": image, "alpha": checked_place("alpha", alpha)}
        self.places["trimap"] = None if trimap is None else checked_place("trimap", trimap)
        self.folders: dict[str, Any] = {"trimap_width": trimap_width}
        self.folders |= {"image_suffix": image_suffix, "alpha_suffix": alpha_suffix, "trimap_suffix": trimap_suffix}
        self.folders |= {"alpha_max": alpha_max, "trimap_values": checked_trimap_values(trimap_values)}
        self.folders["apply_orientation"] = apply_orientation
        self.augmentation = augmentation or MattingAugmentation.scaled(crop_size)

    def make_folder(self, split: str, where: str | None) -> Dataset:
        """A `MattingFolder`."""
        chosen = self.folders | {what: self.place(place, where) for what, place in self.places.items()}
        chosen["names"] = self.names(where, str(chosen["image"]))
        if split == "train":
            chosen |= {"trimap": None, "augmentation": self.augmentation, "seed": self.seed}
        return MattingFolder(self.root, **chosen)


class SegmentationFolderData(FolderData):
    """One's own images with label maps; see `SegmentationFolder` for layout and values, and `SegmentationAugmentation`.

    `crop_size`, `short_side` and `long_side` (by default four times the short one) are in pixels; `test_size`
    (short side, long side) resizes evaluation images, `augmentation` replaces the whole training recipe.
    """

    task = "segmentation"

    def __init__(
        self,
        root: str,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        images: Place = "images",
        labels: Place = "labels",
        reduce_zero_label: bool = False,
        ignore_labels: Sequence[int] = (),
        splits: Sequence[str] = ("train", "val", "test"),
        crop_size: int = 512,
        short_side: int = 512,
        long_side: int | None = None,
        test_size: Sequence[int] | None = None,
        batch_size: int = 16,
        num_workers: int = 4,
        seed: int = 0,
        augmentation: SegmentationAugmentation | None = None,
        image_suffix: str = "",
        label_suffix: str = "",
        label_values: Mapping[int, int] | None = None,
        label_colours: Sequence[Sequence[int]] = (),
        apply_orientation: bool = True,
        fixed_views: int | Literal["whole"] = 1,
        class_values: Sequence[int] = (),
        lists: str | None = None,
    ) -> None:
        self.places = {"images": checked_place("images", images), "labels": checked_place("labels", labels)}
        super().__init__(root, splits, batch_size, num_workers, seed, self.places["images"], fixed_views, lists)
        self.num_classes, self.class_names = num_classes, class_names_for(num_classes, class_names)
        self.layout = layout_of(*self.places.values())
        self.augmentation = augmentation or SegmentationAugmentation(crop_size, short_side, long_side or 4 * short_side)
        self.test_size = None if test_size is None else (test_size[0], test_size[1])
        coding = LabelCoding(
            num_classes, reduce_zero_label, tuple(ignore_labels), label_values or {}, label_colours, tuple(class_values)
        )
        self.folders: dict[str, Any] = {"reduce_zero_label": reduce_zero_label, "class_values": coding.class_values}
        self.folders |= {"image_suffix": image_suffix, "label_suffix": label_suffix}
        self.folders |= {"ignore_labels": coding.ignore_labels, "label_values": coding.label_values}
        self.folders |= {"label_colours": coding.label_colours, "apply_orientation": apply_orientation}

    def make_folder(self, split: str, where: str | None) -> Dataset:
        """A `SegmentationFolder`."""
        chosen = self.folders | {what: self.place(place, where) for what, place in self.places.items()}
        chosen["names"] = self.names(where, str(chosen["images"]))
        if split == "train":
            chosen |= {"augmentation": self.augmentation, "seed": self.seed}
        else:
            chosen["test_size"] = self.test_size
        return SegmentationFolder(self.root, self.num_classes, class_names=self.class_names, **chosen)

"""Sets in the exact folders and names of their releases, of small images; each gives the options that load it.

Names are of the kind that a release has; of each split there are as many images as `COUNTS` says.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from data.sample_folders import disc, noise, save, write
from PIL import Image

HEIGHT, WIDTH = 24, 32
COUNTS = {"train": 3, "val": 2, "test": 2}
MATTE = disc(HEIGHT, WIDTH)
TRIMAP = np.where(cv2.dilate(((MATTE > 0) & (MATTE < 255)).astype(np.uint8), np.ones((3, 3))) > 0, 128, MATTE)


def image(path: Path, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Path:
    return write(path, noise(seed, height, width))


def matte(path: Path) -> Path:
    return write(path, MATTE)


def trimap(path: Path) -> Path:
    return write(path, TRIMAP)


def label(path: Path, values: list[int], seed: int = 0) -> Path:
    """Blocks of the values, each of which occurs."""
    blocks = np.resize(np.array(values), (HEIGHT // 4, WIDTH // 4))
    return write(path, np.roll(blocks, seed, 1).repeat(4, 0).repeat(4, 1).astype(np.uint8))


def palette_label(path: Path, values: list[int], seed: int = 0) -> Path:
    """A label as VOC has it: colours of a palette, whose indices count."""
    array = np.resize(np.array(values), (HEIGHT, WIDTH)).astype(np.uint8)
    pixels = Image.fromarray(np.roll(array, seed, 0))
    pixels.putpalette([(value * part) % 256 for value in range(256) for part in (37, 91, 173)])
    return save(path, pixels)


def composition1k(root: Path, count: int = 3) -> list[str]:
    """Adobe's Combined_Dataset: lists, two groups for training, one for test; no composites."""
    licensed = [f"{number}-1252426161dfXY.jpg" for number in range(count - 1)]
    names = {"Adobe-licensed images": licensed, "Other": ["beetle.jpg"]}
    for group, files in names.items():
        for number, name in enumerate(files):
            image(root / "Training_set" / group / "fg" / name, number)
            matte(root / "Training_set" / group / "alpha" / name)
    test = root / "Test_set" / "Adobe-licensed images"
    for number, name in enumerate(("16452523375_08591714cf_o.png", "boy-1518482_1920.png")):
        image(test / "fg" / name, number)
        matte(test / "alpha" / name)
        for index in range(2):
            trimap(test / "trimaps" / f"{name[:-4]}_{index}.png")
    (root / "Training_set" / "training_fg_names.txt").write_text(
        "".join(f"{name}\n" for files in names.values() for name in files)
    )
    (root / "Training_set" / "training_bg_names.txt").write_text(
        "".join(f"COCO_train2014_{number:012d}.jpg\r\n" for number in range(2 * count))
    )
    (root / "Test_set" / "test_fg_names.txt").write_text("16452523375_08591714cf_o.png\nboy-1518482_1920.png\n")
    (root / "Test_set" / "test_bg_names.txt").write_text("".join(f"2007_00002{number}.jpg\n" for number in range(4)))
    for number in range(2 * count):
        image(root / "train2014" / f"COCO_train2014_{number:012d}.jpg", 10 + number, 40, 40)
    for number in range(4):
        size = (40, 40) if number % 2 else (14, 20)
        image(root / "JPEGImages" / f"2007_00002{number}.jpg", 20 + number, *size)
    return ["data=composition1k", f"data.backgrounds='{root}/train2014'"]


def distinctions646(root: Path) -> list[str]:
    for split, count in (("Train", 3), ("Test", 1)):
        for number in range(count):
            image(root / split / "FG" / f"{split.lower()}_{number}.png", number)
            matte(root / split / "GT" / f"{split.lower()}_{number}.png")
    for index in range(2):
        image(root / "Test" / "merged" / f"test_0_{index}.png", index)
    image(root / "coco" / "000000000009.jpg", 9, 40, 40)
    return ["data=distinctions646", "data.trimap_width=3", f"data.backgrounds='{root}/coco'", "data.train_length=null"]


def aim500(root: Path, evaluated: int = 2) -> list[str]:
    for name in (f"o_{number:08x}" for number in range(evaluated)):
        image(root / "original" / f"{name}.jpg")
        matte(root / "mask" / f"{name}.png")
        trimap(root / "trimap" / f"{name}.png")
        matte(root / "usr" / f"{name}.png")
    return ["data=aim500"]


def am2k(root: Path, evaluated: int = 2) -> list[str]:
    for split, images in (("train", 3), ("validation", evaluated)):
        for number in range(images):
            name = f"m_{number:08x}"
            for kind in ("original", "fg", "bg"):
                image(root / split / kind / f"{name}.jpg", number)
            matte(root / split / "mask" / f"{name}.png")
            if split == "validation":
                trimap(root / split / "trimap" / f"{name}.png")
    return ["data=am2k"]


def p3m10k(root: Path, evaluated: int = 2) -> list[str]:
    for number in range(3):
        image(root / "train" / "blurred_image" / f"p_{number:08x}.jpg", number)
        matte(root / "train" / "mask" / f"p_{number:08x}.png")
    for folder, kind in (("P3M-500-P", "blurred_image"), ("P3M-500-NP", "original_image")):
        for number in range(evaluated):
            place = root / "validation" / folder
            image(place / kind / f"p_{number:08x}.jpg", number)
            matte(place / "mask" / f"p_{number:08x}.png")
            trimap(place / "trimap" / f"p_{number:08x}.png")
    return ["data=p3m10k"]


def matting_folder(root: Path, evaluated: int = 2) -> list[str]:
    for split, images in (COUNTS | {"val": evaluated}).items():
        for number in range(images):
            image(root / "image" / split / f"im{number}.jpg", number)
            matte(root / "alpha" / split / f"im{number}.png")
            trimap(root / "trimap" / split / f"im{number}.png")
    return ["data=matting_folder", "data.trimap=trimap"]


def ade20k(root: Path, count: int = 3) -> list[str]:
    for split, images in (("training", count), ("validation", 2)):
        for number in range(images):
            name = f"ADE_{'train' if split == 'training' else 'val'}_{number:08d}"
            image(root / "images" / split / f"{name}.jpg", number)
            label(root / "annotations" / split / f"{name}.png", list(range(0, 151, 4)), number)
    for name in ("objectInfo150.txt", "sceneCategories.txt"):
        (root / name).write_text("Idx\tRatio\n")
    return ["data=ade20k", "data.test_size=null"]


def cityscapes(root: Path, count: int = 3) -> list[str]:
    cities = {"train": ("aachen", count), "val": ("frankfurt", 2), "test": ("berlin", 2)}
    for split, (city, images) in cities.items():
        for number in range(images):
            name = f"{city}_{number:06d}_000019"
            image(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", number)
            fine = root / "gtFine" / split / city
            values = [0] if split == "test" else list(range(34))
            label(fine / f"{name}_gtFine_labelIds.png", values, number)
            image(fine / f"{name}_gtFine_color.png")
            write(fine / f"{name}_gtFine_instanceIds.png", np.full((HEIGHT, WIDTH), 26001, np.uint16))
            (fine / f"{name}_gtFine_polygons.json").write_text("{}")
    return ["data=cityscapes"]


def _voc(root: Path, labels: str, lists: dict[str, list[str]], lines: Callable[[str], str]) -> None:
    for name in sorted({name for names in lists.values() for name in names} | {"2009_005311"}):
        image(root / "JPEGImages" / f"{name}.jpg")
    for number, name in enumerate(sorted({name for names in lists.values() for name in names})):
        write_label = palette_label if labels == "SegmentationClass" else label
        write_label(root / labels / f"{name}.png", [*range(21), 255], number)
    for split, names in lists.items():
        path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines(name) + "\n" for name in names))


def voc2012(root: Path, count: int = 3) -> list[str]:
    train, val = [f"2008_{number:06d}" for number in range(count)], ["2007_000033", "2011_003256"]
    _voc(root, "SegmentationClass", {"train": train, "val": val, "trainval": train + val}, str)
    return ["data=voc2012"]


def voc2012_aug(root: Path, count: int = 3) -> list[str]:
    """With the list of pairs that goes round with it, and val's plain one."""
    train, val = [f"2008_{number:06d}" for number in range(count)], ["2007_000033", "2011_003256"]
    _voc(root, "SegmentationClassAug", {"val": val}, str)
    pair = "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png".format
    _voc(root, "SegmentationClassAug", {"train_aug": train}, pair)
    return ["data=voc2012_aug"]


def camvid(root: Path, count: int = 3) -> list[str]:
    for split, images in (COUNTS | {"train": count}).items():
        for number in range(images):
            image(root / "images" / split / f"0001TP_{number:06d}.png", number)
            label(root / "labels" / split / f"0001TP_{number:06d}.png", list(range(12)), number)
    return ["data=camvid"]


def camvid_segnet(root: Path, count: int = 3) -> list[str]:
    for split, images in (COUNTS | {"train": count}).items():
        for number in range(images):
            image(root / split / f"0001TP_{number:06d}.png", number)
            label(root / f"{split}annot" / f"0001TP_{number:06d}.png", list(range(12)), number)
        (root / f"{split}.txt").write_text("/SegNet/CamVid/…\n")
    return ["data=camvid_segnet"]


def cocostuff164k(root: Path, count: int = 3) -> list[str]:
    holes = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
    values = [value for value in range(182) if value not in holes]
    for split, images in (("train2017", count), ("val2017", 2)):
        for number in range(images):
            image(root / "images" / split / f"{number:012d}.jpg", number)
            label(root / "annotations" / split / f"{number:012d}.png", [255, *values[number::4]], number)
    return ["data=cocostuff164k"]


def segmentation_folder(root: Path, count: int = 3) -> list[str]:
    for split, images in (COUNTS | {"train": count}).items():
        for number in range(images):
            image(root / "images" / split / f"im{number}.jpg", number)
            label(root / "labels" / split / f"im{number}.png", [0, 1, 2, 255], number)
    return ["data=segmentation_folder", "data.num_classes=3"]


MATTING = (matting_folder, composition1k, distinctions646, aim500, am2k, p3m10k)
SEGMENTATION = (
    segmentation_folder, ade20k, cityscapes, voc2012, voc2012_aug, camvid, camvid_segnet, cocostuff164k,
)  # fmt: skip


def options(make: Callable[..., list[str]], root: Path, **size: int) -> list[str]:
    """Write the set and give all that a command line says of it."""
    task = "matting" if make in MATTING else "segmentation"
    return [f"task={task}", *make(root, **size), f"data.root='{root}'", "data.num_workers=0", "data.batch_size=2"]

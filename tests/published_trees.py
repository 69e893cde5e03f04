"""Composition-1k and ADE20K in the exact layout of their releases, some dozens of small images out of the demo set."""

from pathlib import Path

import cv2
import numpy as np

from denseup.cli import build_composition1k
from denseup.data import DemoScenes
from denseup.data.demo.manifest import demo_files
from denseup.data.reading.samples import read_cutout, read_image

SIDE = 96
"""Of the images, at most."""
FOREGROUNDS = {"train": 16, "test": 4}
PER_FOREGROUND = 3
"""Test backgrounds of each foreground; the release has twenty."""
PHOTOGRAPHS = 12
SCENES = {"training": 24, "validation": 4}


def composition1k(root: Path) -> list[str]:
    """Adobe's Combined_Dataset with COCO's and VOC's folders beside it, its composites made by the command.

    Returns:
        What a command line says of it.
    """
    groups = ("Adobe-licensed images", "Other")
    names = {"train": _foregrounds(root / "Training_set", "train", groups)}
    names["test"] = _foregrounds(root / "Test_set", "test", groups[:1])
    for number, file in enumerate(demo_files("background", "train")[:PHOTOGRAPHS]):
        _write(root / "train2014" / f"COCO_train2014_{number:012d}.jpg", _small(read_image(file.path)))
    photographs = demo_files("background", "val")
    behind = [f"2007_{number:06d}.jpg" for number in range(FOREGROUNDS["test"] * PER_FOREGROUND)]
    for number, name in enumerate(behind):
        _write(root / "JPEGImages" / name, _small(read_image(photographs[number % len(photographs)].path)))
    for name in names["test"]:
        alpha = cv2.imread(str(root / "Test_set" / groups[0] / "alpha" / name), cv2.IMREAD_GRAYSCALE)
        assert alpha is not None
        soft = cv2.dilate(((alpha > 0) & (alpha < 255)).astype(np.uint8), np.ones((5, 5)))
        for index in range(PER_FOREGROUND):
            trimap = np.where(soft > 0, 128, alpha)
            _write(root / "Test_set" / groups[0] / "trimaps" / f"{Path(name).stem}_{index}.png", trimap)
    _list(root / "Test_set" / "test_fg_names.txt", names["test"])
    _list(root / "Test_set" / "test_bg_names.txt", behind)
    assert build_composition1k.main([f"root='{root}'", f"backgrounds='{root}/JPEGImages'", "num_workers=0"]) == 0
    assert len(list((root / "Test_set" / "merged").iterdir())) == len(behind)
    return [f"data.root='{root}'", f"data.backgrounds='{root}/train2014'", "data.train_length=48"]


def ade20k(root: Path) -> list[str]:
    """ADEChallengeData2016: classes from 1, 0 is void; returns what a command line says of it."""
    for split, count in SCENES.items():
        scenes = DemoScenes("val", length=count, image_size=SIDE, seed=len(split))
        for number in range(count):
            sample, name = scenes[number], f"ADE_{'train' if split == 'training' else 'val'}_{number:08d}"
            image = (255 * sample["image"].permute(1, 2, 0).numpy()).round().astype(np.uint8)
            label = sample["label"].numpy().astype(np.uint8) + 1
            label[:3] = 0
            _write(root / "images" / split / f"{name}.jpg", image)
            _write(root / "annotations" / split / f"{name}.png", label)
    return [f"data.root='{root}'"]


def _foregrounds(folder: Path, split: str, groups: tuple[str, ...]) -> list[str]:
    """Cut-outs as colours and mattes; their names in order."""
    files = demo_files("foreground", "train" if split == "train" else "val")[: FOREGROUNDS[split]]
    names = [f"{number}-{file.path.stem}.png" for number, file in enumerate(files)]
    for number, (name, file) in enumerate(zip(names, files, strict=True)):
        cutout = _small(read_cutout(file.path))
        place = folder / groups[number % len(groups)]
        _write(place / "fg" / name, cutout[..., :3])
        _write(place / "alpha" / name, cutout[..., 3])
    return names


def _small(image: np.ndarray) -> np.ndarray:
    scale = SIDE / max(image.shape[:2])
    size = tuple(max(round(side * scale), 1) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def _list(path: Path, names: list[str]) -> None:
    path.write_text("".join(f"{name}\n" for name in names))

"""Adobe Composition-1k (Xu et al., Deep Image Matting, CVPR 2017) in its published layout.

    ROOT/Training_set/{Adobe-licensed images,Other}/{fg,alpha}/NAME.*                  431 foregrounds
    ROOT/Training_set/training_{fg,bg}_names.txt                                       100 backgrounds for each
    ROOT/Test_set/Adobe-licensed images/{fg,alpha}/NAME.png, …/trimaps/NAME_I.png      50 foregrounds, 1000 trimaps
    ROOT/Test_set/test_{fg,bg}_names.txt                                               20 backgrounds for each
    ROOT/Test_set/merged/NAME_I.png                                                    1000 composites

The release has all but the composites, which `python -m src.build_composition1k` makes. Copies that were made by others
with a matte for each composite, `Test_set/{merged,alpha_copy,trimaps}/NAME_I.png`, are read too. Training backgrounds
are a folder of their own, MS-COCO's `train2014` in the published recipes.
"""

from collections.abc import Sequence
from pathlib import Path

from denseup.data.datasets.composites import CompositeDataset
from denseup.data.datasets.foregrounds import composite_names, foregrounds_on, listed_composites, ready_composites
from denseup.data.datasets.matting_folder import MattingFolder
from denseup.data.reading.folders import require_folder
from denseup.data.transforms.matting import MattingAugmentation

LAYOUT = "ROOT/Training_set/*/{fg,alpha}/ and ROOT/Test_set/ (Adobe's Combined_Dataset)"
LICENSED = "Adobe-licensed images"
GROUPS = (LICENSED, "Other")
MERGED = "Test_set/merged"


def composition1k_train(
    root: str | Path,
    backgrounds: str | Path,
    *,
    groups: Sequence[str] = GROUPS,
    augmentation: MattingAugmentation | None = None,
    length: int | None = None,
    seed: int = 0,
) -> CompositeDataset:
    """The training set: foregrounds of Adobe's release on the images of the folder `backgrounds`, read lazily."""
    folders = [(f"Training_set/{group}/fg", f"Training_set/{group}/alpha") for group in groups]
    root = require_folder(Path(root), "root", LAYOUT)
    return foregrounds_on(root, backgrounds, folders, augmentation=augmentation, length=length, seed=seed)


def composition1k_test(root: str | Path) -> MattingFolder:
    """The 1000 test composites with their published trimaps."""
    root = require_folder(Path(root), "root", LAYOUT)
    test = root / "Test_set"
    if (test / "alpha_copy").is_dir():
        return MattingFolder(test, image="merged", alpha="alpha_copy", trimap="trimaps")
    require_folder(root / MERGED, "root's Test_set/merged", "NAME_I.png, which python -m src.build_composition1k makes")
    front, _, each = listed_composites(test / "test_fg_names.txt", test / "test_bg_names.txt")
    names = (test / "test_fg_names.txt", composite_names(front, each))
    return ready_composites(root, MERGED, f"Test_set/{LICENSED}/alpha", f"Test_set/{LICENSED}/trimaps", names)

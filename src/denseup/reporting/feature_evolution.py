"""How the upsampled features of one image changed along training: a row of frames for each upsampler of a group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denseup.engine.callbacks.frames import FeatureFrames
from denseup.reporting.group import Group
from denseup.visualization import animation, comparison_sheet, same_sign, save_animation, save_webp

UInt8 = NDArray[np.uint8]
Rows = dict[str, dict[int, UInt8]]

COLUMNS, ANIMATION_STEPS = 6, 10
"""At most so many steps on the sheet and in the animation; those of single runs have all."""
SHEET_WIDTH, ANIMATION_WIDTH = 160, 96
"""Of a frame, in pixels: the page has to hold them for all upsamplers."""
TITLE = "Feature evolution"


@dataclass(frozen=True)
class Evolution:
    """Two files of a report: the frames as a sheet and as an animation, and what they show."""

    sheet: Path
    animation: Path
    caption: str


def draw_evolution(group: Group, output: Path) -> Evolution | None:
    """Write the sheet and the animation of a group's frames into the folder `output`.

    The seed is the one of which most upsamplers have frames, and the steps are those that they all have.

    Returns:
        None where no run of the group has frames, or they have no step in common.
    """
    seed, runs = _chosen(group)
    rows, image = _alike(runs)
    steps = sorted(set.intersection(*(set(frames) for frames in rows.values()))) if rows else []
    if not steps:
        return None
    rows = _one_sign(_at(rows, steps))
    sheet, animated = (output / f"{group.slug}_{name}.webp" for name in ("evolution", "evolution_animated"))
    drawn = Evolution(sheet, animated, _caption(group, rows, seed))
    save_webp(drawn.sheet, comparison_sheet(image, _at(rows, _spread(steps, COLUMNS)), SHEET_WIDTH))
    save_animation(drawn.animation, animation(_at(rows, _spread(steps, ANIMATION_STEPS)), width=ANIMATION_WIDTH))
    return drawn


def _chosen(group: Group) -> tuple[int, dict[str, FeatureFrames]]:
    """A seed, and the frames of its runs by the label of the upsampler."""
    found: dict[int, dict[str, FeatureFrames]] = {}
    for label, by_seed in group.members.items():
        for seed, run in by_seed.items():
            if run.features is not None:
                found.setdefault(seed, {})[label] = FeatureFrames(run.features)
    return max(sorted(found.items()), key=lambda item: len(item[1]), default=(0, {}))


def _alike(runs: Mapping[str, FeatureFrames]) -> tuple[Rows, UInt8]:
    """The frames that are of the first run's image and size, and that image."""
    image: UInt8 = np.zeros((1, 1, 3), np.uint8)
    rows: Rows = {}
    for label, folder in runs.items():
        frames, own = folder.read(), folder.image()
        if not rows:
            image = own
        first = next(iter(rows.values()), frames)
        if np.array_equal(own, image) and frames[max(frames)].shape == first[max(first)].shape:
            rows[label] = frames
    return rows, image


def _one_sign(rows: Rows) -> Rows:
    """The rows in the sign of the first: the sign of a principal component is arbitrary."""
    first = next(iter(rows.values()))
    return {label: same_sign(frames, first[max(first)]) for label, frames in rows.items()}


def _at(rows: Rows, steps: Sequence[int]) -> Rows:
    return {label: {step: frames[step] for step in steps} for label, frames in rows.items()}


def _spread(steps: Sequence[int], number: int) -> list[int]:
    """At most `number` of the steps, evenly chosen, the first and the last included."""
    return [steps[i] for i in sorted({round(i) for i in np.linspace(0, len(steps) - 1, min(number, len(steps)))})]


def _caption(group: Group, rows: Rows, seed: int) -> str:
    missing = [label for label in group.members if label not in rows]
    without = f" No comparable frames of {', '.join(missing)}." if missing else ""
    return (
        "What the upsamplers put out at their finest resolution (or the one that the runs were told to show) for the "
        f"first validation image, seed {seed}: the first principal component of the channels. Black and white are the "
        "2nd and 98th percentile of each frame, so brightness compares within a frame, not between frames; the sign "
        f"is arbitrary and made alike.{without}"
    )

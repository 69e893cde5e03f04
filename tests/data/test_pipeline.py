"""Steps and their random streams: each draws its own numbers, whatever the others do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.sample_folders import disc, label_folder, matting_folder, noise

from denseup.data import (
    DemoMatting,
    DemoScenes,
    MattingAugmentation,
    MattingFolder,
    SegmentationAugmentation,
    SegmentationFolder,
)
from denseup.data.transforms.compositing import premultiply
from denseup.data.transforms.geometry import Flip
from denseup.data.transforms.pipeline import Arrays, Pipeline, Step
from denseup.data.transforms.streams import Streams

MATTING, SCENES = MattingAugmentation.scaled(32), SegmentationAugmentation(32, 48, 192)


class Recorded(Step):
    """A step that writes down the first number of its stream before it does its work."""

    def __init__(self, step: Step, drawn: dict[str, float]) -> None:
        self.name, self.step, self.drawn = step.name, step, drawn  # type: ignore[misc]

    def __call__(self, sample: Arrays, rng: np.random.Generator) -> Arrays:
        before = {name: array.copy() for name, array in sample.items()}
        state = rng.bit_generator.state
        self.drawn[self.name] = rng.random()
        rng.bit_generator.state = state
        after = self.step(sample, rng)
        assert all(np.array_equal(before[name], sample[name]) for name in before), f"{self.name} changes its input"
        return after


def matting(how: MattingAugmentation = MATTING) -> DemoMatting:
    return DemoMatting("train", length=8, augmentation=how)


def scenes(how: SegmentationAugmentation = SCENES) -> DemoScenes:
    return DemoScenes("train", length=8, image_size=64, augmentation=how)


def pipeline_of(dataset: Any) -> Pipeline:
    return dataset._composites.pipeline if isinstance(dataset, DemoMatting) else dataset.pipeline


@pytest.mark.parametrize("make", [matting, scenes])
def test_what_a_step_draws_does_not_depend_on_the_other_steps(make: Callable[[], Any]) -> None:
    pipeline = pipeline_of(make())
    source = {"layer": layer()} if make is matting else labelled_source()
    drawn: dict[str, float] = {}
    Pipeline(Recorded(step, drawn) for step in pipeline.steps)(source, Streams(3, 1, 4))
    assert list(drawn) == list(pipeline.names)
    assert len(set(drawn.values())) == len(drawn)
    for left_out in pipeline.names:
        if left_out in ("trimap", "crop") and make is matting:  # what follows needs what they make
            continue
        without: dict[str, float] = {}
        Pipeline(Recorded(step, without) for step in pipeline.without(left_out).steps)(source, Streams(3, 1, 4))
        assert without == {name: value for name, value in drawn.items() if name != left_out}


def layer() -> np.ndarray:
    return premultiply(np.dstack([noise(0), disc()]))


def labelled_source() -> Arrays:
    return {"image": noise(0, 40, 50), "label": noise(1, 40, 50)[..., 0] // 128}


def test_other_options_of_a_step_leave_the_others_alone() -> None:
    """Where they do not change what it is given: the colours' jitter and the background."""
    plain, jittered = (matting(MattingAugmentation(32, (32,), resize_to=40, hue=hue)) for hue in (0.0, 40.0))
    for index in range(4):
        first, second = plain[0, index], jittered[0, index]
        assert torch.equal(first["background"], second["background"])
        assert torch.equal(first["alpha"], second["alpha"])
        assert torch.equal(first["trimap"], second["trimap"])
    never, always = (matting(MattingAugmentation(32, (32,), resize_to=40, combine=p)) for p in (0.0, 1.0))
    assert all(torch.equal(never[0, i]["background"], always[0, i]["background"]) for i in range(4))
    still, moved = (scenes(SegmentationAugmentation(32, 48, 192, photometric=on)) for on in (False, True))
    assert all(torch.equal(still[0, i]["label"], moved[0, i]["label"]) for i in range(4))
    assert not all(torch.equal(still[0, i]["image"], moved[0, i]["image"]) for i in range(4))


@pytest.mark.parametrize("make", [matting, scenes])
def test_a_sample_is_its_own_whatever_came_before_it(make: Callable[[], Any]) -> None:
    dataset = make()
    alone = dataset[2, 5]
    again = make()
    for item in ((0, 5), (2, 4), (1, 1)):
        again[item]
    later = again[2, 5]
    assert all(torch.equal(alone[key], later[key]) for key in alone if key != "name")
    for item in ((2, 4), (1, 5)):
        assert not torch.equal(alone["image"], dataset[item]["image"])


def folders(tmp_path: Path) -> list[Any]:
    matting_folder(tmp_path / "mattes", 2)
    label_folder(tmp_path / "labels", 2)
    return [
        matting(),
        scenes(),
        MattingFolder(tmp_path / "mattes", augmentation=MATTING),
        SegmentationFolder(tmp_path / "labels", 3, augmentation=SCENES),
    ]


def test_a_sample_can_be_seen_after_each_step(tmp_path: Path) -> None:
    """The last stage is the sample itself, and no later step changes what an earlier one has left."""
    for dataset in folders(tmp_path):
        stages = list(dataset.stages((1, 1)))
        names = tuple(name for name, _ in stages)
        assert names == (pipeline_of(dataset).names)
        early = [{key: array.copy() for key, array in arrays.items()} for _, arrays in dataset.stages((1, 1))]
        for (_, arrays), kept in zip(stages, early, strict=True):
            assert arrays.keys() == kept.keys()
            assert all(np.array_equal(arrays[key], kept[key]) for key in kept)
        sample, last = dataset[1, 1], stages[-1][1]
        image = torch.from_numpy(last["image"].transpose(2, 0, 1).copy())
        assert torch.equal(sample["image"], image.float() / 255 if image.dtype == torch.uint8 else image)


def test_streams_differ_by_every_part_of_their_seed() -> None:
    draws = {
        Streams(*entropy)(name).random()
        for entropy in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**32 - 1, 5, 96_000))
        for name in ("crop", "flip")
    }
    assert len(draws) == 10
    assert Streams(1, 2, 3)("flip").random() == Streams(1, 2, 3)("flip").random()


def test_steps_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="steps: got flip, flip; expected different names"):
        Pipeline((Flip(), Flip(0.1)))


def test_a_step_that_is_not_there_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match=r"names: got 'resiez'; expected some of resize, crop, flip, photometric, pad"):
        scenes().pipeline.without("resiez")

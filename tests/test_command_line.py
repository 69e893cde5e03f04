"""What a person at a terminal sees: messages instead of tracebacks, exit codes, nothing destroyed."""

from pathlib import Path

import pytest
from processes import python

from denseup.cli.config import moved


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["src.train", "upsampler=fade_light"], ["Did you mean 'fade_lite'", "bilinear"]),
        (["src.train", "task=mating"], ["Did you mean 'matting'"]),
        (["src.train", "trainer.max_step=3"], ["max_step", "trainer"]),
        (["src.train", "task=matting", "data=camvid", "data.root=x"], ["serves task=segmentation"]),
        (["src.train", "task=segmentation", "data=camvid", "data.root=nowhere"], ["root", "nowhere"]),
        (["src.train", "upsampler.kernel_size=4"], ["kernel_size is 4", "odd"]),
        (["src.train", "model.pretrained=true"], ["model.pretrained=true is encoder.pretrained=true now"]),
        (["src.evaluate"], ["ckpt"]),
    ],
)
def test_wrong_input_gets_a_message(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    done = python("-m", *arguments, f"hydra.run.dir={tmp_path}")
    assert done.returncode != 0
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("argument", "today"),
    [
        ("model=segformer_b2", "model=segformer encoder=mit_b2"),
        ("model=matting_resnet34", "model=matting encoder=resnet34"),
        ("model.depths=[1,1,1]", "encoder.depths=[1,1,1]"),
        ("model.width=8", None),
        ("model=segformer", None),
        ("upsampler=fade", None),
    ],
)
def test_arguments_that_have_moved_are_told_apart(argument: str, today: str | None) -> None:
    assert moved(argument) == today

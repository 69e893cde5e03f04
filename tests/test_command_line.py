"""What a person at a terminal sees: messages instead of tracebacks, exit codes, nothing destroyed."""

import re
import subprocess
from pathlib import Path

import pytest
from processes import python, python_module

from denseup.cli import plugins
from denseup.cli.config import moved
from denseup.cli.places import CONF

WITHOUT_FOLDER = ("src.export", "src.describe", "src.score")
"""Commands whose config is not a run's."""


WRONG = [
    (["src.train", "upsampler=fade_light"], ["Did you mean 'fade_lite'", "bilinear"]),
    (["src.train", "task=mating"], ["Did you mean 'matting'"]),
    (["src.train", "trainer.max_step=3"], ["max_step", "trainer"]),
    (["src.train", "task=matting", "data=camvid", "data.root=x"], ["serves task=segmentation"]),
    (["src.train", "task=segmentation", "data=camvid", "data.root=nowhere"], ["root", "nowhere"]),
    (["src.train", "upsampler.kernel_size=4"], ["kernel_size is 4", "odd"]),
    (["src.train", "model.pretrained=true"], ["model.pretrained=true is encoder.pretrained=true now"]),
    (["src.evaluate"], ["ckpt"]),
    (["src.export"], ["export needs ckpt=…"]),
    (["src.export", "nowhere.ckpt"], ["'nowhere.ckpt' is no KEY=VALUE, such as ckpt=nowhere.ckpt"]),
    (["src.export", "ckpt=nowhere.ckpt", "format=onx"], ["error: format is 'onx', valid: onnx, torch_export"]),
    (["src.export", "ckpt=nowhere.ckpt", "formt=onnx"], ["formt"]),
    (["src.describe", "ckpt=nowhere.ckpt"], ["error: ckpt=nowhere.ckpt: there is no such file"]),
    (["src.score", "predictions=a", "task=matting"], ["score needs truth=…"]),
    (["src.score", "predictions=a", "truth=b", "task=matting"], ["error: a: no such folder"]),
]
"""Arguments, and what the message has."""


def test_wrong_input_gets_a_message(tmp_path: Path) -> None:
    for number, (arguments, words) in enumerate(WRONG):
        place = [] if arguments[0] in WITHOUT_FOLDER else [f"hydra.run.dir={tmp_path}/{number}"]
        done = python_module(*arguments, *place)
        assert refused(done, words), (arguments, done.stderr)


def refused(done: subprocess.CompletedProcess[str], words: list[str]) -> bool:
    """By an exit code, and a message that has the words and is no traceback."""
    return done.returncode > 0 and all(word in done.stderr for word in words) and "Traceback" not in done.stderr


def test_it_does_so_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Where nothing has been imported before."""
    arguments, words = WRONG[5]
    done = python("-m", *arguments, f"hydra.run.dir={tmp_path}")
    assert refused(done, words), done.stderr


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


def test_a_plugin_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_installed", lambda plugin: False)
    with pytest.raises(
        SystemExit, match=r"sweep=demo needs hydra_joblib_launcher: .*denseup\[joblib\].*launcher=local"
    ):
        plugins.refuse_missing(["-m", "sweep=demo"])
    with pytest.raises(SystemExit, match=r"launcher=ray needs hydra_ray_launcher: pip install 'denseup\[ray\]'$"):
        plugins.refuse_missing(["-m", "sweep=demo", "launcher=ray"])
    plugins.refuse_missing(["-m", "sweep=demo", "launcher=local"])
    plugins.refuse_missing(["task=matting"])


def test_every_choice_of_a_plugin_is_known() -> None:
    """Whatever config of ours takes another launcher or sweeper of Hydra's than its own two."""
    found = {
        f"{file.parent.name}={file.stem}"
        for file in (*CONF.glob("launcher/*.yaml"), *CONF.glob("sweep/*.yaml"))
        for line in file.read_text().splitlines()
        if re.search(r"override /(hydra/)?(launcher|sweeper): (?!basic)", line)
    }
    assert found == set(plugins.NEEDED)

"""The package as `pip` installs it: the console command, and a wheel with conf/ inside, away from the clone."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from processes import python

import denseup
from denseup.cli import command

ROOT = Path(__file__).parent.parent
SOURCES = ("src", "conf", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the built wheel holds, and nothing else."""
    clone, wheels, site = (tmp_path_factory.mktemp(name) for name in ("clone", "wheels", "site"))
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, clone)
    build = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(clone)]
    done = python(*build, env=os.environ | {"CC": "false"})  # a compiler takes time, and is no condition
    assert done.returncode == 0, done.stderr
    (wheel,) = wheels.glob("*.whl")
    shutil.unpack_archive(wheel, site, "zip")
    return site


def test_kernels_are_compiled_anew_only_where_their_sources_are_newer(tmp_path: Path) -> None:
    clone, compiled = tmp_path / "clone", tmp_path / "compiled"
    clone.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    for path in (ROOT / "src/denseup").glob("native/*/*.[ch]"):
        (clone / path.parent.relative_to(ROOT)).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, clone / path.relative_to(ROOT))
    (clone / "src/denseup/__init__.py").write_text('__version__ = "0"\n')
    (clone / "conf").mkdir()
    compiler = tmp_path / "cc"  # notes what it was asked to compile; of the objects and the library, the names alone
    note = f'case "$1" in -c) echo "$2" >> {compiled};; -o) echo > "$2";; esac'
    compiler.write_text(f'#!/bin/sh\nwhile [ "$1" ]; do {note}; shift; done\n')
    compiler.chmod(0o755)

    def build() -> set[str]:
        compiled.write_text("")
        installing = [
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            str(tmp_path / "site"),
        ]
        done = python(*installing, "-e", str(clone), env=os.environ | {"CC": str(compiler)})
        assert done.returncode == 0, done.stderr
        return set(compiled.read_text().split())

    every = {str(path.relative_to(clone)) for path in clone.glob("src/denseup/native/*/*.c")}
    assert build() == every
    assert len(list(clone.glob("src/denseup/native/_kernels*"))) == 1
    assert build() == set()
    later = time.time() + 10  # than the library, whose age is that of its making
    os.utime(clone / "src/denseup/native/common/vector.h", (later, later))
    assert build() == every


def away(installed: Path) -> dict[str, str]:
    """An environment whose denseup is the installed one."""
    clean = {key: value for key, value in os.environ.items() if key != "DENSEUP_CLONE"}
    return clean | {"PYTHONPATH": str(installed)}


def test_the_wheel_has_what_the_commands_need(installed: Path) -> None:
    package = installed / "denseup"
    for part in ("conf/train.yaml", "conf/upsampler/fade.yaml", "reporting/page/page.html", "data/demo/manifest.csv"):
        assert (package / part).is_file(), part
    assert {path.name for path in installed.iterdir()} == {"denseup", f"denseup-{denseup.__version__}.dist-info"}
    entry = (installed / f"denseup-{denseup.__version__}.dist-info" / "entry_points.txt").read_text()
    assert "denseup = denseup.cli.command:main" in entry


def test_the_command_trains_away_from_the_clone(installed: Path, tmp_path: Path) -> None:
    tiny = ["trainer=short", "trainer.max_steps=2", "trainer.limit_val_batches=1", "data.crop_size=64"]
    jobs = ["-m", "upsampler=bilinear", "task=matting", "encoder=matting_small", "model.width=8"]
    jobs += ["recipe=matting_scratch", "data.image_size=64", "data.batch_size=2"]
    done = python(
        *("-m", "denseup", "train", *jobs, *tiny, "logger=none", "sweep.report=false", "hydra.sweep.dir=all"),
        cwd=tmp_path,
        env=away(installed),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = (tmp_path / "all").glob("*/result.json")
    assert json.loads(result.read_text())["status"] == "finished"


def test_an_unknown_command_is_named_with_the_nearest_one() -> None:
    with pytest.raises(SystemExit, match=r"no command 'trian'\. Did you mean 'train'"):
        command.main(["trian"])


@pytest.mark.parametrize("argument", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(argument: list[str], capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["denseup"])
    with pytest.raises(SystemExit, match="0"):
        command.main(argument)
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in command.COMMANDS)


def test_every_command_is_a_module_and_a_file_of_the_clone() -> None:
    for name in command.COMMANDS:
        assert (ROOT / "src" / f"{name}.py").is_file()
        assert (ROOT / "src" / "denseup" / "cli" / f"{name}.py").is_file()


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name in ("hydra", "matplotlib") else name)
    with pytest.raises(SystemExit, match=r"denseup train needs hydra: pip install 'denseup\[train\]'"):
        command.check_installed("train")
    with pytest.raises(SystemExit, match=r"needs hydra, matplotlib: pip install 'denseup\[report\]'"):
        command.check_installed("report")

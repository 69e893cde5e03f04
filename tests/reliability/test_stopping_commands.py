"""Each command, stopped by a signal whatever it does: exit code, few words, nothing half-written, and it goes on."""

import json
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from data.published_layouts import composition1k
from pausing import pausing
from processes import processes_of, processes_with, python, python_module, wait_for
from reliability.faulty import SMALL, Command
from reliability.test_stopping import CODES, LONGEST

from denseup.engine import RunFolder
from denseup.engine.state import read_result
from denseup.visualization import save_png

HALF = ("*.tmp*", "*.partial*", "*.unchecked*")
"""Names of what is still being written."""


def check_end(command: Command, number: signal.Signals, group: bool = True) -> None:
    """It ends with the code of the signal and few words."""
    assert command.signalled(number, group) == CODES[number], command.said
    assert "Traceback" not in command.said
    assert len(command.said.splitlines()) <= LONGEST, command.said


def half_written(folder: Path) -> list[Path]:
    return [path for pattern in HALF for path in folder.rglob(pattern)]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
@pytest.mark.slow
@pytest.mark.parametrize("number", CODES)
def test_a_sweep_stops_altogether_and_the_same_command_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    words = [*SMALL, "upsampler=nearest,bilinear", "sweep.report=false", "trainer.max_steps=4"]
    command = ["-m", "src.train", "-m", *words, f"hydra.sweep.dir={tmp_path}/sweep"]
    first = Command(*command, pausing(3), output=tmp_path / "first")
    first.waits_for(lambda: [*tmp_path.glob("sweep/*nearest*/.paused_3")])
    (run,) = tmp_path.glob("sweep/*_nearest_*")
    assert first.signalled(number, group=number == signal.SIGINT) == CODES[number], first.said
    assert "the same command goes on with what is not finished" in first.said
    assert read_result(RunFolder(run))["status"] == "killed"
    assert not processes_of(run)
    assert not [*tmp_path.glob("sweep/*_bilinear_*/result.json")], "the next job was begun"
    assert half_written(tmp_path) == []
    again = python_module(*command[1:])
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nearest · seed 0: resume" in again.stdout
    steps = {json.loads(file.read_text())["steps"] for file in tmp_path.glob("sweep/*/result.json")}
    assert steps == {4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = python_module("src.train", *SMALL, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    pictures = folder.parent / "pictures"
    for place in range(40):
        picture = np.random.default_rng(place).integers(0, 256, (64, 64, 3), np.uint8)
        save_png(pictures / f"{place:02}.png", picture)
        save_png(folder.parent / "trimaps" / f"{place:02}.png", np.full((64, 64, 3), 128, np.uint8))
    return folder


MOMENTS: dict[str, tuple[list[str], str]] = {
    "evaluate": (["ckpt=RUN/checkpoints/best.ckpt", "hydra.run.dir=OUT", "data.val_length=400"], "imported"),
    "evaluate a folder": (["ckpt=RUN", "hydra.run.dir=OUT"], "imported"),
    "predict": (["ckpt=RUN", "input=RUN/../pictures", "trimap=RUN/../trimaps", "output=OUT"], "OUT/*_alpha.png"),
    "export": (["ckpt=RUN", "format=safetensors", "output=OUT"], "imported"),
    "report": (["RUN", "output=OUT"], "imported"),
    "complexity": (["task=matting", "hydra.run.dir=OUT"], "OUT/.lock"),
    "describe": (["ckpt=RUN"], "imported"),
}
"""Words, and when the signal comes: when torch is imported, or a file is there."""


def imported(process: int) -> bool:
    """Whether a process has torch's library."""
    try:
        return "libtorch_cpu" in Path(f"/proc/{process}/maps").read_text()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("name", MOMENTS)
def test_each_command(name: str, number: signal.Signals, trained: Path, tmp_path: Path) -> None:
    words, moment = MOMENTS[name]
    words = [word.replace("RUN", str(trained)).replace("OUT", str(tmp_path / "out")) for word in words]
    command = Command("-m", f"src.{name.split()[0]}", *words, output=tmp_path / "said")
    if moment == "imported":
        command.waits_for(lambda: imported(command.process.pid))
    else:
        command.waits_for(lambda: [*(tmp_path / "out").glob(moment.removeprefix("OUT/"))])
    check_end(command, number)
    assert "stopped by " in command.said
    assert half_written(tmp_path) == []
    for file in tmp_path.rglob("*.png"):
        assert cv2.imread(str(file)) is not None, "a picture is whole"


@pytest.mark.slow
def test_a_data_set_that_is_built(tmp_path: Path) -> None:
    composition1k(tmp_path / "set")
    words = [f"root='{tmp_path}/set'", f"backgrounds='{tmp_path}/set/JPEGImages'", "num_workers=2"]
    command = Command("-m", "src.build_composition1k", *words, output=tmp_path / "said")
    command.waits_for(lambda: imported(command.process.pid))
    check_end(command, signal.SIGINT)
    assert half_written(tmp_path / "set") == []
    assert python("-m", "src.build_composition1k", *words).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("place", range(12))
def test_a_training_at_any_moment(place: int, tmp_path: Path) -> None:
    """From the first import to the last file: places spread over what a whole run takes on this machine."""
    command = ["-m", "src.train", *SMALL, "data.num_workers=1", f"hydra.run.dir={tmp_path}/run"]
    begun = time.monotonic()
    assert python(*[*command[:-1], f"hydra.run.dir={tmp_path}/whole"]).returncode == 0
    moment = begun + (time.monotonic() - begun) * (1 + (place + 0.5) / 16)
    stopped = Command(*command, output=tmp_path / "said")
    while time.monotonic() < moment and stopped.process.poll() is None:
        time.sleep(0.01)
    number = [*CODES][place % 2]
    code = stopped.signalled(number, group=True)
    heeded = "stopping" in stopped.said
    # before a single line of ours has run Python ends by the signal itself, which shells tell in the same way
    assert code in ((CODES[number],) if heeded else (0, -number)), stopped.said
    if heeded:
        assert len(stopped.said.splitlines()) <= LONGEST or code == 0, stopped.said
        assert "Traceback" not in stopped.said
    assert half_written(tmp_path) == []
    run = RunFolder(tmp_path / "run")
    if read_result(run).get("status") != "finished":
        last = run.checkpoints / "last.ckpt"
        resumed = [f"resume={last}"] if last.is_file() else []
        assert python(*command, *resumed).returncode == 0
    whole, found = (read_result(RunFolder(tmp_path / name)) for name in ("whole", "run"))
    assert found["metrics"] == whole["metrics"]


@pytest.mark.slow
def test_filling_a_cache(tmp_path: Path) -> None:
    words = [
        "task=matting",
        "protocol=frozen",
        "protocol.evaluation=last",
        "trainer.max_steps=200",
        "trainer=short",
        "logger=none",
        f"cache.folder={tmp_path}/cache",
    ]
    command = ["-m", "src.train", *words, "data.crop_size=64", f"hydra.run.dir={tmp_path}/run"]
    first = Command(*command, output=tmp_path / "said")
    first.waits_for(lambda: [*tmp_path.glob("cache/*.partial")])
    check_end(first, signal.SIGINT)
    assert half_written(tmp_path) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("written", ["result.json", "cache/**/*.cpp", "cache/**/*.so"])
def test_a_training_stops_while_it_is_compiled(written: str, number: signal.Signals, tmp_path: Path) -> None:
    """While the network is traced, and while the C++ compiler runs for its first part and the others."""
    words = [*SMALL, "upsampler=fade", "trainer.compile=true", f"hydra.run.dir={tmp_path}"]
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    command = Command("-m", "src.train", *words, output=tmp_path / "output", environment=cache)
    command.waits_for(lambda: [*tmp_path.glob(written)])
    check_end(command, number)
    assert "the same command starts again" in command.said
    assert read_result(RunFolder(tmp_path))["status"] == "killed"
    wait_for(lambda: not processes_with(str(tmp_path)))  # the run's, and compilers of files in its cache

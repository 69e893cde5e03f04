"""One of two processes of a run is killed: both end, it is said which one and how to go on, and the run goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pausing
import pytest
import torch.distributed as dist
from processes import GUARD, processes_of, python_module, wait_for
from reliability.recording import OPTION, PAUSE, recorded
from reliability.shared_jobs import SHORT, train_run
from wandb_server import clean_environment

from denseup.engine import RunFolder
from denseup.engine.state import read_result

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
    pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo back end"),
]


def environment() -> dict[str, str]:
    return clean_environment() | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"} | pausing.environment()


def command(folder: Path, *arguments: str) -> list[str]:
    multirun = [argument for argument in arguments if argument == "-m"]
    place = f"hydra.sweep.dir={folder}" if multirun else f"hydra.run.dir={folder}"
    overrides = [argument for argument in arguments if argument != "-m"]
    return ["-m", "src.train", *multirun, place, "trainer=ddp", *SHORT, "data.val_length=3", *overrides]


def killed(folder: Path, rank: int, *arguments: str, ready: Any) -> tuple[int, str]:
    """Start a run in two processes, kill one when it is `ready`; the exit code, and what was printed."""
    output = folder.parent / f"{folder.name}.txt"
    with output.open("w") as file:
        main = subprocess.Popen(
            [sys.executable, *command(folder, *arguments)],
            cwd=Path(__file__).parents[2],
            env=environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: main.poll() is not None or ready())
        assert main.poll() is None, output.read_text()
        run = run_of(folder)
        wait_for(lambda: len(processes_of(run)) == 2)
        os.kill(processes_of(run)[rank], signal.SIGKILL)
        code = main.wait(GUARD)
    finally:
        main.kill()
    wait_for(lambda: not processes_of(run))  # no orphan is left
    return code, output.read_text()


def run_of(folder: Path) -> Path:
    """The folder of the run itself: in a sweep's folder that of its one job."""
    return next(iter(folder.glob("*_seed0_*")), folder)


def test_the_second_of_two_is_killed_and_one_goes_on(tmp_path: Path) -> None:
    """In the middle of an epoch, before the fifth step; what was trained since the last evaluation is done again."""
    cut, pause = tmp_path / "cut", pausing.pausing(4)
    options = ["data.batch_size=2", OPTION % 0]
    code, said = killed(cut, 1, *options, pause, ready=lambda: pausing.paused(cut, 4).exists())
    assert code == 1
    last = cut / "checkpoints/last.ckpt"
    words = "was killed by signal 9 (SIGKILL), and the others were ended; the same command with resume="
    assert f"{words}'{last}'" in said
    result = read_result(RunFolder(cut))
    assert result["status"] == "killed"
    assert result["error"].removeprefix("LostProcessError: ").startswith("rank 1 of 2 (process ")
    assert "rank 1 of 2" in (cut / "error.txt").read_text()
    with pytest.warns(UserWarning, match="other settings"):
        on = train_run(cut, "data.val_length=3", "data.batch_size=2", f"resume='{last}'", OPTION % 0)
    assert (on["status"], on["steps"]) == ("finished", 6)
    assert [step for step, _, _ in recorded(cut)] == [3, 4, 5]


MOMENTS = {
    "start": ([], lambda run: len(processes_of(run)) == 2),
    "training": ([pausing.pausing(4)], lambda run: pausing.paused(run, 4).exists()),
    "evaluation": ([PAUSE % 3], lambda run: pausing.paused(run, 3).exists()),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of a run in two processes that nothing interrupts."""
    path = tmp_path_factory.mktemp("whole")
    done = python_module(*command(path, "data.batch_size=2")[1:], env=environment())
    assert done.returncode == 0, done.stderr
    return read_result(RunFolder(path))


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_of_a_sweep_is_named_and_the_same_command_goes_on(
    tmp_path: Path, whole: dict[str, Any], rank: int, moment: str
) -> None:
    more, ready = MOMENTS[moment]
    folder, options = tmp_path / "sweep", ["-m", "data.batch_size=2", *more]
    code, _ = killed(folder, rank, *options, ready=lambda: ready(run_of(folder)))
    assert code == 1
    result = read_result(RunFolder(run_of(folder)))
    assert result["status"] == "killed"
    assert f"rank {rank}" in result["error"]
    assert "signal 9" in result["error"]
    again = python_module(*command(folder, *options)[1:], env=environment())
    assert again.returncode == 0, again.stdout + again.stderr
    assert ("seed 0: resume" in again.stdout) == (moment == "training")
    done = read_result(RunFolder(run_of(folder)))
    assert done["metrics"] == whole["metrics"]
    assert not (run_of(folder) / "error.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_first_is_killed_in_a_run_of_its_own(tmp_path: Path, moment: str) -> None:
    more, ready = MOMENTS[moment]
    code, said = killed(tmp_path / "run", 0, "data.batch_size=2", *more, ready=lambda: ready(tmp_path / "run"))
    assert code == -signal.SIGKILL
    assert "rank 0 (process " in said
    assert "died without a word" in said
    assert read_result(RunFolder(tmp_path / "run"))["status"] == "killed"

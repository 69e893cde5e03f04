"""Ctrl-C and SIGTERM, whatever a command is doing: it ends soon, with the exit code that shells expect, and goes on."""

import json
import shlex
import signal
import textwrap
from pathlib import Path

import pytest
from configuring import configure
from pausing import paused, pausing
from reliability.faulty import SMALL, Command

from denseup.cli import stopping, train
from denseup.cli.going_on import how_to_go_on
from denseup.engine import RunFolder

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
LONGEST = 12
"""Lines that a stopped command may say."""

PROGRAM = """
    import sys, time
    from denseup.cli import stopping, train

    def main():
        print("working", flush=True)
        {work}

    stopping.heed()
    sys.exit(stopping.run(main))
"""


def program(work: str, tmp_path: Path) -> Command:
    """A command that does so."""
    return Command("-c", textwrap.dedent(PROGRAM).format(work=work), output=tmp_path / "output.log")


@pytest.mark.parametrize("number", CODES)
def test_a_signal_ends_a_command_with_the_code_of_shells(number: signal.Signals, tmp_path: Path) -> None:
    command = program("time.sleep(600)", tmp_path)
    command.says("working")
    assert command.signalled(number) == CODES[number]
    assert f"stopped by {stopping.NAMES[number]}; {stopping.ANEW}" in command.said
    assert "Traceback" not in command.said


SWALLOWED = {
    "another error": "try: time.sleep(600)\n    finally: raise RuntimeError('a worker is gone')",
    "an exit": "try: time.sleep(600)\n    except BaseException: sys.exit(1)",
    "nothing": "try: time.sleep(600)\n    except BaseException: return 0",
}


@pytest.mark.parametrize("work", SWALLOWED.values(), ids=list(SWALLOWED))
def test_whatever_libraries_make_of_it(work: str, tmp_path: Path) -> None:
    command = program(work, tmp_path)
    command.says("working")
    assert command.signalled(signal.SIGINT) == 130
    assert "Traceback" not in command.said


STUBBORN = """
    while True:
        try:
            time.sleep(600)
        except BaseException:
            print("not yet", flush=True)
"""


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    command = program(STUBBORN.strip(), tmp_path)
    command.says("working")
    command.process.send_signal(signal.SIGINT)
    command.says("not yet")
    assert "Ctrl-C again ends at once" in command.said
    command.process.send_signal(signal.SIGTERM)  # as a cluster says it to every process
    assert command.signalled(signal.SIGINT) == 130
    assert "still not ended" not in command.said


DEAF = """
    try:
        time.sleep(600)
    except BaseException:
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as if it were in code that never comes back
        print("deaf", flush=True)
        time.sleep(600)
"""


def test_a_second_ctrl_c_ends_what_hangs_in_a_library(tmp_path: Path) -> None:
    command = program(DEAF.strip(), tmp_path)
    command.says("working")
    command.process.send_signal(signal.SIGINT)
    command.says("deaf")
    assert command.signalled(signal.SIGINT) == 130
    assert "still not ended" not in command.said


def test_what_does_not_end_is_ended(tmp_path: Path) -> None:
    command = program("stopping.GRACE = 0.2\n    " + STUBBORN.strip(), tmp_path)
    command.says("working")
    assert command.signalled(signal.SIGINT) == 130
    assert "still not ended" in command.said


JOB = """
import signal, sys, time
from pathlib import Path

def stop(number, frame):
    Path(sys.argv[1], "written").write_text("how far it has come")
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)
Path(sys.argv[1], "begun").touch()
time.sleep(600)
"""


@pytest.mark.parametrize("number", CODES)
def test_a_sweep_that_is_stopped_ends_its_job_which_writes_down_how_far_it_has_come(
    number: signal.Signals, tmp_path: Path
) -> None:
    job = f"processes._finished(subprocess.Popen([sys.executable, '-c', {JOB!r}, {str(tmp_path)!r}]))"
    command = program(f"import subprocess; from denseup.cli.sweep import processes; {job}", tmp_path)
    command.waits_for((tmp_path / "begun").exists)
    assert command.signalled(number) == CODES[number]
    assert (tmp_path / "written").exists()


def test_signals_that_are_ignored_stay_so(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nfrom denseup.cli import stopping\n"
    code += "stopping.heed(); print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    command = Command("-c", code, output=tmp_path / "output.log")
    assert (command.ended(), command.said) == (0, "True\n")


def test_a_library_takes_no_signals(tmp_path: Path) -> None:
    code = "import signal, denseup.cli.places; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    command = Command("-c", code, output=tmp_path / "output.log")
    assert (command.ended(), command.said) == (0, "True\n")


def test_a_run_with_no_checkpoint_starts_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert how_to_go_on(folder) == "there is no checkpoint yet: the same command starts again"
    folder.checkpoints.mkdir()
    (folder.checkpoints / "last-1.ckpt").touch()  # stopped while a newer one was about to take its name
    assert f"resume={folder.checkpoints / 'last-1.ckpt'}" in how_to_go_on(folder)


def test_a_training_stops_and_its_last_words_are_the_command_that_goes_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "with blank")
    where = f"hydra.run.dir='{run.path}'"
    command = Command("-m", "src.train", *SMALL, "trainer.max_steps=4", pausing(3), where, output=tmp_path / "log")
    command.waits_for(paused(run.path, 3).exists)
    assert command.signalled(signal.SIGINT, group=True) == 130
    result = json.loads(run.result.read_text())
    assert (result["status"], result["error"]) == ("killed", "Stopped: Ctrl-C")
    assert len(command.said.splitlines()) <= LONGEST, command.said
    assert [file.name for file in run.path.rglob("*.tmp*")] == []
    said = command.said.partition(f"goes on from {run.checkpoints / 'last.ckpt'}: ")[2].strip()
    words = shlex.split(said)
    assert words[:3] == ["python", "-m", "src.train"]
    train.run(configure(*words[3:]), run)
    assert json.loads(run.result.read_text())["steps"] == 4

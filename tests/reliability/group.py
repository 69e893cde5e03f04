"""Processes that do several things together, as Lightning's DDP does: to start them costs seconds.

`python -m reliability.group WORLD FOLDER JOB…` imports everything once, makes the ranks of itself by forking before
anything has been computed, and has each do the jobs in order; `run` starts it.
"""

import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from processes import GUARD, ROOT
from wandb_server import clean_environment


def run(folder: Path, world: int, *jobs: tuple[str, list[Any]]) -> None:
    """Let a group do jobs, each the name of a function (rank, folder, *arguments) as `MODULE:FUNCTION`.

    What a rank raises, or a rank that hangs, is an error here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    more = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "LOCAL_RANK": "0"}
    paths = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "reliability.group", str(world), str(folder), *map(json.dumps, jobs)],
        env=clean_environment() | more | {"PYTHONPATH": paths},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=GUARD,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def written(folder: Path, rank: int) -> list[str]:
    """Files in a group's folder that one of its processes has opened to write, or has renamed."""
    return json.loads((folder / f"written_{rank}.json").read_text())


def note_writes(folder: Path, found: list[str]) -> None:
    """Note down from now on what this process writes there, as Python's audit tells."""
    writing = os.O_WRONLY | os.O_RDWR

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        path = None
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & writing:
            path = arguments[0]
        elif event == "os.rename":
            path = arguments[1]
        if isinstance(path, str | Path) and Path(path).is_relative_to(folder):
            found.append(Path(path).relative_to(folder).as_posix())

    sys.addaudithook(note)


def main() -> None:
    """All ranks."""
    world, folder = int(sys.argv[1]), Path(sys.argv[2])
    jobs = [(name.partition(":"), arguments) for name, arguments in map(json.loads, sys.argv[3:])]
    importlib.import_module("denseup.engine.training")
    todo = [(getattr(importlib.import_module(module), name), arguments) for (module, _, name), arguments in jobs]
    others = [other for rank in range(1, world) if (other := fork(rank, world, folder, todo))]
    work(0, world, folder, todo)
    codes = [os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) for other in others]
    sys.exit(1 if any(codes) else 0)


def fork(rank: int, world: int, folder: Path, todo: list[tuple[Any, list[Any]]]) -> int:
    """Make a process that works as a rank, and ends; its id."""
    if process := os.fork():
        return process
    code = 1
    try:
        work(rank, world, folder, todo)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def work(rank: int, world: int, folder: Path, todo: list[tuple[Any, list[Any]]]) -> None:
    """What one rank does."""
    import torch.distributed as dist
    from pytorch_lightning.utilities import rank_zero_only

    os.environ["LOCAL_RANK"] = str(rank)
    rank_zero_only.rank = rank  # which Lightning has read from there when it was imported
    found: list[str] = []
    note_writes(folder, found)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    for function, arguments in todo:
        function(rank, folder, *arguments)
        dist.barrier()
    (folder / f"written_{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

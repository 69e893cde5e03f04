"""Processes that are started once and do several things together, as Lightning's DDP does: a start costs seconds.

`python -m reliability.group RANK WORLD FOLDER JOB…` does the jobs in order; `run` starts all ranks.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from processes import GUARD, ROOT
from wandb_server import clean_environment


def run(folder: Path, world: int, *jobs: tuple[str, list[Any]]) -> None:
    """Let a group do jobs, each the name of a function (rank, folder, *arguments) as `MODULE:FUNCTION`.

    What a rank raises, or a rank that hangs, is an error here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "reliability.group"]
    more = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    paths = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(world), str(folder), *map(json.dumps, jobs)],
            env=clean_environment() | more | {"LOCAL_RANK": str(rank), "PYTHONPATH": paths},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        said = [process.communicate(timeout=GUARD)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0] * world, "\n".join(said)


def main() -> None:
    """One rank."""
    import importlib

    import torch.distributed as dist

    rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    for name, arguments in map(json.loads, sys.argv[4:]):
        module, _, function = name.partition(":")
        getattr(importlib.import_module(module), function)(rank, folder, *arguments)
        dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

"""Whether two run folders hold the same run, to the last bit, and runs in processes that can be killed."""

import csv
import json
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from reliability.failpoints import install

from denseup.cli import train
from denseup.engine import RunFolder

OF_THE_PLACE = ("dirpath", "best_model_path", "best_k_models", "kth_best_model_path", "last_model_path", "resume")
"""What a checkpoint says of the folder that it lies in, and of where a run went on."""
DERIVED = ("current_score", "best_model_score", "kth_value")
"""Of Lightning's ModelCheckpoint: a run that goes on has them from its history, which is compared, as is best.ckpt."""


def run_in_a_process(cfg: DictConfig, folder: Path, kill: str | None = None) -> int:
    """Do what `denseup train` does, in a copy of this process; its exit code, negative for a signal.

    Args:
        cfg: of the run.
        folder: of the run.
        kill: "POINT*NUMBER", where the process dies.
    """
    return ended(started(cfg, folder, kill))


def started(cfg: DictConfig, folder: Path, kill: str | None = None) -> int:
    """The number of a process that does it; arguments as in `run_in_a_process`."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        torch.set_num_threads(1)  # a copy has no threads but its first
        if kill is not None:
            point, _, number = kill.partition("*")
            install(point, int(number))
        train.go_on(cfg, RunFolder(folder))
        train.run(cfg, RunFolder(folder))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """The exit code of a process that was started, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def differences(one: Path, other: Path) -> list[str]:
    """In what two finished runs differ: weights, states, results, logs, pictures and names of files."""
    found = []
    for name in ("best", "last", "averaged"):
        paths = [folder / "checkpoints" / f"{name}.ckpt" for folder in (one, other)]
        there = [path.is_file() for path in paths]
        if there[0] != there[1]:
            found.append(f"{name}.ckpt")
        if all(there):
            contents = [torch.load(path, weights_only=True) for path in paths]
            found += [f"{name}.ckpt: {where}" for where in _unequal(*map(_state, contents))]
    found += [f"result: {where}" for where in _unequal(*map(_result, (one, other)))]
    for kind in ("metrics.csv", "per_image.csv"):
        rows = [list(csv.DictReader((folder / kind).open())) for folder in (one, other)]
        found += [f"{kind}: {where}" for where in _unequal(*rows)]
    pictures = [{file.name: file.read_bytes() for file in (folder / "images").iterdir()} for folder in (one, other)]
    return found + [f"images: {where}" for where in _unequal(*pictures)]


def _state(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What a training is: all of a checkpoint but how far the loops of evaluations have counted."""
    fit = checkpoint["loops"]["fit_loop"]
    loops = {key: fit[key] for key in fit if "val_loop" not in key}
    return {key: checkpoint[key] for key in checkpoint if key != "loops"} | {"loops": loops}


def _result(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / "result.json").read_text())
    return {key: result[key] for key in result if key != "seconds"}


def _unequal(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Places at which two nested values differ; tensors and numbers to the last bit, NaN equals itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key not in one or key not in other:
                yield f"{where}/{key} is missing"
            elif key not in (*OF_THE_PLACE, *DERIVED):
                yield from _unequal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            yield f"{where} has {len(one)} and {len(other)} entries"
        for place, pair in enumerate(zip(one, other, strict=False)):
            yield from _unequal(*pair, f"{where}/{place}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(one.nan_to_num(), other.nan_to_num()):
            yield where
    elif one != other and not (one != one and other != other):
        yield f"{where}: {str(one)[:40]} and {str(other)[:40]}"

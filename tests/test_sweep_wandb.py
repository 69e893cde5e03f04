"""A sweep of both tasks on joblib, read back from its offline W&B runs: by hand, and as the report reads them."""

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from omegaconf import OmegaConf
from processes import python_module
from wandb_server import clean_environment

from denseup.engine.loggers.context import run_id
from denseup.engine.loggers.wandb_reader import LoggedRun, find_runs, read_run
from denseup.reporting import Run, group_runs, load_runs, write_report
from denseup.upsamplers import list_upsamplers

TASKS = ("matting", "segmentation")
SHORT = [
    "trainer=short",
    "trainer.max_steps=2",
    "data.crop_size=72",
    "data.image_size=64",
    "data.val_length=1",
    "sweep.report=false",
]

FAILING = "deconv"
"""Its runs fail in their first step: it raises by 3 in networks that raise by 2."""
SOME = ("bilinear", "fade_lite", FAILING)
EVERY = [pytest.param(SOME, id="some"), pytest.param(None, id="all", marks=pytest.mark.slow)]


def sweep(folder: Path, *arguments: str, flags: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    words = [*flags, *SHORT, f"hydra.sweep.dir={folder}", *arguments]
    return python_module("src.train", "-m", *words, env=clean_environment())


@pytest.fixture(scope="module", params=EVERY)
def swept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of a sweep and the names of its upsamplers; all of pytest's processes share one sweep."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install '.[joblib]'")
    names = list(request.param or list_upsamplers())
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / f"sweep_of_{len(names)}"
    with FileLock(shared / f"{folder.name}.lock"):
        if not (done := folder / "done").exists():
            make(folder, names)
            done.touch()
    return folder, names


def make(folder: Path, names: list[str]) -> None:
    """Run the sweep of both tasks over these upsamplers."""
    chosen = ",".join("by_3" if fails(name) else name for name in names)
    choices = folder.with_name(f"{folder.name}_conf")
    (choices / "upsampler").mkdir(parents=True)
    (choices / "upsampler" / "by_3.yaml").write_text(f"name: {FAILING}\nscale_factor: 3\n")
    words = ["launcher=joblib", f"task={','.join(TASKS)}", f"upsampler={chosen}", "sweep.name=both"]
    done = sweep(folder, *words, flags=[f"--config-dir={choices}"])
    failing = [name for name in names if fails(name)]
    assert done.returncode == (1 if failing else 0), done.stdout + done.stderr
    assert done.stdout.count("failed: ") == len(TASKS) * len(failing), done.stdout + done.stderr


def fails(name: str) -> bool:
    """Whether the runs of an upsampler must fail."""
    return name == FAILING


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def logged(root: Path) -> dict[Path, LoggedRun]:
    """The W&B run of each run folder."""
    files = find_runs(root)
    found = {file.parents[2]: read_run(file) for file in files}
    assert len(found) == len(files)
    return found


def test_every_job_is_a_wandb_run_of_its_own(swept: tuple[Path, list[str]]) -> None:
    root, names = swept
    runs = logged(root)
    jobs = {(result(folder)["task"], result(folder)["upsampler"]) for folder in runs}
    assert jobs == {(task, name) for task in TASKS for name in names}
    assert len(runs) == len(jobs) == len({run.id for run in runs.values()})
    for folder, run in runs.items():
        about = result(folder)
        assert run.id == run_id("train", about["config_hash"], str(folder))
        assert (run.project, run.group, run.job_type) == ("denseup", "both", "train")
        assert run.tags == [about["task"], about["upsampler"]]
        assert run.name == f"{about['task']}-{about['upsampler']}-seed0"


def test_config_state_and_values_equal_the_run_folders(swept: tuple[Path, list[str]]) -> None:
    for folder, run in logged(swept[0]).items():
        about = result(folder)
        config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        params = run.config.pop("params")
        assert run.config == config
        assert config["task"]["name"] == about["task"]
        assert config["upsampler"]["name"] == about["upsampler"]
        failed = fails(about["upsampler"])
        assert (run.state, run.exit_code) == (("failed", 1) if failed else ("finished", 0))
        assert about["status"] == run.state
        if not failed:
            parts = {**about["metrics"], "baseline": about["baseline"]}
            expected = {f"{kind}/{name}": value for kind, values in parts.items() for name, value in values.items()}
            assert {key: run.summary[key] for key in expected} == expected
            assert params == about["params"]


def copied(files: Iterable[Path], to: Path) -> Path:
    """The W&B folders alone, as one copies them from another machine."""
    for file in files:
        shutil.copytree(file.parent, to / "wandb" / file.parent.name)
    return to


def comparable(run: Run) -> tuple[Any, ...]:
    return run.task, run.upsampler, run.seed, run.status, run.config, run.best, run.last, list(run.history)


def by_name(runs: Iterable[Run]) -> dict[tuple[str, str], Run]:
    return {(run.task, run.upsampler): run for run in runs}


def test_the_report_of_wandb_runs_equals_that_of_the_run_folders(swept: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, _ = swept
    alone = copied(find_runs(root), tmp_path / "copied")
    folders, files = by_name(load_runs([root])), by_name(load_runs([alone]))
    assert folders.keys() == files.keys()
    for key, run in files.items():
        assert comparable(run) == comparable(folders[key])
        assert run.params == folders[key].params
        assert run.finished or "W&B holds no message" in run.error
        assert (run.checkpoint, run.versions, run.class_values) == (None, {}, {})
    for name, runs in (("a", folders), ("b", files)):
        write_report(list(runs.values()), tmp_path / name)
    for task in TASKS:
        tables = [list(csv.DictReader((tmp_path / name / f"{task}.csv").open())) for name in ("a", "b")]
        assert len(tables[0]) == sum(not fails(name) for name in swept[1])
        assert tables[0] == tables[1]


def test_a_run_counts_once_wherever_it_is_read_from(swept: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, names = swept
    alone = copied(find_runs(root), tmp_path)
    assert len(load_runs([root])) == len(TASKS) * len(names)
    both = load_runs([root, alone, *(file.parent for file in find_runs(root))])
    assert len(both) == len(TASKS) * len(names)
    assert all(run.source.is_dir() for run in both)
    (one,) = load_runs([find_runs(alone)[0]])
    assert one.source == find_runs(alone)[0].resolve()


def test_a_killed_run_is_in_no_statistic(swept: tuple[Path, list[str]], tmp_path: Path) -> None:
    """What a killed process leaves: a file without the record of its end."""
    alone = copied(find_runs(swept[0]), tmp_path)
    file = next(file for file in find_runs(alone) if read_run(file).state == "finished")
    finished = read_run(file)
    content = file.read_bytes()
    end = len(content)
    while read_run(file).exit_code is not None:
        end -= 1
        file.write_bytes(content[:end])
    runs = load_runs([alone])
    cut = by_name(runs)[finished.config["task"]["name"], finished.config["upsampler"]["name"]]
    assert (cut.status, cut.finished, dict(cut.best)) == ("running", False, {})
    groups, left_out = group_runs(runs)
    assert (cut, "unfinished, or still running") in left_out
    assert all(run is not cut for group in groups for run in group.runs)

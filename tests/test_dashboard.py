"""The dashboard shows what runs log, saves to W&B with a key, and writes its definition without one."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from configuring import TINY, configure
from processes import python_module
from wandb_server import client_environment, wandb_server

from denseup.cli import dashboard, train
from denseup.engine import RunFolder
from denseup.engine.loggers.wandb_dashboard import Place, definition, logged_metrics, offline_runs, task_panels
from denseup.engine.loggers.wandb_reader import LoggedRun, find_runs, read_run

pytest.importorskip("wandb_workspaces", reason="needs the extra: pip install 'denseup[dashboard]'")

METRICS = logged_metrics()
PREFIXES = ("summary_metrics.", "summary:")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each task, logged offline."""
    root = tmp_path_factory.mktemp("runs")
    for task in METRICS:
        short = ["trainer=short", "data.batch_size=2", "data.image_size=96", "trainer.limit_val_batches=1"]
        cfg = configure(f"task={task}", "upsampler=nearest", "logger=wandb", *short, *TINY[task])
        train.run(cfg, RunFolder(root / task))
    return {task: root / task for task in METRICS}


def logged(folder: Path) -> LoggedRun:
    (file,) = find_runs(folder)
    return read_run(file)


def keys(panel: dict[str, Any]) -> set[str]:
    """The metrics that a panel shows, as a run logs them."""
    config = panel["config"]
    named = [*config.get("metrics", []), *config.get("mediaKeys", []), config.get("xAxis"), config.get("yAxis")]
    found = set()
    for name in filter(None, named):
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        found.add(name)
    return found


def workspace_keys(spec: dict[str, Any]) -> set[str]:
    sections = spec["section"]["panelBankConfig"]["sections"]
    return {key for section in sections for panel in section["panels"] for key in keys(panel)}


def report_grids(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [block["metadata"] for block in spec["blocks"] if block["type"] == "panel-grid"]


@pytest.mark.parametrize("task", list(METRICS))
def test_every_panel_shows_what_the_runs_log(task: str, runs: dict[str, Path]) -> None:
    run = logged(runs[task])
    known = set(run.summary) | {key for row in run.history for key in row}
    panels = [
        panel._to_model().model_dump(by_alias=True) for part in task_panels(METRICS[task]).values() for panel in part
    ]
    shown = set().union(*(keys(panel) for panel in panels))
    assert shown <= known, shown - known
    metrics = {key.removeprefix("best/") for key in run.summary if key.startswith("best/")}
    assert metrics - {"step"} == set(METRICS[task])
    assert {f"best/{name}" for name in METRICS[task]} | {"val/predictions", "params"} <= shown
    assert run.config["upsampler"]["name"] == "nearest"  # what the panels group by
    assert (run.job_type, task in run.tags) == ("train", True)  # what the run sets are filtered by


def test_a_run_says_itself_what_it_logs(tmp_path: Path) -> None:
    """Also of a task that is not installed here, or with a metric more than its task has."""
    for task, keys in {"matting": ("sad", "mad"), "depth": ("rmse", "mae")}.items():
        info = {"values": [{"key": key} for key in keys]}
        RunFolder(tmp_path / task).write_result({"task": task, "metric_info": info})
    found = logged_metrics([tmp_path])
    assert found == {**METRICS, "matting": [*METRICS["matting"], "mad"], "depth": ["rmse", "mae"]}
    text = json.dumps(definition(Place(), found))
    assert all(f"best/{key}" in text for key in ("mad", "rmse", "miou"))


def test_without_a_key_the_definition_and_the_sync_lines_come_out(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    dashboard.main([*map(str, runs.values()), "--group", "demo", "--output", str(tmp_path / "d.json")])
    written = json.loads((tmp_path / "d.json").read_text())
    workspace, report = written["workspace"], written["report"]
    assert workspace["project"] == report["project"] == "denseup"
    assert workspace["name"] == report["title"] == "Upsampler comparison demo"
    for task, metrics in METRICS.items():
        assert {f"best/{name}" for name in metrics} | {f"val/{name}" for name in metrics} <= workspace_keys(
            workspace["spec"]
        )
        grids = [grid for grid in report_grids(report["spec"]) if grid["runSets"][0]["name"] == task]
        assert len(grids) == len(task_panels(METRICS[task]))
        filters = {entry["key"]["name"]: entry["value"] for entry in grids[0]["runSets"][0]["filters"]["filters"]}
        assert filters == {"jobType": "train", "group": "demo", "tags": task}
        assert grids[0]["runSets"][0]["grouping"] == [{"section": "config", "name": "upsampler.value.name"}]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("upload: ")]
    folders = [find_runs(folder)[0].parent for folder in runs.values()]
    assert lines == [f"upload: wandb sync {folder}" for folder in folders]


def test_parts_of_a_run_are_uploaded_together_and_only_once(tmp_path: Path) -> None:
    wandb = tmp_path / "run/wandb"
    for name in ("offline-run-2-b", "offline-run-1-a", "offline-run-3-a", "run-4-c", "offline-run-5-d"):
        (wandb / name).mkdir(parents=True)
        (wandb / name / f"run-{name[-1]}.wandb").touch()
    (wandb / "offline-run-5-d/run-d.wandb.synced").touch()
    parts = [[folder.name for folder in folders] for folders in offline_runs([tmp_path])]
    assert parts == [["offline-run-1-a", "offline-run-3-a"], ["offline-run-2-b"]]


def without_ids(value: Any) -> Any:
    """A definition without the random names of its parts."""
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key not in ("id", "__id__", "ref")}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


def test_with_a_key_both_are_saved(tmp_path: Path) -> None:
    with wandb_server() as server:
        env = client_environment(server)
        done = python_module("src.dashboard", str(tmp_path), "--project", "p", "--group", "g", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.unknown == []
    report, workspace = server.views
    assert [report["type"], workspace["type"]] == ["runs", "project-view"]
    offline = definition(Place("p", "tester", "g"), METRICS)
    for kind, view in {"report": report, "workspace": workspace}.items():
        assert (view["entityName"], view["projectName"]) == ("tester", "p")
        assert without_ids(json.loads(view["spec"])) == without_ids(offline[kind]["spec"])
    assert f"report: {server.url}/tester/p/reports/Upsampler-comparison-g--view1" in done.stdout
    assert f"workspace: {server.url}/tester/p?nw=" in done.stdout


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(SystemExit, match=r"pip install 'denseup\[dashboard\]'"):
        dashboard.main([str(tmp_path)])


def test_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        dashboard.main([str(tmp_path / "nowhere")])
    assert "nowhere: there is no such folder" in capsys.readouterr().err


def test_keys_and_flags_say_the_same(tmp_path: Path) -> None:
    by_flags = dashboard.parse([str(tmp_path), "--project", "p", "--group", "g"])
    assert dashboard.parse([str(tmp_path), "project=p", "group=g"]) == by_flags
    assert dashboard.parse([]).paths == ["runs"]

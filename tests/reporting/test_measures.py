"""What a report tells of runs whose task it does not know, or that say more than their task does."""

import json
from pathlib import Path
from typing import Any

import pytest
from reporting.synthetic import base_config, run_config, write_run

from denseup.reporting import Group, build_table, group_runs, load_runs, write_report
from denseup.reporting.measures import class_measures

NAMES = ("bilinear", "carafe", "fade")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of matting, and of a task "depth" that nobody has registered: it was segmentation."""
    root = tmp_path_factory.mktemp("runs")
    for task in ("matting", "segmentation"):
        for name in NAMES:
            for seed in (0, 1, 2):
                folder = write_run(root, run_config(base_config(task), name, seed))
                if task == "segmentation":
                    rename(folder / "result.json")
    return root


def rename(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "task": "depth", **changes}))


def depth(runs: Path) -> Group:
    (group,) = (group for group in group_runs(load_runs([runs]))[0] if group.task == "depth")
    return group


def test_an_unknown_task_goes_by_its_keys_and_its_monitor(runs: Path) -> None:
    group = depth(runs)
    assert [info.heading for info in group.measures] == ["miou ↑", "macc", "aacc", "biou"]
    columns = {column.key: column for column in build_table(group, {}).columns}
    assert columns["miou_best"].higher_is_better
    assert columns["biou_best"].higher_is_better is None  # so that nothing is marked
    assert next(iter(class_measures(group.runs))).key == "iou"


def test_gains_are_compared_between_any_two_tasks(runs: Path, tmp_path: Path) -> None:
    page = write_report(load_runs([runs]), tmp_path).read_text()
    assert "Task transfer: gain in depth against gain in matting" in page
    assert "depth: miou above that of bilinear, %" in page
    assert "matting: SAD below that of bilinear, %" in page


def test_what_a_run_says_of_itself_wins(runs: Path, tmp_path: Path) -> None:
    folder = write_run(tmp_path, run_config(base_config("segmentation"), "bilinear", 0))
    described = [{"key": "aacc", "name": "Found", "higher_is_better": True, "scale": 100, "printed_unit": "%"}]
    rename(folder / "result.json", metric_info={"values": described}, task="segmentation")
    (group,) = group_runs(load_runs([tmp_path]))[0]
    assert [info.heading for info in group.measures] == ["Found % ↑", "miou ↑", "macc", "biou"]

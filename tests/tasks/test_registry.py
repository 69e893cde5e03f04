"""Tasks by name, and what each registered one says about itself."""

import inspect

import pytest

from denseup.data.datamodules import DenseData
from denseup.tasks import MattingTask, find_task, list_tasks, register_task


@pytest.mark.parametrize("name", list_tasks())
def test_a_task_describes_itself(name: str) -> None:
    task = find_task(name)
    first = task.metrics_class.values[0]
    assert (task.name, task.monitor, task.mode) == (name, first.key, first.mode)
    assert task.trivial
    assert task.in_channels >= 3
    assert {*task.data_options} <= {*inspect.signature(task).parameters}
    assert all(hasattr(DenseData, option) for option in (*task.data_options, *task.network_options))


def test_an_unknown_task_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"task 'depth' is unknown\. Known: matting, segmentation"):
        find_task("depth")


def test_a_name_is_taken_once() -> None:
    assert register_task(MattingTask) is MattingTask

    class Other(MattingTask):
        pass

    with pytest.raises(ValueError, match=r"a task named 'matting' is registered already: .*MattingTask"):
        register_task(Other)

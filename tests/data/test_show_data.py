"""Sheets of training samples: what is shown is what a network gets, and the last step is the sample itself."""

import cv2
import numpy as np
import pytest
import torch
from configuring import configure
from data import published_layouts
from data.published_layouts import options
from processes import python_module
from torch.utils.data import Dataset

from denseup.cli import show_data
from denseup.cli.build import build_data
from denseup.cli.show_data import _arrays, _items
from denseup.data.datamodules import DemoData
from denseup.data.datasets.stages import stages_of
from denseup.tasks.base import NORMALISATION
from denseup.visualization.samples import levels_of

SETS = (published_layouts.matting_folder, published_layouts.distinctions646, published_layouts.camvid)


def training(make, root):
    """The training data of a set, or of the demo set for a task."""
    said = (
        [f"task={make}", "data.crop_size=32"] if isinstance(make, str) else [*options(make, root), "data.crop_size=16"]
    )
    return build_data(configure(*said, "data.crop_size=16"))


@pytest.mark.parametrize("make", ["matting", "segmentation", *SETS], ids=lambda make: getattr(make, "__name__", make))
def test_the_last_step_is_the_sample(make, tmp_path):
    data = training(make, tmp_path)
    dataset = data.dataset("train")
    for item in _items(data, 3, 1):
        shown = _arrays(dataset[item])
        stages = stages_of(dataset, item)
        names = [name for name, _ in stages]
        assert len(names) == len(set(names)) >= 3
        last = stages[-1][1]
        assert np.array_equal(levels_of(last["image"]), levels_of(shown["image"]))
        for what in ("alpha", "trimap", "label"):
            assert (what in last) == (what in shown)
            if what in shown:
                scale = 255 if what == "alpha" and last[what].dtype == np.uint8 else 1
                # of the same number of 255ths, once divided and once multiplied
                assert np.allclose(last[what], shown[what] * scale, atol=1e-4)


def test_what_is_shown_is_the_networks_input_undone():
    data = DemoData("matting", crop_size=32)
    sample = data.dataset("train")[0, 5]
    mean, std = (torch.tensor(NORMALISATION[name]).view(3, 1, 1) for name in ("mean", "std"))
    undone = ((sample["image"] - mean) / std * std + mean).numpy().transpose(1, 2, 0)
    # float32 keeps values below 1 to some 1e-7, far less than half a level
    assert np.array_equal(levels_of(undone), levels_of(_arrays(sample)["image"]))


def test_samples_are_those_of_a_run():
    data = DemoData("segmentation", batch_size=4, seed=3, train_length=20)
    items = _items(data, 4, 0)
    (batch, *_) = data.train_dataloader()
    assert batch["name"] == [data.dataset("train")[item]["name"] for item in items]
    assert _items(data, 4, 1) != items
    assert len(_items(data, 99, 0)) == 20


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_both_sheets_are_written(task, tmp_path):
    output = tmp_path / "sheets"
    words = [f"task={task}", "n=3", "side=40", "columns=2", "data.crop_size=32", f"output='{output}'"]
    assert show_data.main(words) == 0
    samples, steps = (cv2.imread(str(output / name)) for name in ("samples.png", "steps.png"))
    # two rows of image, maps and, of labels, both; captions above
    views = 3
    assert samples.shape[1] == 2 * (views * 32 + (views - 1) * 4) + 12
    columns = {"matting": 8, "segmentation": 5}[task]
    assert steps.shape[1] == columns * 44 - 4
    again = tmp_path / "again"
    show_data.main([*words[:-1], f"output='{again}'"])
    assert (again / "samples.png").read_bytes() == (output / "samples.png").read_bytes()


def test_a_set_that_tells_no_steps(tmp_path, capsys, monkeypatch):
    class Plain(Dataset):
        def __init__(self, of):
            self.of = of

        def __len__(self):
            return len(self.of)

        def __getitem__(self, item):
            return self.of[item]

    make = DemoData.make
    monkeypatch.setattr(DemoData, "make", lambda self, split: Plain(make(self, split)))
    assert show_data.main(["n=2", "data.crop_size=32", f"output='{tmp_path}'"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["samples.png"]
    assert "no steps.png: Plain does not tell the steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["n=0"], "n is 0"),
        (["side=4"], "side is 4"),
        (["columns=0"], "columns is 0"),
        (["epoch=-1"], "epoch is -1"),
        (["task=segmentation", "data=aim500", "data.root=x"], "serves task=matting, but task=segmentation"),
        (["data=aim500", "data.root=x"], "root='x': found nothing there"),
    ],
)
def test_values_that_are_none(words, message, capsys):
    assert show_data.main(words) == 1
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_command(tmp_path):
    done = python_module("src.show_data", "n=1", "data.crop_size=32", f"output='{tmp_path}'")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samples.png", "steps.png"]

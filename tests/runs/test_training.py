"""A training from Python: the example of the docs, its folder, the report beside it, and what goes wrong."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from configuring import configure
from torch.optim import AdamW

import denseup
from denseup import runs
from denseup.data.datamodules import DemoData
from denseup.engine.folder import IDENTITY
from denseup.networks import MattingNetwork
from denseup.reporting import group_runs, load_runs
from denseup.runs.training import TRAINER
from denseup.tasks import MattingTask
from denseup.tasks.divergence import DivergedError
from denseup.tasks.optimization import Optimization

DOCS = Path(__file__).parents[2] / "docs"
SMALL = {"name": "resnet34", "width": 8, "depths": (1, 1, 1)}


def recipe(lr: float = 0.01) -> Optimization:
    return Optimization(partial(AdamW, weight_decay=0.01), lr=lr)


def maker(upsampler: str, lr: float = 0.01, **encoder: object) -> Callable[[], MattingTask]:
    return lambda: MattingTask(MattingNetwork({**SMALL, **encoder}, upsampler), recipe(lr), num_examples=1)


def data(**options: int) -> DemoData:
    return DemoData("matting", **{"crop_size": 64, "image_size": 64, "batch_size": 2, "val_length": 2, **options})


def train(folder: Path, upsampler: str = "fade", **options: object) -> dict[str, object]:
    return runs.train(maker(upsampler), data(), folder, **{"max_steps": 2, **options})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for upsampler in ("bilinear", "fade", "indexnet"):
        for seed in (0, 1):
            train(folder / f"{upsampler}_{seed}", upsampler, seed=seed)
    return folder


def test_the_example_of_the_docs_has_ten_lines_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?runs\.train.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("from", "import"))]
    assert len(lines) <= 10
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("max_steps=300", "max_steps=2"), "python.md", "exec"), {})
    result = json.loads((tmp_path / "runs/by_hand/result.json").read_text())
    assert (result["status"], result["upsampler"], result["steps"]) == ("finished", "fade", 2)


def test_a_run_leaves_the_folder_of_any_run(made: Path) -> None:
    folder = made / "fade_0"
    result, config = (
        json.loads((folder / "result.json").read_text()),
        yaml.safe_load((folder / "config.yaml").read_text()),
    )
    assert (result["status"], result["task"], result["upsampler"], result["seed"]) == ("finished", "matting", "fade", 0)
    assert set(IDENTITY) <= set(config)
    for part in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.csv", "per_image.csv", result["picture"]):
        assert (folder / part).is_file(), part


def test_runs_that_differ_in_upsampler_and_seed_alone_are_compared(made: Path) -> None:
    (group,), left_out = group_runs(load_runs([made]))
    assert {label: sorted(by_seed) for label, by_seed in group.members.items()} == {
        name: [0, 1] for name in ("bilinear", "fade", "indexnet")
    }
    assert not left_out


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("recipe", "recipe.optimization.lr"),
        ("data", "data.crop_size"),
        ("network", "model.modules"),
        ("frozen", "model.learning"),
        ("settings", "recipe.settings.note"),
    ],
)
def test_what_else_differs_parts_them(made: Path, tmp_path: Path, kind: str, setting: str) -> None:
    def frozen() -> MattingTask:
        task = maker("fade")()
        task.network.head.requires_grad_(False)
        return task

    task = {"recipe": maker("fade", lr=0.02), "network": maker("fade", depths=(1, 1, 2)), "frozen": frozen}
    other = data(crop_size=32) if kind == "data" else data()
    settings = {"note": "of another kind"} if kind == "settings" else None
    runs.train(task.get(kind, maker("fade")), other, tmp_path / "other", max_steps=2, settings=settings)
    groups, _ = group_runs(load_runs([made, tmp_path]))
    assert len(groups) == 2
    assert any(line.startswith(f"{setting} = ") for line in groups[1].differences), groups[1].differences


def test_equal_seeds_give_equal_runs_and_equal_starts(tmp_path: Path, made: Path) -> None:
    again = train(tmp_path / "again")
    first = json.loads((made / "fade_0/result.json").read_text())
    assert again["metrics"] == first["metrics"]
    starts = []
    for upsampler in ("bilinear", "fade"):
        made_task: list[MattingTask] = []

        def keep(upsampler: str = upsampler, kept: list[MattingTask] = made_task) -> MattingTask:
            kept.append(maker(upsampler)())
            starts.append({name: p.detach().clone() for name, p in kept[0].network.decoder.named_parameters()})
            return kept[0]

        runs.train(keep, data(), tmp_path / upsampler, max_steps=1)
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    train(tmp_path / "first")
    result = train(tmp_path / "second", max_steps=4, resume=tmp_path / "first/checkpoints/last.ckpt")
    whole = train(tmp_path / "whole", max_steps=4, val_every=2)
    assert result["metrics"]["last"] == pytest.approx(whole["metrics"]["last"])


def test_its_weights_are_loaded_into_a_task(made: Path) -> None:
    checkpoint = made / "fade_0/checkpoints/best.ckpt"
    with pytest.raises(ValueError, match=r"made by denseup\.runs\.train.*denseup\.load\(checkpoint, task=…\)"):
        denseup.load(checkpoint)
    with pytest.raises(ValueError, match=r"task has another network than the run of .*best\.ckpt"):
        denseup.load(checkpoint, maker("bilinear")())
    task = denseup.load(checkpoint, maker("fade")())
    saved = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, saved[name]) for name, value in task.state_dict().items())
    assert not task.training


def test_a_failure_is_noted_and_the_folder_can_be_used_again(tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        runs.train(maker("fade", lr=1e30), data(), tmp_path, max_steps=8)
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["upsampler"]) == ("failed", "fade")
    assert "DivergedError" in (tmp_path / "error.txt").read_text()
    train(tmp_path)
    with pytest.raises(ValueError, match="holds a finished run"):
        train(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 0}, "max_steps is 0, expected an integer of at least 1"),
        ({"val_every": 0}, "val_every is 0, expected"),
        ({"seed": -1}, "seed is -1, expected"),
        ({"trainer": {"max_step": 3}}, "did you mean max_steps"),
        ({"resume": "nowhere.ckpt"}, "resume=nowhere.ckpt: there is no such file"),
    ],
)
def test_a_value_that_no_run_can_have_is_named(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", **options)


def test_data_of_another_task_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data is DemoData for task 'segmentation', expected one for 'matting'"):
        runs.train(maker("fade"), DemoData("segmentation"), tmp_path / "run", max_steps=1)
    assert not (tmp_path / "run").exists()


def test_the_trainer_is_that_of_the_command() -> None:
    theirs = configure("task=matting").trainer
    assert {name: theirs[name] for name in TRAINER} == TRAINER

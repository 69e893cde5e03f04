"""Two processes train and measure what one does: the same batches, gradients, rates, metrics, and files once.

One group of processes does all of it (`group.py`). The whole command: `tests/test_ddp.py`, `test_lost_processes.py`.
"""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from configuring import configure
from reliability import group, shared_jobs
from reliability.recording import OPTION, recorded
from reliability.shared_jobs import CASES, gradients, measured, train_run

from denseup.cli import evaluate
from denseup.engine import RunFolder
from denseup.engine.per_image import read_rows
from denseup.engine.state import read_result

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo back end"
)
UNIT = 2.0**-53
FLOAT32 = 2.0**-24
"""A unit of float32: what float64 leaves of rounding after some steps is far below it, unless samples differ."""
VAL = "data.val_length=3"
ONE_IMAGE = "data.val_length=1"


def jobs(root: Path) -> list[tuple[str, list[Any]]]:
    """What the group does; the run `more` goes on from one process's checkpoint, and is evaluated on one image."""
    module = shared_jobs.__name__
    middle = f"resume='{root / 'one/middle.ckpt'}'"
    return [
        (f"{module}:gradients_together", []),
        (f"{module}:measured_together", []),
        (f"{module}:train_together", ["two", VAL, "data.batch_size=1", OPTION % 3]),
        (f"{module}:train_together", ["more", ONE_IMAGE, "data.batch_size=2", middle, OPTION % 0]),
    ]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one` is a run in one process, `two` the same in two; `more` goes on from the middle of `one`, `less` of two."""
    root = tmp_path_factory.mktemp("devices")
    train_run(root / "one", VAL, "data.batch_size=4", OPTION % 3)
    group.run(root, 2, *jobs(root))
    with pytest.warns(UserWarning, match=r"other settings: .*trainer\.devices is 2 there and 1 here"):
        train_run(root / "less", VAL, "data.batch_size=4", f"resume='{root / 'two/middle.ckpt'}'", OPTION % 0)
    return root


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def assert_same_weights(found: Path, expected: Path) -> None:
    ours, theirs = weights(found), weights(expected)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        scale = float(value.abs().max()) if value.numel() else 0.0
        assert torch.allclose(ours[name], value, rtol=0, atol=FLOAT32 * scale), name


def losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open() as lines:
        return [float(row["train/loss"]) for row in csv.DictReader(lines) if row["train/loss"]]


def test_the_same_batches_at_the_same_rates(done: Path) -> None:
    one = recorded(done / "one")
    assert [step for step, _, _ in one] == list(range(6))
    assert recorded(done / "two") == one
    assert all(len(samples) == 4 for _, _, samples in one)


def test_the_same_losses_and_weights(done: Path) -> None:
    """`train/loss` is that of the whole batch, not of the first process's share."""
    assert losses(done / "two") == pytest.approx(losses(done / "one"), rel=FLOAT32)
    assert_same_weights(done / "two", done / "one")


@pytest.mark.parametrize("resumed", ["more", "less"])
def test_a_run_goes_on_with_other_devices_where_it_was(done: Path, resumed: str) -> None:
    """From the middle of an epoch: no sample is lost or comes twice, at the rates of the whole run."""
    assert recorded(done / resumed) == recorded(done / "one")[3:]
    assert losses(done / resumed)[-3:] == pytest.approx(losses(done / "one")[3:], rel=FLOAT32)
    assert_same_weights(done / resumed, done / "one")


@pytest.mark.parametrize("case", range(len(CASES)), ids=str)
def test_gradients_are_those_of_the_whole_batch(done: Path, case: int) -> None:
    """Also of a mean over valid pixels, of which each process has another number, or none at all; in parts too."""
    alone = gradients(1, *CASES[case])
    for rank in range(2):
        found, logged = torch.load(done / f"gradients_{rank}.pt")[case]
        assert logged == pytest.approx(alone.losses, rel=FLOAT32)
        for one, other in zip(found, alone.gradients, strict=True):
            scale = max(float(x.abs().max()) for x in other)
            for x, y in zip(one, other, strict=True):  # sums of some hundred products, in another order
                torch.testing.assert_close(x, y, rtol=0, atol=512 * UNIT * scale)


def test_a_process_without_images_measures_what_the_other_does(done: Path) -> None:
    expected = measured(range(1))
    for rank in range(2):
        assert torch.load(done / f"measured_{rank}.pt") == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


def test_the_image_of_one_process_counts_once(done: Path, tmp_path: Path) -> None:
    """It is seen by both: the numbers are one process's for the same checkpoint. More images: `tests/test_ddp.py`."""
    cfg = configure(f"ckpt='{done / 'more/checkpoints/last.ckpt'}'", "trainer.accelerator=cpu", name="evaluate")
    alone = evaluate.run(cfg, RunFolder(tmp_path))
    last = dict(read_result(RunFolder(done / "more"))["metrics"]["last"])
    last.pop("step")
    assert alone["metrics"] == last
    rows = read_rows(done / "more/per_image.csv")["last"]
    expected = read_rows(tmp_path / "per_image.csv")["test"]
    assert len(rows) == len(expected) == 1
    assert (rows[0]["name"], rows[0]["sad"]) == (expected[0]["name"], expected[0]["sad"])


def test_the_first_process_writes_the_run_and_no_other(done: Path) -> None:
    """What the second one writes are the tests' own records."""
    first, second = (set(group.written(done, rank)) for rank in range(2))
    records = {"gradients_1.pt", "measured_1.pt", "two/samples_1.pt", "more/samples_1.pt"}
    assert second <= records
    assert {"two/result.json", "two/metrics.csv", "two/config.yaml", "two/per_image.csv"} <= first
    assert any(name.startswith("two/checkpoints/") for name in first)
    one, two = ({p.relative_to(done / n).as_posix() for p in (done / n).rglob("*")} for n in ("one", "two"))
    assert two - {"samples_1.pt"} == one
    tables = [(done / name / "metrics.csv").read_text().splitlines() for name in ("one", "two")]
    assert len(tables[0]) == len(tables[1])

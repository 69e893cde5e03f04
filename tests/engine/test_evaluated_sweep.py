"""All runs of a folder are evaluated on other data, and compared."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from configuring import configure, tiny_run
from omegaconf import OmegaConf

from denseup.cli import evaluate, train
from denseup.engine import RunFolder
from denseup.engine.state import read_result
from denseup.reporting import group_runs, load_runs, write_report
from denseup.reporting.robustness import corruption_table, robustness_csv

UPSAMPLERS, SEEDS, IMAGES = ("bilinear", "carafe"), (0, 1), 3


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sweep")
    for name in UPSAMPLERS:
        for seed in SEEDS:
            cfg = tiny_run(f"upsampler={name}", f"seed={seed}", "recipe.average=0.5", "protocol.evaluation=averaged")
            train.run(cfg, RunFolder(root / f"{name}_{seed}"))
    shutil.copytree(root / "bilinear_0", held := root / "tuning" / "trial")
    (held / "config.yaml").write_text((held / "config.yaml").read_text().replace("hold_out: null", "hold_out: 0.2"))
    (root / "unfinished").mkdir()
    (root / "unfinished" / "result.json").write_text(json.dumps({"status": "running"}))
    return root


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for kind in ("image", "alpha"):
        (root / kind).mkdir()
    for i in range(IMAGES):
        cv2.imwrite(str(root / "image" / f"{i}.png"), rng.integers(0, 256, (48, 56, 3), np.uint8))
        alpha = np.zeros((48, 56), np.uint8)
        alpha[:, 20 + 4 * i :] = 255
        cv2.imwrite(str(root / "alpha" / f"{i}.png"), alpha)
    return root


def run_all(sweep: Path, photographs: Path, out: Path, *overrides: str) -> int:
    data = ["data=matting_folder", f"data.root={photographs}", "data.num_workers=0"]
    return evaluate.run_all(configure(f"ckpt={sweep}", *data, *overrides, name="evaluate"), out)


@pytest.fixture(scope="module")
def measured(sweep: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("measured")
    assert run_all(sweep, photographs, out, "report=false") == 0
    return out


def test_each_finished_run_is_measured_with_the_weights_that_are_told(sweep: Path, measured: Path) -> None:
    expected = {f"{name}_{seed}" for name in UPSAMPLERS for seed in SEEDS}
    assert {file.parent.name for file in measured.rglob("result.json")} == expected
    for name in expected:
        assert read_result(RunFolder(measured / name))["checkpoint"] == str(sweep / name / "checkpoints/averaged.ckpt")


def test_they_are_compared_as_runs_are(sweep: Path, measured: Path, tmp_path: Path) -> None:
    (group,), left_out = group_runs(load_runs([measured]))
    assert (list(group.members), group.evaluation, left_out) == (list(UPSAMPLERS), "test", [])
    assert group.settings["tested weights"] == "averaged"
    values = [read_result(RunFolder(measured / f"carafe_{seed}"))["metrics"]["sad"] for seed in SEEDS]
    assert list(group.values("carafe", "sad").values()) == values
    found = group.compare(group.measures[0]).differences["carafe"]
    assert (found.both.n, found.over_images is not None) == (len(SEEDS), True)
    page = write_report(load_runs([measured]), tmp_path).read_text()
    assert "Told: the test evaluation." in page


def test_it_is_kept_what_the_weights_were_trained_with(sweep: Path, measured: Path) -> None:
    """Else weights that were trained differently would be compared, once they are measured on the same data."""
    for name in ("bilinear_0", "carafe_1"):
        run, evaluation = (OmegaConf.load(RunFolder(root / name).config) for root in (sweep, measured))
        assert evaluation.trained == {"data": run.data, "trainer": run.trainer}
        assert evaluation.data != run.data


def test_another_evaluation_on_the_same_data_is_not_mixed_with_the_runs(sweep: Path, tmp_path: Path) -> None:
    cfg = configure(f"ckpt={sweep}", "+trainer.limit_test_batches=1", "report=false", name="evaluate")
    assert evaluate.run_all(cfg, tmp_path) == 0
    groups, _ = group_runs([run for run in load_runs([sweep, tmp_path]) if "tuning" not in str(run.source)])
    assert [(group.evaluation, len(group.runs)) for group in groups] == [("averaged", 4), ("test", 4)]


def test_the_same_command_measures_what_is_missing(
    sweep: Path, photographs: Path, measured: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    shutil.copytree(measured, out)
    (out / "carafe_1" / "result.json").unlink()
    kept = (out / "bilinear_0" / "result.json").stat().st_mtime_ns
    assert run_all(sweep, photographs, out, "report=false") == 0
    assert (out / "bilinear_0" / "result.json").stat().st_mtime_ns == kept
    assert read_result(RunFolder(out / "carafe_1"))["status"] == "finished"
    assert run_all(sweep, photographs, out, "report=false", "data.trimap_width=5") == 0
    changed = read_result(RunFolder(out / "bilinear_0"))
    assert changed["metrics"] != read_result(RunFolder(measured / "bilinear_0"))["metrics"]


def test_other_weights_of_the_same_name_are_measured_anew(sweep: Path, photographs: Path, tmp_path: Path) -> None:
    own = tmp_path / "sweep"
    shutil.copytree(sweep / "bilinear_0", own / "run")
    out = tmp_path / "out"
    assert run_all(own, photographs, out, "report=false") == 0
    before = read_result(RunFolder(out / "run"))
    shutil.copy(sweep / "carafe_1/checkpoints/averaged.ckpt", own / "run/checkpoints/averaged.ckpt")
    assert run_all(own, photographs, out, "report=false") == 0
    after = read_result(RunFolder(out / "run"))
    assert (before["upsampler"], after["upsampler"]) == ("bilinear", "carafe")
    (own / "run/checkpoints/averaged.ckpt").write_bytes(b"no checkpoint")
    assert run_all(own, photographs, out, "report=false") == 1
    assert read_result(RunFolder(out / "run"))["status"] == "failed"


def test_what_wandb_logged_is_compared_too(sweep: Path, photographs: Path, tmp_path: Path) -> None:
    assert run_all(sweep, photographs, tmp_path / "out", "report=false", "logger=wandb") == 0
    (expected,), _ = group_runs(load_runs([tmp_path / "out"]))
    for name in UPSAMPLERS:
        for seed in SEEDS:
            shutil.copytree(tmp_path / "out" / f"{name}_{seed}" / "wandb", tmp_path / "logged" / f"{name}_{seed}")
    (group,), left_out = group_runs(load_runs([tmp_path / "logged"]))
    assert (list(group.members), group.evaluation, left_out) == (list(UPSAMPLERS), "test", [])
    assert group.settings["tested weights"] == "averaged"
    assert group.values("carafe", "sad") == expected.values("carafe", "sad")


def test_one_that_fails_costs_no_other(
    sweep: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(sweep, tmp_path / "sweep")
    (broken / "bilinear_0" / "checkpoints" / "averaged.ckpt").write_bytes(b"no checkpoint")
    assert run_all(broken, photographs, tmp_path / "out", "report=false") == 1
    assert read_result(RunFolder(tmp_path / "out" / "bilinear_0"))["status"] == "failed"
    assert read_result(RunFolder(tmp_path / "out" / "carafe_1"))["status"] == "finished"
    assert "bilinear_0: DamagedError" in capsys.readouterr().out


def test_a_report_is_written_at_the_end(sweep: Path, photographs: Path, tmp_path: Path) -> None:
    one = tmp_path / "runs" / "bilinear_0"
    shutil.copytree(sweep / "bilinear_0", one)
    assert run_all(one, photographs, tmp_path / "out") == 0
    assert "matting: test image 0" in (tmp_path / "out" / "report" / "report.md").read_text()


def test_folders_that_will_not_do(sweep: Path, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a folder without a finished run"):
        run_all(tmp_path, photographs, tmp_path / "out")
    with pytest.raises(ValueError, match=r"hydra\.run\.dir is .* where the runs themselves lie"):
        run_all(sweep, photographs, sweep)


def test_options_hold_for_all_runs_and_make_groups_of_their_own(
    sweep: Path, photographs: Path, measured: Path, tmp_path: Path
) -> None:
    options = ["evaluation.flip=true", "evaluation.corruption=contrast", "evaluation.corruption_severity=5"]
    assert run_all(sweep, photographs, tmp_path / "out", "report=false", *options) == 0
    groups, left_out = group_runs(load_runs([measured, tmp_path / "out"]))
    assert ([len(group.runs) for group in groups], left_out) == ([4, 4], [])
    flipped = next(group for group in groups if group.settings.get("evaluation.flip"))
    found = corruption_table(flipped)
    assert found is not None
    assert found.columns == ["clean", "contrast", "mean", "mean ÷ clean, %"]
    assert [label for label, _ in found.rows] == list(UPSAMPLERS)
    assert sum(cells[1].rank for _, cells in found.rows) == 1
    lines = robustness_csv(flipped).splitlines()
    carafe = next(line for line in lines if line.startswith("carafe,contrast,5,sad,"))
    assert carafe.split(",")[6] == carafe.split(",")[-1] == str(len(SEEDS))  # of the value, and of the difference
    plain = next(group for group in groups if group is not flipped)
    assert (corruption_table(plain), robustness_csv(plain)) == (None, "")

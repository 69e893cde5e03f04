"""What a report claims: differences that were planted, none where there is none, and what could have been seen."""

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from configuring import tiny_run
from reporting import synthetic
from reporting.synthetic import base_config, run_config, write_run, write_sweep

from denseup.cli import train
from denseup.engine import RunFolder
from denseup.engine.per_image import read_counts, write_counts
from denseup.reporting import Group, group_runs, load_runs, write_report
from denseup.reporting.cells import estimate_text
from denseup.reporting.findings import findings, limits
from denseup.statistics import Estimate, ImageParts, difference, paired, resamples

NAMES = ("bilinear", "carafe", "fade")
IMAGES = 24


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CARAFE gains nothing, FADE seven standard deviations of a seed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(synthetic.GAINS, "carafe", 0.0)
        return write_sweep(tmp_path_factory.mktemp("sweep"), upsamplers=NAMES, seeds=range(4), images=IMAGES)


@pytest.fixture(scope="module")
def groups(sweep: Path) -> dict[str, Group]:
    return {group.task: group for group in group_runs(load_runs([sweep]))[0]}


def test_a_planted_gain_is_claimed_and_no_other(groups: dict[str, Group]) -> None:
    carafe, fade = findings(groups["segmentation"])
    assert fade.startswith("fade gains ")
    assert " points of mIoU over bilinear (Holm p " in fade
    assert carafe.startswith("carafe: no difference to bilinear seen in mIoU (")
    assert carafe.endswith(" points or more would have been, with a chance of 80 %.")
    carafe, fade = findings(groups["matting"])
    assert fade.startswith("fade gains 0.")  # by a lower SAD
    assert " in SAD over bilinear" in fade
    assert "no difference to bilinear seen in SAD" in carafe


def test_a_loss_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(synthetic.GAINS, "fade", -1.0)
    write_sweep(tmp_path, ["segmentation"], ("bilinear", "fade"), range(4))
    (group,), _ = group_runs(load_runs([tmp_path]))
    (sentence,) = findings(group)
    assert sentence.startswith("fade loses ")
    assert " points of mIoU to bilinear" in sentence


def test_what_could_have_been_seen_stands_under_the_table(groups: dict[str, Group]) -> None:
    text = limits(groups["segmentation"])
    assert f"4 seeds on {IMAGES} images would show with a chance of 80 %" in text
    assert "Holm's first step for 2 comparisons" in text
    assert text.count("half of it ") == len(groups["segmentation"].measures)


def test_page_text_and_table_say_it(sweep: Path, groups: dict[str, Group], tmp_path: Path) -> None:
    page = write_report(load_runs([sweep]), tmp_path).read_text()
    text = (tmp_path / "report.md").read_text()
    for group in groups.values():
        assert limits(group) in text
        for sentence in findings(group):
            assert sentence in text.replace("\\<", "<")
    assert page.count("<h3>What these runs support</h3>") == 2
    assert f"Start of the upsamplers: published. Protocol: {group.protocol}. Told: the best evaluation." in page
    assert "No values of images" not in page
    assert "p (Holm)" in text
    with (tmp_path / "segmentation.csv").open(newline="") as lines:
        row = {row["upsampler"]: row for row in csv.DictReader(lines)}["fade"]
    assert (row["miou_rank"], row["miou_rank_low"], row["miou_rank_high"]) == ("1", "1", "1")
    assert float(row["miou_p"]) <= float(row["miou_p_holm"]) <= 0.05
    assert float(row["miou_delta_images_low"]) < float(row["miou_delta_mean"]) < float(row["miou_delta_images_high"])


@pytest.mark.parametrize(("task", "key", "scale"), [("matting", "sad", 1), ("segmentation", "biou", 100)])
def test_intervals_are_those_of_the_files(groups: dict[str, Group], task: str, key: str, scale: float) -> None:
    """From the values of the images in the CSV files, which for bIoU are made like the counts."""
    group = groups[task]
    drawn: dict[str, dict[int, Any]] = {}
    for label in ("bilinear", "fade"):
        for seed, run in group.members[label].items():
            with (run.source / "per_image.csv").open(newline="") as lines:
                values = [float(row[key]) for row in csv.DictReader(lines) if row["evaluation"] == "best"]
            drawn.setdefault(label, {})[seed] = ImageParts.of_values(values).resampled(resamples(IMAGES))
    values, reference = group.values("fade", key), group.values("bilinear", key)
    pairs = {seed: drawn["fade"][seed] - drawn["bilinear"][seed] for seed in values}
    expected = difference(values, reference, pairs, IMAGES)
    measure = next(measure for measure in group.measures if measure.key == key)
    found = group.compare(measure).differences["fade"]
    assert expected is not None
    assert found.over_images == pytest.approx(expected.over_images, rel=1e-5)
    assert found.both.half_width == pytest.approx(expected.both.half_width, rel=1e-5)
    assert found.over_seeds == paired(values, reference)


def test_one_seed_has_an_interval_over_images(tmp_path: Path) -> None:
    write_sweep(tmp_path, ["segmentation"], NAMES, [0], images=IMAGES)
    write_report(load_runs([tmp_path]), tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text()
    line = next(row for row in text.splitlines() if row.startswith("| fade"))
    assert "(images alone)" in line
    assert "▲" not in text.split("## How to read this")[0]  # for nothing is known of another seed
    assert "of mIoU against bilinear with one seed, over images alone (Holm p " in text
    assert "Smallest difference that" not in text


def test_values_of_images_that_do_not_give_the_metric_are_not_used(sweep: Path, tmp_path: Path) -> None:
    """Without the counts there are only each image's own mIoU."""
    write_sweep(tmp_path, ["segmentation"], NAMES, range(3), images=IMAGES)
    for run in load_runs([tmp_path]):
        RunFolder(run.source).per_image_counts.unlink()
    (group,), _ = group_runs(load_runs([tmp_path]))
    compared = group.compare(group.measures[0])
    assert all(found.over_images is None for found in compared.differences.values())
    write_report(load_runs([tmp_path]), tmp_path / "report")
    note = "No values of images that give the mIoU of any run: its differences tell of other seeds alone."
    assert note in (tmp_path / "report/report.md").read_text()


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_runs_bring_what_it_needs(tmp_path: Path, task: str) -> None:
    """Of trained networks, whose files are those of `src.train`."""
    for name in ("bilinear", "nearest"):
        cfg = tiny_run("trainer.limit_val_batches=4", f"upsampler={name}", task=task)
        train.run(cfg, RunFolder(tmp_path / name))
    (group,), _ = group_runs(load_runs([tmp_path]))
    for measure in group.measures:
        compared = group.compare(measure)
        assert compared.images == 4
        assert compared.differences["nearest"].of_images_alone
        assert compared.differences["nearest"].over_images is not None


@pytest.mark.parametrize("harm", ["cut", "fewer"])
def test_a_run_whose_images_are_broken_has_none(tmp_path: Path, harm: str) -> None:
    write_sweep(tmp_path, ["segmentation"], ("bilinear", "fade"), (0, 1), images=IMAGES)
    folder = RunFolder(next(tmp_path.glob("*fade_seed1*")))
    if harm == "cut":
        folder.per_image_counts.write_bytes(folder.per_image_counts.read_bytes()[:100])
    else:
        header, _, *rows = folder.per_image.read_text().splitlines(keepends=True)
        folder.per_image.write_text("".join([header, *rows]))
    (group,), _ = group_runs(load_runs([tmp_path]))
    found = group.compare(group.measures[0])
    assert found.differences["fade"].over_images is None
    assert found.ranks["fade"].high is not None
    write_report(load_runs([tmp_path]), tmp_path / "report")
    assert "that give the mIoU of fade:" in (tmp_path / "report/report.md").read_text()


def test_runs_on_other_images_are_not_compared(tmp_path: Path) -> None:
    """Though the config says that the data are the same."""
    write_sweep(tmp_path, ["matting"], ("bilinear", "carafe", "fade"), (0, 1), images=IMAGES)
    for file in tmp_path.glob("*fade*/per_image.csv"):
        file.write_text(file.read_text().replace("image 3,", "image 30,"))
    (group,), _ = group_runs(load_runs([tmp_path]))
    found = group.compare(group.measures[0])
    assert set(found.differences) == {"carafe"}
    assert found.differences["carafe"].over_images is not None
    write_report(load_runs([tmp_path]), tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text()
    assert "on other images than the rest, so that nothing is compared with it: fade (seed 0, 1)." in text
    assert "No values of images" not in text


def test_the_order_of_the_images_does_not_matter(tmp_path: Path) -> None:
    write_sweep(tmp_path, ["segmentation"], ("bilinear", "fade"), (0, 1), images=IMAGES)
    (before,), _ = group_runs(load_runs([tmp_path]))
    for folder in map(RunFolder, tmp_path.glob("*fade*")):
        header, *rows = folder.per_image.read_text().splitlines(keepends=True)
        counts = read_counts(folder.per_image_counts)
        folder.per_image.write_text("".join([header, *(row for part in _parted(rows) for row in part[::-1])]))
        turned = {kind: {key: torch.tensor(x[::-1].copy()) for key, x in of.items()} for kind, of in counts.items()}
        write_counts(folder.per_image_counts, turned)
    (after,), _ = group_runs(load_runs([tmp_path]))
    for measure in before.measures:
        expected, found = (group.compare(measure).differences["fade"] for group in (before, after))
        assert found.over_images == pytest.approx(expected.over_images, rel=1e-9)
        assert found.both.half_width == pytest.approx(expected.both.half_width, rel=1e-9)


def _parted(rows: list[str]) -> list[list[str]]:
    """Rows of a per_image.csv by their evaluation."""
    return [list(part) for _, part in itertools.groupby(rows, lambda row: row.split(",")[0])]


def test_each_limit_says_what_it_is_of(tmp_path: Path) -> None:
    write_sweep(tmp_path, ["matting"], ("bilinear", "fade"), (0, 1, 2), images=IMAGES)
    file = next(tmp_path.glob("*fade_seed2*")) / "result.json"
    result = json.loads(file.read_text())
    result["metrics"]["best"]["grad"] = None
    file.write_text(json.dumps(result))
    (group,), _ = group_runs(load_runs([tmp_path]))
    one, other = limits(group).split(" Smallest difference that ")
    assert one.startswith(f"Smallest difference that 3 seeds on {IMAGES} images")
    assert all(name in one for name in ("SAD", "MSE", "Conn"))
    assert other.startswith(f"2 seeds on {IMAGES} images")
    assert "Grad" in other
    assert "Grad" not in one


def test_what_is_nothing_has_no_sign() -> None:
    assert estimate_text(Estimate(-0.0004, 0.0003, 3), 3, "+") == "+0.000 ± 0.000"
    assert estimate_text(Estimate(-0.0, None, 1), 2) == "0.00 (n = 1)"


def test_the_evaluation_that_is_told(tmp_path: Path) -> None:
    """The protocol's, unless the command line has another; the best where not all runs have it."""
    base = base_config("segmentation") | {"protocol": {"name": "frozen", "evaluation": "averaged"}}
    values = {"step": 500, "miou": 0.7, "macc": 0.7, "aacc": 0.7, "biou": 0.7}
    told = {"best": {**values, "miou": 0.65}, "last": {**values, "miou": 0.6}, "averaged": values}
    for name in ("bilinear", "fade"):
        write_run(tmp_path, run_config(base, name, 0), metrics=told)
    runs = load_runs([tmp_path])
    (group,), _ = group_runs(runs)
    assert (group.evaluation, group.protocol, group.values("fade", "miou")) == ("averaged", "frozen", {0: 0.7})
    write_report(runs, tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text()
    assert "Protocol: frozen. Told: the averaged evaluation." in text
    assert "mIoU % ↑: averaged | mIoU % ↑: Δ bilinear" in text
    assert "averaged_miou" in (tmp_path / "report/runs.csv").read_text().splitlines()[0]
    write_report(runs, tmp_path / "last", evaluation="last")
    header = (tmp_path / "last/segmentation.csv").read_text().splitlines()[0]
    assert "miou_last_mean" in header
    assert "miou_best_mean" in header
    write_run(tmp_path, run_config(base, "carafe", 0))
    (group,), _ = group_runs(load_runs([tmp_path]))
    assert (group.evaluation, group.asked) == ("best", "averaged")
    with pytest.raises(ValueError, match="evaluation is 'lst', valid for these runs: best, last, averaged"):
        group_runs(load_runs([tmp_path]), "lst")

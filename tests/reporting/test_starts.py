"""Runs with several starts: labels tell them apart, also where each upsampler has one; bilinear is one for all."""

from pathlib import Path
from typing import Any

import pytest
from reporting import synthetic
from reporting.synthetic import base_config, run_config, write_run

from denseup.reporting import group_runs, load_runs, write_report
from denseup.reporting.findings import findings

SEEDS = range(4)


def started(config: dict[str, Any], start: str | None) -> dict[str, Any]:
    return config if start is None else {**config, "upsampler": {**config["upsampler"], "start": start}}


def write_both(root: Path, *overrides: str) -> None:
    """Bilinear and FADE with either start, the neutral one better; CARAFE with one that it does not name."""
    base = base_config("segmentation", *overrides)
    for seed in SEEDS:
        write_run(root, run_config(base, "carafe", seed))
        for start in ("published", "neutral"):
            write_run(root, started(run_config(base, "bilinear", seed), start))
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(synthetic.GAINS, "fade", {"published": 0.0, "neutral": 2.0}[start])
                write_run(root, started(run_config(base, "fade", seed), start))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_both(root)
    return root


def test_labels_tell_them_apart_and_the_reference_is_one(runs: Path) -> None:
    (group,), left_out = group_runs(load_runs([runs]))
    assert list(group.members) == [
        "bilinear",
        "carafe (start=published)",
        "fade (start=neutral)",
        "fade (start=published)",
    ]
    assert (group.reference, group.starts) == ("bilinear", ["neutral", "published"])
    assert [run.upsampler for run, why in left_out if "the same run again" in why] == ["bilinear"] * len(SEEDS)
    compared = group.compare(group.measures[0])
    assert {label: found.both.n for label, found in compared.differences.items()} == {
        label: len(SEEDS) for label in group.members if label != "bilinear"
    }


def test_one_is_set_against_the_other(runs: Path, tmp_path: Path) -> None:
    (group,), _ = group_runs(load_runs([runs]))
    sentence = findings(group)[-1]
    assert sentence.startswith("fade (start=neutral) gains ")
    assert " points of mIoU over fade (start=published); Holm p among starts " in sentence
    page = write_report(load_runs([runs]), tmp_path).read_text()
    assert "Start of the upsamplers: neutral and published." in page
    assert sentence.split(";")[0] in page


def test_a_label_means_one_start_in_all_groups(runs: Path, tmp_path: Path) -> None:
    """Another group has one start alone, and runs that do not name it start as published."""
    base = base_config("matting")
    for seed in (0, 1):
        write_run(tmp_path, run_config(base, "bilinear", seed))
        write_run(tmp_path, run_config(base, "fade", seed))
    groups, _ = group_runs(load_runs([runs, tmp_path]))
    assert list(next(group for group in groups if group.task == "matting").members) == [
        "bilinear",
        "fade (start=published)",
    ]
    (alone,), _ = group_runs(load_runs([tmp_path]))
    assert (list(alone.members), alone.starts) == (["bilinear", "fade"], ["published"])


def test_one_seed_claims_nothing(tmp_path: Path) -> None:
    base = base_config("segmentation")
    write_run(tmp_path, run_config(base, "bilinear", 0), images=24)
    for start in ("published", "neutral"):
        write_run(tmp_path, started(run_config(base, "fade", 0), start), images=24)
    (group,), _ = group_runs(load_runs([tmp_path]))
    last = findings(group)[-1]
    assert "fade (start=neutral): " in last
    assert "against fade (start=published) with one seed, over images alone" in last
    assert not {"gains", "loses"} & set(last.split())


def test_the_same_start_is_no_difference(tmp_path: Path) -> None:
    base = base_config("matting")
    for seed, start in enumerate((None, "published", "published")):
        write_run(tmp_path, started(run_config(base, "fade", seed), start))
    (group,), _ = group_runs(load_runs([tmp_path]))
    assert {label: list(by_seed) for label, by_seed in group.members.items()} == {"fade": [0, 1, 2]}


def test_several_forms_of_the_reference_are_none(tmp_path: Path) -> None:
    config = run_config(base_config("matting"), "bilinear", 0)
    for form in (1, 2):
        write_run(tmp_path, {**config, "upsampler": {**config["upsampler"], "form": form}})
    write_run(tmp_path, run_config(base_config("matting"), "fade", 0))
    (group,), _ = group_runs(load_runs([tmp_path]))
    assert group.reference is None
    write_report(load_runs([tmp_path]), tmp_path / "report")
    note = "bilinear has run in several forms (bilinear (form=1), bilinear (form=2)): there are no differences to it."
    assert note in (tmp_path / "report/report.md").read_text()


def test_what_each_upsampler_has_of_its_own_parts_no_group(tmp_path: Path) -> None:
    base = base_config("segmentation", "protocol=frozen")
    for name, rate, start in (
        ("bilinear", 0.002, "neutral"),
        ("fade", 0.004, "published"),
        ("carafe", 0.001, "neutral"),
    ):
        config = run_config(base, name, 0)
        config["recipe"] = {**config["recipe"], "start": start}
        config["recipe"]["optimization"] = {**config["recipe"]["optimization"], "lr": rate}
        config["upsampler"] = {**config["upsampler"], "start": start}
        config["protocol"] = {**config["protocol"], "tuned": ["recipe.optimization.lr"]}
        write_run(tmp_path, config)
    untuned = run_config(base, "bilinear", 0)
    write_run(tmp_path, untuned)
    first, second = group_runs(load_runs([tmp_path]))[0]
    assert list(first.members) == ["bilinear", "carafe (start=neutral)", "fade (start=published)"]
    assert list(second.members) == ["bilinear"], "a rate that was not tuned is a setting"

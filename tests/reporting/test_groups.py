"""Only runs that differ in nothing but upsampler and seed are compared; the others are told, not lost."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from reporting.synthetic import base_config, run_config, write_run

from denseup.reporting import group_runs, load_runs, write_report


@pytest.fixture(scope="module")
def base() -> dict[str, Any]:
    return base_config("matting")


def longer(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "recipe": {**config["recipe"], "max_steps": 9}}


def test_another_recipe_is_another_group(tmp_path: Path, base: dict[str, Any]) -> None:
    for seed in (0, 1):
        write_run(tmp_path, run_config(base, "bilinear", seed))
    write_run(tmp_path, longer(run_config(base, "fade", 0)))
    groups, left_out = group_runs(load_runs([tmp_path]))
    assert [(group.name, list(group.members)) for group in groups] == [
        ("matting 1", ["bilinear"]),
        ("matting 2", ["fade"]),
    ]
    assert groups[1].differences == ["recipe.max_steps = 9 (first group: 500)"]
    assert left_out == []
    page = write_report(load_runs([tmp_path]), tmp_path / "report").read_text()
    assert "each has its own table" in page
    assert "recipe.max_steps = 9" in page
    assert "No finished run of bilinear" in page


def test_the_seed_of_the_data_may_follow_or_stay(tmp_path: Path, base: dict[str, Any]) -> None:
    for seed in (0, 1, 2):
        config = run_config(base, "bilinear", seed)
        write_run(tmp_path / "follows", config)
        write_run(tmp_path / "stays", {**config, "data": {**config["data"], "seed": 0}})
    for name in ("follows", "stays"):
        groups, _ = group_runs(load_runs([tmp_path / name]))
        assert [list(group.members["bilinear"]) for group in groups] == [[0, 1, 2]]


def test_one_seed_is_seen_as_one_seed(tmp_path: Path, base: dict[str, Any]) -> None:
    for name in ("bilinear", "fade"):
        write_run(tmp_path, run_config(base, name, 0))
    write_report(load_runs([tmp_path]), tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text().split("## How to read this")[0]
    assert "(n = 1)" in text
    assert "±" not in text
    assert "▲" not in text


def test_a_difference_has_only_the_seeds_that_both_have(tmp_path: Path, base: dict[str, Any]) -> None:
    for name, seeds in (("bilinear", (0, 1)), ("fade", (0, 1, 2))):
        for seed in seeds:
            write_run(tmp_path, run_config(base, name, seed))
    write_report(load_runs([tmp_path]), tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text()
    assert sum(row.count("(n = 2)") for row in text.splitlines() if row.startswith("| fade")) == 4


def test_options_of_an_upsampler_make_rows_of_their_own(tmp_path: Path, base: dict[str, Any]) -> None:
    config = run_config(base, "fade", 0)
    write_run(tmp_path, config)
    write_run(tmp_path, {**config, "upsampler": {**config["upsampler"], "kernel_size": 7}})
    (group,), _ = group_runs(load_runs([tmp_path]))
    assert list(group.members) == ["fade (kernel_size=5)", "fade (kernel_size=7)"]


def test_a_label_means_one_upsampler_in_all_groups(tmp_path: Path, base: dict[str, Any]) -> None:
    config = run_config(base, "fade", 0)
    write_run(tmp_path, config)
    write_run(tmp_path, longer({**config, "upsampler": {**config["upsampler"], "kernel_size": 7}}))
    groups, _ = group_runs(load_runs([tmp_path]))
    assert [list(group.members) for group in groups] == [["fade (kernel_size=5)"], ["fade (kernel_size=7)"]]


def test_published_values_are_those_of_the_published_options(tmp_path: Path, base: dict[str, Any]) -> None:
    config = run_config(base, "fade", 0)
    write_run(tmp_path / "own", config)
    write_run(tmp_path / "other", {**config, "upsampler": {**config["upsampler"], "kernel_size": 7}})
    for name, shown in (("own", True), ("other", False)):
        write_report(load_runs([tmp_path / name]), tmp_path / name / "report")
        assert ("31.10" in (tmp_path / name / "report/report.md").read_text()) is shown


def test_a_point_in_a_number_is_no_setting(tmp_path: Path, base: dict[str, Any]) -> None:
    for name, value in (("bilinear", 0), ("fade", 0.0), ("carafe", False)):
        config = run_config(base, name, 0)
        write_run(tmp_path, {**config, "recipe": {**config["recipe"], "decay": value}})
    groups, _ = group_runs(load_runs([tmp_path]))
    assert [set(group.members) for group in groups] == [{"bilinear", "fade"}, {"carafe"}]
    assert groups[1].differences == ["recipe.decay = False (first group: 0)"]


def test_what_weights_were_trained_with_parts_their_evaluations(tmp_path: Path, base: dict[str, Any]) -> None:
    """Of checkpoints on the same other data: those of crops of 32 pixels are not compared with others."""
    for name, seed, crop in (("bilinear", 0, 64), ("bilinear", 1, 64), ("fade", 0, 64), ("fade", 0, 32)):
        config = run_config(base, name, seed)
        trained = {"data": {**config["data"], "crop_size": crop}, "trainer": config["trainer"]}
        write_run(tmp_path / str(crop), {**config, "trained": trained}, metrics={"sad": 3.0})
    groups, left_out = group_runs(load_runs([tmp_path]))
    members = [{label: list(by) for label, by in group.members.items()} for group in groups]
    assert members == [{"bilinear": [0, 1], "fade": [0]}, {"fade": [0]}]
    assert groups[1].differences == ["trained.data.crop_size = 32 (first group: 64)"]
    assert not left_out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": None}, "seed is None, expected a whole number"),
        ({"metrics": {"best": None, "last": {"sad": 1.0}}}, "metrics.best is None"),
        ({"metrics": {"best": {"sad": "low"}}}, "metrics.best.sad is 'low', expected a number or null"),
        ({"metrics": {"last": {"sad": 1.0}}}, "metrics has last, but no best"),
        ({"metrics": {"best": {"step": 3}}}, "metrics.best has no metric"),
        ({"metrics": {}}, "metrics has no metric"),
        ({"metrics": 3}, "metrics is 3, expected names and values"),
        ({"versions": [1]}, "versions is [1]"),
        ({"per_class": {"best": {"iou": 3}}}, "per_class.best.iou is 3, expected a list"),
        ({"class_names": 3}, "class_names is 3, expected a list of str"),
        ({"robustness": [1]}, "robustness is [1], expected a list of dict"),
    ],
)
def test_a_result_that_is_none_is_told(tmp_path: Path, base: dict[str, Any], changes: Any, message: str) -> None:
    write_run(tmp_path, run_config(base, "bilinear", 0))
    write_run(tmp_path, run_config(base, "fade", 0), **changes)
    groups, [(_, why)] = group_runs(load_runs([tmp_path]))
    assert [list(group.members) for group in groups] == [["bilinear"]]
    assert message in why
    write_report(load_runs([tmp_path]), tmp_path / "report")


@pytest.mark.parametrize(("key", "value"), [("upsampler", None), ("data", 3), ("protocol", "frozen"), ("trained", [1])])
def test_a_config_that_is_none_is_told(tmp_path: Path, base: dict[str, Any], key: str, value: Any) -> None:
    write_run(tmp_path, run_config(base, "bilinear", 0))
    file = write_run(tmp_path, run_config(base, "fade", 0)) / "config.yaml"
    file.write_text(OmegaConf.to_yaml(OmegaConf.create({**OmegaConf.load(file), key: value})))
    groups, [(_, why)] = group_runs(load_runs([tmp_path]))
    assert [list(group.members) for group in groups] == [["bilinear"]]
    assert f"config.yaml: {key} is {value!r}, expected names and values" in why


def test_a_config_beside_runs_is_no_run(tmp_path: Path, base: dict[str, Any]) -> None:
    """Of a sweep, say; that of a run which was killed is one."""
    write_run(tmp_path, run_config(base, "bilinear", 0))
    (tmp_path / "config.yaml").write_text("a: 1")
    killed = tmp_path / "killed"
    (killed / "features").mkdir(parents=True)
    (killed / "config.yaml").write_text("a: 1")
    (killed / "features/result.json").write_text("{}")
    assert sorted(run.status for run in load_runs([tmp_path])) == ["finished", "no result"]


def test_runs_that_do_not_count_are_listed_with_their_reason(tmp_path: Path, base: dict[str, Any]) -> None:
    config = run_config(base, "bilinear", 0)
    write_run(tmp_path, config)
    write_run(tmp_path / "again", config)
    write_run(tmp_path, run_config(base, "fade", 0), status="failed", error="ValueError: <broken>")
    write_run(tmp_path, run_config(base, "carafe", 0), status="killed", error="killed by signal 9")
    write_run(tmp_path, run_config(base, "a2u", 0), status="running")
    (write_run(tmp_path, run_config(base, "fade", 1)) / "result.json").write_text("{")
    (write_run(tmp_path, run_config(base, "fade", 2)) / "result.json").unlink()
    write_run(tmp_path, run_config(base, "indexnet", 0), metrics={"sad": 3.0})
    runs = load_runs([tmp_path])
    groups, left_out = group_runs(runs)
    assert [(group.evaluation, len(group.runs)) for group in groups] == [("best", 1), ("test", 1)]
    reasons = " | ".join(reason for _, reason in left_out)
    words = ["<broken>", "signal 9", "still running", "JSONDecodeError", "no result.json", "the same run"]
    assert all(word in reasons for word in words)
    page = write_report(runs, tmp_path / "report").read_text()
    assert "ValueError: &lt;broken&gt;" in page
    assert "2 of 8 runs count" in page


def test_no_finished_run_still_makes_a_report(tmp_path: Path, base: dict[str, Any]) -> None:
    write_run(tmp_path, run_config(base, "fade", 0), status="failed", error="ValueError: no")
    assert "ValueError: no" in write_report(load_runs([tmp_path]), tmp_path / "report").read_text()


def test_samples_of_an_earlier_version_are_a_group_of_their_own(tmp_path: Path) -> None:
    """At equal seeds their crops differ; whole images, whose features are kept, do not."""
    for name, changes in (("crops", {}), ("whole", {"fixed_views": "whole"})):
        for age, upsampler in (("now", "bilinear"), ("before", "fade")):
            config = base_config("segmentation")
            config["data"] |= changes
            config["protocol"]["name"] = "frozen"
            if age == "before":
                del config["recipe"]["effective_batch_size"]
            write_run(tmp_path / name / age, run_config(config, upsampler, 0))
    crops, whole = (group_runs(load_runs([tmp_path / name]))[0] for name in ("crops", "whole"))
    assert len(crops) == 2
    assert any("training samples" in difference for difference in crops[1].differences)
    assert len(whole) == 1


def test_what_a_terminal_shows_parts_no_runs(tmp_path: Path, base: dict[str, Any]) -> None:
    for seed, shown in ((0, True), (1, False)):
        for upsampler in ("bilinear", "fade"):
            config = run_config(base, upsampler, seed)
            trainer = {**config["trainer"], "enable_progress_bar": shown, "enable_model_summary": shown}
            write_run(tmp_path, {**config, "trainer": trainer})
    (group,) = group_runs(load_runs([tmp_path]))[0]
    assert {label: sorted(found) for label, found in group.members.items()} == {"bilinear": [0, 1], "fade": [0, 1]}

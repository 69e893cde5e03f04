"""python -m src.report: from run folders with checkpoints to a page, and its errors."""

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from reporting.synthetic import base_config, run_config, write_run

from denseup.cli import rebuild, report
from denseup.cli.build import build_data, build_task
from denseup.engine.folder import CONFIG_KEY

SMALL = ["data.image_size=64", "data.val_length=4"]


def write_trained(root: Path, config: dict[str, Any]) -> int:
    """A run with a checkpoint of its network as it starts; the network's parameters."""
    cfg = OmegaConf.create(config)
    task = build_task(cfg, build_data(cfg), training=False)
    params = sum(p.numel() for p in task.network.parameters())
    folder = write_run(root, config, params=params)
    (folder / "checkpoints").mkdir()
    torch.save({CONFIG_KEY: config, "state_dict": task.state_dict()}, folder / "checkpoints/best.ckpt")
    return params


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    params = {}
    for task in ("matting", "segmentation"):
        base = base_config(task, *SMALL)
        for name in ("bilinear", "fade_lite"):
            params[task, name] = write_trained(root, run_config(base, name, 0))
    measured = {"forward_ms": 12.5, "forward_peak_mib": 7.0}
    rows = [{"task": task, "upsampler": name, "params": count, **measured} for (task, name), count in params.items()]
    rows[-1]["params"] += 1
    about = {"config": {"latency": {"batch_size": 1, "input_size": 64, "repeats": 3}}, "hardware": {"device": "cpu"}}
    (root / "complexity.json").write_text(json.dumps({**about, "rows": rows}))
    return root


def test_it_writes_a_report_with_costs_and_predictions(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(runs), "--output", str(tmp_path), "--complexity", str(runs / "complexity.json")]
    assert report.main(command) == 0
    assert capsys.readouterr().out == f"report: {tmp_path / 'report.html'}\n"
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/webp;base64,") == 4
    assert "not counted" not in page
    assert "No predictions" not in page
    with (tmp_path / "segmentation.csv").open(newline="") as lines:
        rows = {row["upsampler"]: row for row in csv.DictReader(lines)}
    assert int(rows["fade_lite"]["params"]) > int(rows["bilinear"]["params"])
    assert float(rows["fade_lite"]["gflops"]) > float(rows["bilinear"]["gflops"])
    # what was measured in a network of another size stays out
    assert (rows["bilinear"]["forward_ms"], rows["fade_lite"]["forward_ms"]) == ("12.5", "")
    assert "fade_lite: latency left out: the network measured has" in page


def test_latency_and_memory_are_measured_where_no_file_has_them(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "LatencySettings", partial(rebuild.LatencySettings, repeats=1))
    monkeypatch.setattr(rebuild, "count", lambda run: (run.params, 1.0))
    for options, there in ([], True), (["--no-latency"], False):
        assert report.main([str(runs), "--output", str(tmp_path), "--examples", "0", *options]) == 0
        for task in ("matting", "segmentation"):
            with (tmp_path / f"{task}.csv").open(newline="") as lines:
                for row in csv.DictReader(lines):
                    assert (float(row.get("forward_ms") or 0) > 0) is there
                    assert (float(row.get("forward_peak_mib") or 0) > 0) is there
        assert ("Latency and memory: inference, 1×256×256" in (tmp_path / "report.md").read_text()) is there


def test_without_the_panel_no_checkpoint_is_read(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "load", None)
    monkeypatch.setattr(rebuild, "count", lambda run: (run.params, 1.0))
    assert report.main([str(runs), "--output", str(tmp_path), "--examples", "0", "--no-latency"]) == 0
    assert "data:image/" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["PATH is 'nowhere'", "no such folder"]),
        (["."], ["no run in it", "result.json"]),
        ([".", "--complexity", "nothing.json"], ["no run in it"]),
    ],
)
def test_wrong_paths_get_a_message(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report.main(arguments) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in words), error


def test_a_wrong_file_of_measurements_gets_a_message(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.json").write_text('{"a": 1}')
    for name in ("other.json", "missing.json"):
        assert report.main([str(runs), "--complexity", str(tmp_path / name), "--output", str(tmp_path)]) == 1
        error = capsys.readouterr().err
        assert name in error
        assert "src.complexity" in error


def test_a_sweep_whose_report_fails_keeps_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report.write_at_the_end(tmp_path)
    assert "no report: ValueError: PATH is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["latency=false", "examples=1"], {"latency": False, "examples": 1}),
        (["--no-latency", "--examples", "1"], {"latency": False, "examples": 1}),
        (["evaluation=last"], {"evaluation": "last"}),
        (["link_pictures=true", "output=there"], {"link_pictures": True, "output": Path("there")}),
        (["--link-pictures", "--output", "there"], {"link_pictures": True, "output": Path("there")}),
    ],
)
def test_keys_and_flags_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: dict[str, Any]
) -> None:
    """As all commands do, it takes KEY=VALUE; a path with an equals sign that exists is a path."""
    runs = tmp_path / "lr=0.1"
    runs.mkdir()
    seen: dict[str, Any] = {}
    monkeypatch.setattr(report, "run", lambda **options: seen.update(options))
    assert report.main([str(runs), *words]) == 0
    assert seen["paths"] == [str(runs)]
    assert {name: seen[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs", "latncy=false"], "latncy"),
        (["runs", "latency=5"], "latency is 5, expected true or false"),
        (["runs", "examples=-1"], "examples is -1, expected a whole number"),
        (["examples=1"], "paths is [], expected the path of a run"),
    ],
)
def test_a_wrong_key_or_value_is_named(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert report.main(words) == 1
        said = capsys.readouterr().err
    except SystemExit as exit:
        said = str(exit)
    assert message in said

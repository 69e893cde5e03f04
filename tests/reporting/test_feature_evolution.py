"""The report compares frames of one image, seed and size, and says nothing of runs without any."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reporting.synthetic import base_config, run_config, write_run, write_sweep

from denseup.engine.callbacks.frames import FeatureFrames
from denseup.reporting import group_runs, load_runs, write_report
from denseup.reporting.feature_evolution import COLUMNS, SHEET_WIDTH, TITLE, draw_evolution

STEPS = (0, 1, 3, 7, 12, 20, 30, 43, 60, 80)
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def add_frames(run: Path, seed: int, steps: tuple[int, ...] = STEPS, image: np.ndarray = IMAGE, size: int = 1) -> None:
    rng = np.random.default_rng(seed)
    frames = FeatureFrames(run / "features")
    for step in steps:
        frames.add(step, rng.integers(0, 256, (24 * size, 32 * size), np.uint8), image, image)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for i, name in enumerate(("bilinear", "fade", "carafe")):
        for seed in (0, 1):
            run = write_run(tmp_path, run_config(base_config("matting"), name, seed))
            if (name, seed) != ("carafe", 0):
                add_frames(run, i, STEPS if name != "fade" else (0, *STEPS[2:], 90))
    return tmp_path


def test_the_page_and_the_text_show_the_frames(sweep: Path) -> None:
    page = write_report(load_runs([sweep]), sweep / "report").read_text()
    text = (sweep / "report/report.md").read_text()
    assert page.count(f"<h3>{TITLE}</h3>") == 1
    assert page.count("data:image/webp;base64,") == 2
    assert "<details><summary>The same as an animation</summary><figure>" in page  # nothing moves unasked
    assert f"### {TITLE}" in text
    for name in ("matting_evolution.webp", "matting_evolution_animated.webp"):
        assert f"](features/{name})" in text
        assert (sweep / "report/features" / name).is_file()
    small = write_report(load_runs([sweep]), sweep / "report", max_embedded=100).read_text()
    assert "data:image" not in small
    for name in ("matting_evolution.webp", "matting_evolution_animated.webp"):
        assert f'<img src="features/{name}"' in small


def test_the_steps_that_all_have_of_the_seed_that_most_have(sweep: Path, tmp_path: Path) -> None:
    (group,), _ = group_runs(load_runs([sweep]))
    drawn = draw_evolution(group, tmp_path / "out")
    assert drawn is not None
    assert "seed 1:" in drawn.caption
    assert "No comparable" not in drawn.caption
    assert Image.open(drawn.animation).n_frames == len(STEPS) - 1
    with Image.open(drawn.sheet) as sheet:
        assert sheet.width > (COLUMNS + 1) * SHEET_WIDTH


def test_frames_of_another_image_or_size_are_left_out(sweep: Path, tmp_path: Path) -> None:
    (group,), _ = group_runs(load_runs([sweep]))
    add_frames(group.members["carafe"][1].source, 7, image=255 - IMAGE)
    add_frames(group.members["fade"][1].source, 7, steps=(0, 90), size=2)
    drawn = draw_evolution(group, tmp_path / "out")
    assert drawn is not None
    assert "No comparable frames of carafe, fade" in drawn.caption


def test_runs_without_frames_get_no_section(tmp_path: Path) -> None:
    write_sweep(tmp_path, ["matting"], ["bilinear", "fade"], [0])
    page = write_report(load_runs([tmp_path]), tmp_path / "report").read_text()
    assert TITLE not in page
    assert TITLE not in (tmp_path / "report/report.md").read_text()
    assert not (tmp_path / "report/features").exists()

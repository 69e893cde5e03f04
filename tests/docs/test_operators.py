"""The operators' pages: each registered name has one, and what they say is what code, configs and figures say."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from denseup.upsamplers import list_upsamplers
from denseup.upsamplers.registry import UPSAMPLERS
from docs.operators import tables
from docs.operators.pictures.__main__ import PICTURES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/operators"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
NAMES = list_upsamplers()
SECTIONS = ("## Equation", "## Cost", "## When", "## Where ")
LARGEST, LARGEST_TOGETHER = 60_000, 600_000


def test_every_registered_name_has_a_page() -> None:
    assert sorted(name for names in tables.OVERVIEW.values() for name in names) == NAMES
    assert {page.name for page in PAGES} == set(tables.OVERVIEW)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_its_names_tables_picture_and_sections(page: Path) -> None:
    text, names = page.read_text(), tables.OVERVIEW[page.name]
    for kind in ("names", "cost", "evidence"):
        assert f"<!-- table: {kind} {' '.join(names)} -->" in text, kind
    for name in names:
        assert f"`{name}`" in text
        assert f"denseup.{UPSAMPLERS.find(name)(de_channels=64).__class__.__name__}" in text
    assert all(section in text for section in SECTIONS), page
    assert re.search(r"!\[.+\]\(images/\w+\.png\)", text)
    paper = re.findall(r"arxiv\.org/abs/\d{4}\.\d{5}", text)
    assert paper or page.stem in ("interpolation", "frfu")  # which has no paper


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.stem)
def test_the_script_would_change_nothing(page: Path) -> None:
    assert tables.filled(page.read_text()) == page.read_text()


def test_a_figure_is_that_of_its_file() -> None:
    """Without the script: FADE's gain on CamVid, its time and its parameters."""
    text = (FOLDER / "fade.md").read_text()
    with (ROOT / "docs/results/camvid/segmentation.csv").open(newline="") as lines:
        (row,) = (row for row in csv.DictReader(lines) if row["upsampler"] == "fade")
    assert f"**{float(row['miou_delta_mean']):+.1f} ± {float(row['miou_delta_half_width']):.1f}**" in text
    measured = json.loads((ROOT / "benchmarks/results/2026-11-29_upsamplers_cpu.json").read_text())["rows"]
    of_fade = [row for row in measured if row["entrant"] == "fade" and row["case"].endswith("channels_last")]
    (ratio,) = (row["ratio"] for row in of_fade if row["kind"] == "forward")
    embedding = 2 * 256 * 64 + 64
    assert f"| {embedding + 64 * 25 * 9 + 25 + 257:,} |" in text
    assert f"| {ratio:.3g} |" in text


def options_shown(name: str) -> dict[str, Any]:
    """The table of options as it stands in the page of a name: option → default."""
    (page,) = (page for page in PAGES if name in tables.OVERVIEW[page.name])
    found = re.search(rf"<!-- table: options {name} -->\n(.*?)<!-- end -->", page.read_text(), re.DOTALL)
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (.+?) \|$", found[1], re.MULTILINE) if found else []
    assert all(len(text) > 5 for _, _, text in rows)
    return {option: yaml.safe_load(default) for option, default, _ in rows}


@pytest.mark.parametrize("name", NAMES)
def test_options_are_those_of_the_config(name: str) -> None:
    """Read from the page, not by the script: of a preset, those of its operator but for what its name fixes."""
    config = yaml.safe_load((ROOT / f"conf/upsampler/{name}.yaml").read_text())
    first = next(names[0] for names in tables.OVERVIEW.values() if name in names)
    shown = options_shown(name) or options_shown(first)
    fixed = UPSAMPLERS.preset(name)
    assert {key: value for key, value in config.items() if key != "name"} == {
        key: value for key, value in shown.items() if key not in fixed
    }


def test_costs_are_those_of_every_name() -> None:
    """In both networks. That they are those that are counted now: `tests/test_complexity.py`."""
    with (FOLDER / "costs.csv").open(newline="") as lines:
        kept = [(row["task"], row["upsampler"]) for row in csv.DictReader(lines)]
    assert sorted(kept) == [(task, name) for task in ("matting", "segmentation") for name in NAMES]


def test_pictures_are_small_and_all_are_shown() -> None:
    files = {file.stem: file for file in (FOLDER / "images").iterdir()}
    assert set(files) == set(PICTURES)
    shown = "".join(page.read_text() for page in PAGES)
    assert all(f"(images/{name}.png)" in shown for name in files)
    sizes = [file.stat().st_size for file in files.values()]
    assert max(sizes) < LARGEST
    assert sum(sizes) < LARGEST_TOGETHER


def test_a_picture_is_what_its_script_draws(tmp_path: Path) -> None:
    """That of the plain interpolations, which has no fit that rounding could lead elsewhere; letters are a font's."""
    from docs.operators.pictures.drawing import draw

    draw(PICTURES["interpolation"](), tmp_path / "now.png")
    now, kept = (Image.open(file).convert("L") for file in (tmp_path / "now.png", FOLDER / "images/interpolation.png"))
    assert now.size == kept.size
    below_titles = (0, now.height // 4, now.width, now.height)
    pairs = zip(now.crop(below_titles).tobytes(), kept.crop(below_titles).tobytes(), strict=True)
    far = sum(abs(one - other) > 16 for one, other in pairs)
    assert far < 0.01 * now.width * now.height

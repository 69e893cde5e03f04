"""The page loads nothing, says what it shows to every reader, and sorts and filters by itself."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from reporting.synthetic import base_config, run_config, write_run, write_sweep

from denseup.reporting import Example, load_runs, write_report
from denseup.visualization import ValueMaps

VOID = {"meta", "link", "input", "img", "br"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sweep = write_sweep(tmp_path_factory.mktemp("sweep"), upsamplers=("bilinear", "fade", "fade_lite"), seeds=(0, 1))
    count = {"bilinear": (1000, 1.0), "fade": (9000, 3.0), "fade_lite": (4000, 2.0)}
    return write_report(load_runs([sweep]), sweep / "report", count=lambda run: count[run.upsampler])


@pytest.fixture(scope="module")
def page(report: Path) -> str:
    return report.read_text()


def test_it_loads_nothing(page: str) -> None:
    loaded = re.findall(r'\b(?:src|href|action|data|poster)\s*=\s*"([^"]*)"', page)
    assert all(link.startswith(("data:", "#")) for link in loaded)
    assert not re.search(r"url\((?!#)|@import|<link(?! rel=\"icon\")|<iframe|fetch\(|XMLHttpRequest", page)
    assert not re.search(r"https?://(?!www\.w3\.org/)", page)
    assert len(page) < 5_000_000


def test_every_element_is_closed_and_every_id_is_unique(page: str) -> None:
    open_tags: list[str] = []
    ids: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            ids.extend(value for name, value in attrs if name == "id" and value)
            if tag not in VOID:
                open_tags.append(tag)

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            ids.extend(value for name, value in attrs if name == "id" and value)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Checker().feed(page)
    assert open_tags == []
    assert len(ids) == len(set(ids))


def test_tables_can_be_sorted_and_read_aloud(page: str) -> None:
    heads = re.findall(r"<th\b[^>]*>", page)
    assert all("scope=" in head for head in heads)
    assert "aria-sort" in page
    columns = [int(number) for number in re.findall(r'data-column="(\d+)"', page)]
    assert columns.count(0) == page.count("<table")
    assert len(re.findall(r"<th\b[^>]*data-column[^>]*><button", page)) == len(columns)


def test_the_filter_knows_the_tasks(page: str) -> None:
    assert re.findall(r'name="task" value="([^"]*)"', page) == ["", "matting", "segmentation"]
    assert re.findall(r'<section data-task="([^"]*)"', page) == ["matting", "segmentation", "both"]
    assert "prefers-color-scheme: dark" in page


def test_all_plots_are_drawn(report: Path) -> None:
    names = {file.stem for file in (report.parent / "plots").glob("*.svg")}
    tasks = {f"{task}_{plot}" for task in ("matting", "segmentation") for plot in ("accuracy_cost", "curves")}
    assert names == tasks | {"segmentation_classes", "transfer_matting_segmentation"}
    assert names == {file.stem for file in (report.parent / "plots").glob("*.png")}
    for name in names:
        text = (report.parent / "plots" / f"{name}.svg").read_text()
        ElementTree.fromstring(text)
        assert "currentColor" in text
        assert "#010203" not in text
        assert "$" not in text  # a formula of matplotlib's, which is not set here


def test_files_of_a_report_are_the_same_every_time(report: Path, tmp_path: Path) -> None:
    sweep = report.parent.parent
    again = write_report(load_runs([sweep]), tmp_path)
    for name in ("matting_curves.svg", "segmentation_classes.svg"):
        assert (again.parent / "plots" / name).read_bytes() == (report.parent / "plots" / name).read_bytes()


class Texts(HTMLParser):
    """What a browser would make of a page: its elements, and all texts and values of attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.texts += [value for _, value in attrs if value]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_text_from_runs_is_text_on_the_page(tmp_path: Path) -> None:
    """Names, errors and notes that look like markup come out as they are, and make no elements."""
    hostile = """<script>alert("1")</script> & 'two' </section> {{ 7 * 7 }} {% endraw %}"""
    base = run_config(base_config("matting", "+recipe.note=plain"), "bilinear", 0)
    base["recipe"]["note"] = hostile
    root = tmp_path / "runs <i>"
    write_run(root, base)
    write_run(root, base | {"seed": 1}, status="failed", error=hostile)
    picture = np.zeros((8, 8, 3), np.uint8)
    example = Example(hostile, picture, picture[..., 0], {"bilinear": picture[..., 0]}, ValueMaps("alpha"))
    file = write_report(load_runs([root]), tmp_path, predict=lambda group: ([example], [f"note: {hostile}"]))
    found = Texts(file.read_text())
    assert found.tags.count("script") == 1
    assert "i" not in found.tags
    assert hostile in found.texts  # the error, and the picture's alternative text
    assert f"note: {hostile}" in found.texts
    assert f"recipe.note = {hostile}" in found.texts
    assert str(root) in {text.rpartition("/")[0] for text in found.texts}
    for escaped_twice in ("&amp;amp;", "&amp;lt;", "&amp;quot;"):
        assert escaped_twice not in file.read_text()
    markdown = (tmp_path / "report.md").read_text()
    assert "<script>" not in markdown
    assert markdown.count("&lt;script>") == 3

"""Names, labels and errors from runs are text wherever they are shown, and name no file elsewhere."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import markdown as python_markdown
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from reporting.synthetic import CLASSES, base_config, run_config, write_run

from denseup.escaping import as_it_is, code, for_spreadsheets, slug_of
from denseup.exporting.card import model_card
from denseup.reporting import Example, load_runs, write_report
from denseup.reporting.text import markdown_rows
from denseup.visualization import ValueMaps

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></style></svg></textarea><iframe src=//x>",
    "| a | b |\n|---|---|\n| <b>c</b> |",
    "[click](javascript:alert(1)) ![](http://host/pixel) <http://host> ",
    "`code` **bold** # heading\n\n# heading",
    "=HYPERLINK(\"http://host\")",
    "@SUM(1)",
    "+1+cmd|' /C calc'!A0",
    "{{ 7 * 7 }} {% raw %} {% include 'page.html' %}",
    "$x$ $\\frac{$ $",
    "../../../outside",
    "/outside",
    "&lt;b&gt; &amp; ]]> <!-- --> <![CDATA[",
    "\u202e\u2066 right to left",
    "a" * 300,
    "bell\a \x1b[31mred\x00 \x85 \u2028 \ufffe",
    "\\",
    " ",
]  # fmt: skip


class Page(HTMLParser):
    """Elements of a page and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def runs_of(root: Path, text: str) -> Path:
    """Two upsamplers and a failure, with a text wherever a run has one."""
    for name in ("bilinear", "fade"):
        config = run_config(base_config("segmentation"), name, 0)
        folder = write_run(root, config)
        result = json.loads((folder / "result.json").read_text())
        infos = [
            {"key": key, "name": f"{key} {text}", "higher_is_better": True, "printed_unit": text}
            for key in ("miou", "macc")
        ]
        classes = [{"key": "iou", "name": text, "higher_is_better": True}]
        changed = {
            "task": text,
            "upsampler": name if name == "bilinear" else f"{name} {text}",
            "class_names": [f"{c} {text}" for c in CLASSES],
            "metric_info": {"values": infos, "class_values": classes},
            "versions": {"torch": text, text: "1"},
        }
        (folder / "result.json").write_text(json.dumps(result | changed))
        config["task"]["name"], config["upsampler"]["name"] = text, changed["upsampler"]
        config["recipe"][text or "a"] = text
        config["data"]["root"] = text
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    failed = root / ("x" + re.sub(r"[/\0]", "_", text)[:200])
    failed.mkdir(parents=True)
    (failed / "result.json").write_text(
        json.dumps({"status": "failed", "task": text, "upsampler": text, "error": text})
    )
    return root


def report_of(tmp_path: Path, text: str) -> Path:
    picture = np.zeros((8, 8, 3), np.uint8)
    example = Example(text, picture, picture[..., 0], {"bilinear": picture[..., 0]}, ValueMaps("alpha"))
    runs = load_runs([runs_of(tmp_path / "in" / "runs", text)])
    return write_report(runs, tmp_path / "in" / "report", predict=lambda group: ([example], [text]))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The page of the same runs with a name that is none of these."""
    return Page(report_of(tmp_path_factory.mktemp("plain"), "word").read_text())


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_report_of_hostile_runs(tmp_path, text, plain):
    file = report_of(tmp_path, text)
    folder = file.parent
    found = Page(file.read_text(encoding="utf-8"))
    assert set(found.tags) <= set(plain.tags)
    for tag in ("script", "style", "svg", "section", "table", "title", "img", "a"):
        assert found.tags.count(tag) == plain.tags.count(tag), tag
    for _, name, value in found.attributes:
        assert not name.startswith("on")
        assert name in {known for _, known, _ in plain.attributes}, name
        assert name.startswith("xmlns") or not re.match(r"\s*(javascript:|https?:|//)", value, re.IGNORECASE)
    for drawing in folder.rglob("*.svg"):
        ElementTree.parse(drawing)
    check_markdown((folder / "report.md").read_text(encoding="utf-8"))
    for table in folder.glob("*.csv"):
        check_csv(table)
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert written == {"in"}
    assert not Path("/outside").exists()


def check_markdown(text: str) -> None:
    """What it becomes has no link, picture or element but the report's own."""
    found = Page(python_markdown.markdown(text, extensions=["tables"]))
    plain = {
        "h1",
        "h2",
        "h3",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "img",
        "code",
        "strong",
        "em",
    }
    assert set(found.tags) <= plain, set(found.tags) - plain
    for _, name, value in found.attributes:
        assert name in ("src", "alt", "style"), (name, value)
        assert name != "src" or value.startswith(("plots/", "features/"))
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


def check_csv(file: Path) -> None:
    with file.open(newline="", encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    assert all(len(row) == len(header) for row in rows)
    for cell in (cell for row in [header, *rows] for cell in row):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or is_number(cell), cell


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


TEXTS = st.text(max_size=40) | st.sampled_from(HOSTILE)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text_stays_in_its_cell(texts):
    table = markdown_rows(["a"] * len(texts), [[as_it_is(text) for text in texts]])
    page = Page(python_markdown.markdown(table, extensions=["tables"]))
    assert page.tags.count("td") == page.tags.count("th") == len(texts)
    assert not {"a", "img", "script", "b", "iframe"} & set(page.tags)
    assert len(table.splitlines()) == 3
    quoted = Page(python_markdown.markdown("\n".join(f"- a {code(text)}" for text in texts)))
    assert not {"a", "img", "script"} & set(quoted.tags)
    assert quoted.tags.count("li") == len(texts)


@pytest.mark.parametrize("text", ["Net.__init__() got", "_mine_", "fade (mode=_x_)", "/data/_old_/set", "a_b_c", "_"])
def test_underscores_stay(text):
    assert as_it_is("kernel_size") == "kernel_size"
    assert Page(python_markdown.markdown(as_it_is(text))).text.strip() == text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TEXTS)
def test_any_name_is_the_name_of_one_file(text):
    slug = slug_of(text)
    assert re.fullmatch(r"[\w\-][\w.\-]*", slug)
    assert len(slug.encode()) <= 120
    assert Path("a", slug).parent == Path("a")


def test_names_of_files_stay_as_they_were_and_apart():
    assert slug_of("matting") == "matting"
    assert slug_of("segmentation 2") == "segmentation_2"
    assert slug_of("a/b") != slug_of("a_b") != slug_of("a b!")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TEXTS | st.floats() | st.integers() | st.none())
def test_no_cell_is_a_formula(value):
    found = for_spreadsheets(value)
    if not isinstance(value, str):
        assert found is value
    else:
        assert not found.startswith(("=", "+", "-", "@", "\t", "\r")) or is_number(found)
        assert found.endswith(value)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_the_card_of_weights(text):
    """Its heading has words of its own between the names."""
    facts = {
        **dict.fromkeys(("task", "upsampler", "encoder", "network", "data", "protocol"), text), "parameters": 1,
        "weights": "best", "steps": 1, "seed": 0, "date": text, "config_hash": text, "class_names": [text, text],
        "config": {"upsampler": {"name": text, text: text}, "encoder": {"name": text}}, "checkpoint_sha256": text,
        "metrics": {"sad": 1.0, text: None},
        "metric_info": [{"key": "sad", "name": text, "higher_is_better": None, "unit": text}],
        "inputs": {"image": text}, "outputs": {"alpha": text}, "versions": {"torch": text},
    }  # fmt: skip
    card = model_card(facts, "folder", license=text)
    header, body = card.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(header)["datasets"] == [text]
    page = Page(python_markdown.markdown(body, extensions=["tables", "fenced_code"]))
    assert not {"script", "a", "img", "iframe", "b"} & set(page.tags)
    assert page.tags.count("h1") == 1
    assert page.tags.count("h2") == 4

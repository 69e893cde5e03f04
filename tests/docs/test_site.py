"""The site's navigation and its links; whether it builds, and that it reads nothing from other hosts."""

import importlib.util
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from code_blocks import pages
from processes import GUARD

ROOT = Path(__file__).parents[2]
SITE = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=yaml.BaseLoader)
FETCHED = re.compile(r"""<(?:script|img|iframe)[^>]* src="(?:https?:)?//|<link[^>]* href="(?:https?:)?//""")
NEEDED = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")


def hooks() -> Any:
    """docs/hooks.py."""
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs/hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def navigated(entries: Any = SITE["nav"]) -> list[str]:
    """The pages that mkdocs.yml lists, in order."""
    if isinstance(entries, str):
        return [entries]
    if isinstance(entries, dict):
        return [page for entry in entries.values() for page in navigated(entry)]
    return [page for entry in entries for page in navigated(entry)]


def included() -> dict[str, str]:
    """Files outside docs/ that become pages, as docs/hooks.py says; without importing it."""
    found = re.search(r"^INCLUDED = (\{.*?^\})", (ROOT / "docs/hooks.py").read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return dict(yaml.safe_load(found[1]))


def test_every_page_is_in_the_navigation_once() -> None:
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(navigated()) == sorted([*pages, *included().values()])
    assert all((ROOT / source).is_file() for source in included())


def test_every_public_package_has_a_page_of_its_names() -> None:
    for page in (ROOT / "docs/api").glob("*.md"):
        if page.name != "README.md":
            (name,) = re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE)
            assert f"[{name}]({page.name})" in (page.parent / "README.md").read_text()
            assert find_spec(name) is not None


def test_links_lead_somewhere() -> None:
    """As plain files on a code host."""
    files = [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in included())]
    for file in files:
        text = re.sub(r"^```.*?^```$", "", file.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", text):
            assert (file.parent / target).exists(), f"{file.relative_to(ROOT)}: {target}"


def test_tests_and_benchmarks_that_are_named_exist() -> None:
    for page in pages():
        for path in re.findall(r"`((?:tests|benchmarks)/[\w./-]+?)/?`", page.read_text()):
            assert (ROOT / path).exists(), f"{page.relative_to(ROOT)}: {path}"


@pytest.mark.parametrize(
    ("link", "source", "uri", "expected"),
    [
        ("[a](../CONTRIBUTING.md#add-a-task)", "docs/data.md", "data.md", "[a](contributing.md#add-a-task)"),
        ("[a](../../benchmarks/measured.md)", "docs/operators/fade.md", "operators/fade.md", "[a](../measured.md)"),
        ("[a](../data.md)", "docs/results/README.md", "results/README.md", "[a](../data.md)"),
        ("[b](results)", "benchmarks/measured.md", "measured.md", "b (`benchmarks/results`)"),
        ("[README.md](README.md)", "benchmarks/measured.md", "measured.md", "`benchmarks/README.md`"),
        ("[d](docs/comparing.md)", "CHANGELOG.md", "changelog.md", "[d](comparing.md)"),
        ("[e](https://example.org/x)", "docs/data.md", "data.md", "[e](https://example.org/x)"),
        ("[f](#below)", "docs/data.md", "data.md", "[f](#below)"),
        (r"| `a\|b` |", "docs/data.md", "data.md", "| `a|b` |"),
        ("```\n[g](../conf)\n```", "docs/data.md", "data.md", "```\n[g](../conf)\n```"),
    ],
)
def test_links_that_leave_the_site_are_rewritten(link: str, source: str, uri: str, expected: str) -> None:
    assert hooks().rewritten(link, source, uri, None) == expected


def test_with_an_address_they_lead_to_the_repository() -> None:
    found = hooks().rewritten("[conf](../conf)", "docs/data.md", "data.md", "https://example.org/denseup/")
    assert found == "[conf](https://example.org/denseup/blob/HEAD/conf)"


def test_a_link_to_nothing_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    hooks().rewritten("[a](../nothing.md)", "docs/data.md", "data.md", None)
    assert "nothing.md" in caplog.text


@pytest.mark.skipif(any(find_spec(name) is None for name in NEEDED), reason="pip install 'denseup[docs]'")
def test_it_builds_without_a_warning_and_reads_from_no_other_host(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=GUARD, check=False)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(navigated())
    for page in pages:
        assert not FETCHED.findall(page.read_text()), page

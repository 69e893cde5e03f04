"""What the site has beyond docs/: files of the repository as pages, and links that leave docs/ (MkDocs hooks).

Pages are written to be read on a code host, where `../CONTRIBUTING.md` is a link like any other. On the site such a
link leads to the page made of that file, or to the repository if mkdocs.yml has its address (`repo_url`), or is shown
as a path.
"""

import logging
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
INCLUDED = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/measured.md": "measured.md",
}
"""Files of the repository → the pages that they become."""

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]*)\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"`[^`\n]+`")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
log = logging.getLogger("mkdocs.hooks.links")


def on_files(files: "Files", config: Any) -> "Files":
    """Add the pages made of files outside docs/."""
    from mkdocs.structure.files import File

    for source, page in INCLUDED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: "Page", config: Any, files: "Files") -> str:
    """What a page has to say otherwise on the site: its links, and upright strokes in the code of a table."""
    pages = {included: source for source, included in INCLUDED.items()}
    uri = page.file.src_uri
    source = pages.get(uri, f"docs/{uri}")
    return rewritten(markdown, source, uri, config.get("repo_url"))


def rewritten(markdown: str, source: str, uri: str, repository: str | None) -> str:
    """Markdown as the site needs it; what stands in fences is left alone.

    Args:
        markdown: the text.
        source: where it stands in the repository.
        uri: where the page stands on the site.
        repository: address of the repository, if it has one.
    """

    def replaced(link: re.Match[str]) -> str:
        return _link(link["text"], link["target"], source, uri, repository) or link[0]

    kept = FENCE.findall(markdown)
    parts = [LINK.sub(replaced, CODE.sub(_unescaped, part)) for part in FENCE.split(markdown)]
    return "".join(part + fence for part, fence in zip(parts, [*kept, ""], strict=True))


def _unescaped(code: re.Match[str]) -> str:
    r"""A code host wants `\|` for a stroke in a table's code; MkDocs shows the backslash."""
    return code[0].replace(r"\|", "|")


def _link(text: str, target: str, source: str, uri: str, repository: str | None) -> str | None:
    """The link on the site; None for one that is right as it stands."""
    path, mark, anchor = target.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return None
    place = os.path.normpath(PurePosixPath(source).parent / path)
    page = INCLUDED.get(place) or (place.removeprefix("docs/") if place.startswith("docs/") else None)
    if page is not None:
        return f"[{text}]({os.path.relpath(page, PurePosixPath(uri).parent)}{mark}{anchor})"
    if not (ROOT / place).exists():
        log.warning("%s links %s, which is not there", source, target)
    if repository:
        return f"[{text}]({repository.rstrip('/')}/blob/HEAD/{place}{mark}{anchor})"
    shown = f"`{place}`"
    return shown if place.endswith(text.strip("`/")) else f"{text} ({shown})"

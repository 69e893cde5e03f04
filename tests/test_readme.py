"""The README's Python runs as printed; its bash blocks are run by .ci/run, other libraries' by .ci/integrations."""

import json
import re
from pathlib import Path

import pytest
import yaml

from benchmarks import upsamplers
from benchmarks.cases import Row
from denseup.profiling import Timing
from denseup.upsamplers import list_upsamplers, registry

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
INTEGRATIONS = "import denseup.integrations"
"""In a block that tests/integrations/test_pages.py runs."""
PYTHON = [code for code in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if INTEGRATIONS not in code]


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.UPSAMPLERS, "factories", dict(registry.UPSAMPLERS.factories))
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    if "y" in names:
        assert list(names["y"].shape) == [1, 64, 133, 141]


def test_every_bash_block_is_run_by_ci() -> None:
    marked = re.findall(r"<!-- ci: (\w+) -->\n```bash\n", TEXT)
    assert TEXT.count("```bash") == len(marked)
    script, other = ((ROOT / ".ci" / name).read_text() for name in ("run", "integrations"))
    assert "commands() { python .ci/readme_commands.py" in script
    run = {name for name in marked if f"commands {name}" in script}
    assert set(marked) - run == {"doors"}  # of libraries that do not import beside the torch of constraints.txt
    assert "readme_commands.py doors" in other


def test_yaml_is_valid() -> None:
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        assert yaml.safe_load(block)["name"]


def test_files_it_links_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_the_table_of_operators_is_that_of_its_results() -> None:
    text = (ROOT / "benchmarks/measured.md").read_text()
    pattern = r"`benchmarks/results/(\S+_upsamplers_cpu\S*\.json)`.*?\n\n(\| upsampler .*?)\n\n"
    ((name, shown),) = re.findall(pattern, text, re.DOTALL)
    result = json.loads((ROOT / "benchmarks/results" / name).read_text())
    rows = [
        Row(row["case"], row["kind"], row["entrant"], timing=Timing(tuple(row["seconds"])), ratio=row["ratio"])
        for row in result["rows"]
    ]
    assert shown == upsamplers.table(rows).strip()
    assert {row.entrant for row in rows} == set(list_upsamplers())
    assert f"{result['settings']['rounds']} rounds" in text

"""No source file loads what could run."""

import ast
import re
from pathlib import Path

import pytest

import denseup

SOURCES = Path(denseup.__file__).parent
DANGEROUS = {
    "a pickle": r"\bc?[pP]ickle\b|\bdill\b|\bshelve\b|\bmarshal\b|\bjoblib\b",
    "code from text": r"(?<![\w.])(eval|exec|compile|__import__)$",
    "a shell": r"^os\.(system|popen)$|^commands\.",
}


def dotted(node):
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""


def offences(path):
    """What a file calls that could run what it reads."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
            if names == ["UnpicklingError", "pickle"]:  # what torch raises
                continue
            yield from (f"imports {name}" for name in names if re.search(DANGEROUS["a pickle"], name))
        if not isinstance(node, ast.Call):
            continue
        name, said = dotted(node.func), {k.arg: k.value for k in node.keywords}
        values = {key: getattr(value, "value", None) for key, value in said.items()}
        loads = name.endswith((".load_state_dict_from_url", ".fit")) or name == "torch.load"
        if loads and values.get("weights_only") is not True:
            yield f"{name} without weights_only=True"
        if name.endswith("_from_url") and values.get("check_hash") is not True:
            yield f"{name} without check_hash=True"
        if name in ("np.load", "numpy.load") and values.get("allow_pickle") is not False:
            yield f"{name} without allow_pickle=False"
        if name.startswith("yaml.") and name not in ("yaml.safe_load", "yaml.safe_dump"):
            yield name
        if values.get("shell"):
            yield f"{name} with a shell"
        yield from (f"{name}: {what}" for what, pattern in DANGEROUS.items() if re.search(pattern, name))
        if "trust_remote_code" in values and values["trust_remote_code"] is not False:
            yield f"{name} with trust_remote_code"


def test_no_source_loads_what_could_run():
    files = [*SOURCES.rglob("*.py"), *SOURCES.parent.glob("*.py")]
    assert len(files) > 200
    found = {f"{file.relative_to(SOURCES.parent)}: {what}" for file in files for what in offences(file)}
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(a)",
        "torch.load(a, weights_only=False)",
        "np.load(a)",
        "np.load(a, allow_pickle=True)",
        "yaml.load(a)",
        "yaml.unsafe_load(a)",
        "eval(a)",
        "exec(a)",
        "os.system(a)",
        "subprocess.run(a, shell=True)",
        "AutoModel.from_pretrained(a, trust_remote_code=True)",
        "torch.hub.load_state_dict_from_url(a, weights_only=True)",
        "torch.hub.load_state_dict_from_url(a, check_hash=True)",
    ],
)
def test_the_walk_would_find_it(tmp_path, line):
    (tmp_path / "a.py").write_text(line)
    assert list(offences(tmp_path / "a.py"))

"""Who may import whom: `import denseup` costs torch and nothing else; layers point down, never back."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import denseup

ROOT = Path(denseup.__file__).parent
HEAVY = (
    "pytorch_lightning",
    "hydra",
    "omegaconf",
    "wandb",
    "cv2",
    "mmcv",
    "mmengine",
    "ultralytics",
    "transformers",
    "torchmetrics",
    "numpy",
    "rich",
    "matplotlib",
    "yaml",
    "scipy",
)
LAYERS = {
    "native": set(),
    "registry": set(),
    "ops": {"native"},
    "upsamplers": {"ops", "registry"},
    "weights": set(),
    "networks": {"ops", "upsamplers", "registry", "weights"},
    "checkpoints": {"ops", "upsamplers", "networks", "registry", "weights"},
    "integrations": {"ops", "upsamplers", "networks", "registry"},
    "environment": set(),
    "faults": set(),
    "writing": {"faults"},
    "locking": {"writing"},
    "escaping": set(),
    "profiling": {"ops", "upsamplers", "networks"},
    "losses": {"ops"},
    "metrics": {"native"},
    "visualization": {"writing"},
    "data": {"faults", "locking", "writing"},
    "results": {"escaping", "visualization"},
    "tasks": {"registry", "losses", "metrics", "networks", "results", "visualization"},
    "statistics": set(),
    "reporting": {
        "engine",
        "escaping",
        "evaluation",
        "locking",
        "metrics",
        "profiling",
        "statistics",
        "tasks",
        "visualization",
        "writing",
    },
    "evaluation": {"data", "metrics", "prediction", "tasks", "visualization"},
    "prediction": {"data", "networks", "profiling", "results", "tasks", "writing"},
    "engine": {
        "tasks",
        "data",
        "evaluation",
        "visualization",
        "metrics",
        "environment",
        "upsamplers",
        "networks",
        "faults",
        "locking",
        "writing",
    },
    "runs": {"engine", "tasks", "data", "networks", "upsamplers"},
    "exporting": {"engine", "escaping", "tasks", "ops", "metrics", "profiling", "writing"},
    "scoring": {"engine", "metrics", "data"},
    "demo": {"data", "prediction", "results", "tasks"},
    "cli": {
        "checkpoints",
        "weights",
        "escaping",
        "faults",
        "locking",
        "writing",
        "demo",
        "runs",
        "exporting",
        "scoring",
        "engine",
        "evaluation",
        "prediction",
        "reporting",
        "results",
        "tasks",
        "data",
        "profiling",
        "networks",
        "upsamplers",
        "ops",
        "environment",
        "visualization",
    },
}
ALLOWED_IN = {
    "pytorch_lightning": {"tasks", "engine", "data/datamodules/base.py", "runs", "cli"},
    "hydra": {"cli"},
    "omegaconf": {"cli"},
    "wandb": {"engine/loggers/wandb_run.py", "engine/loggers/wandb_reader.py", "engine/loggers/wandb_dashboard.py"},
    "wandb_workspaces": {"engine/loggers/wandb_dashboard.py"},
    "gradio": {"demo/page.py"},
    "mmcv": {"integrations"},
    "mmengine": {"integrations"},
    "ultralytics": {"integrations"},
}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_layers_and_owners(path: Path) -> None:
    relative = path.relative_to(ROOT)
    layer = relative.parts[0].removesuffix(".py")
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "denseup" and layer in LAYERS and rest:
            assert rest.split(".")[0] in LAYERS[layer] | {layer}, f"{relative} imports {name}"
        if package in ALLOWED_IN:
            owners = ALLOWED_IN[package]
            assert layer in owners or str(relative) in owners, f"{relative} imports {name}"


def test_every_package_has_its_place() -> None:
    packages = {p.name for p in ROOT.iterdir() if (p / "__init__.py").exists()} | {
        "losses",
        "environment",
        "registry",
        "faults",
        "writing",
        "locking",
        "escaping",
    }
    assert packages == set(LAYERS)


def test_importing_denseup_needs_torch_alone() -> None:
    block = f"import sys\nfor name in {HEAVY!r}: sys.modules[name] = None\n"
    code = (
        f"{block}import denseup, torch\nprint(denseup.FADE(8)(torch.randn(1, 8, 3, 3), torch.randn(1, 8, 6, 6)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    assert "[1, 8, 6, 6]" in done.stdout


def test_integrations_are_imported_on_demand_only() -> None:
    """And their package by itself brings nothing, not even torch."""
    code = (
        "import sys, denseup.integrations\nassert 'torch' not in sys.modules\nimport denseup\ndenseup.FADE\n"
        "print([name for name in sys.modules if name.startswith('denseup.integrations.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent)
    assert done.stdout == "[]\n", done.stderr


def test_a_second_name_for_denseup_is_refused() -> None:
    code = "import src.denseup"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent.parent)
    assert done.returncode != 0
    assert "import this package as 'denseup'" in done.stderr


def test_the_clones_src_wins_over_an_installed_one(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "__init__.py").write_text("raise ImportError('the wrong src')")
    done = subprocess.run(
        [sys.executable, "-m", "src.train", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT.parent.parent,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert "upsampler: a2u" in done.stdout

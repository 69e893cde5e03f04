"""README, "A new one": the file and the yaml that it shows are all that a new operator takes.

They are put into a copy of the sources, where training in both tasks, the cost table and the contract tests then find
the operator by themselves. Beside it lie one that needs the image and one that changes the encoder feature.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
NAME = "bilinear_plus"
SAMPLES = {"joint_bilateral": "JointBilateral", "refining": "Refining"}
"""Registered name → class in tests/upsamplers/sample_operators.py."""


def block(language: str) -> str:
    (found,) = (code for code in re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL) if NAME in code)
    return str(found)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    for part in ("src", "conf", "tests/upsamplers"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "src" / "denseup" / "upsamplers" / f"{NAME}.py").write_text(block("python"))
    (folder / "conf" / "upsampler" / f"{NAME}.yaml").write_text(block("yaml"))
    samples = (ROOT / "tests" / "upsamplers" / "sample_operators.py").read_text()
    for name, kind in SAMPLES.items():
        known = f"from denseup.upsamplers.registry import register_upsampler\nregister_upsampler({name!r})({kind})\n"
        (folder / "src" / "denseup" / "upsamplers" / f"{name}.py").write_text(samples + known)
    return folder


def run(clone: Path, *arguments: str, path: str = "src") -> str:
    environment = os.environ | {"PYTHONPATH": str(clone / path)}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, cwd=clone, env=environment
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_it_takes_about_twenty_lines() -> None:
    assert len(block("python").splitlines()) <= 22


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_it_trains(clone: Path, task: str) -> None:
    short = ["trainer=short", "trainer.max_steps=2", "trainer.limit_val_batches=1", "data.crop_size=64"]
    options = [f"upsampler={NAME}", "upsampler.kernel_size=3", "logger=none", f"hydra.run.dir=runs/{task}"]
    run(clone, "src.train", f"task={task}", *options, *short)
    result = json.loads((clone / "runs" / task / "result.json").read_text())
    assert (result["status"], result["upsampler"]) == ("finished", NAME)


def test_a_launchers_processes_import_the_clone_that_sweeps(clone: Path) -> None:
    """And not another denseup that is installed, such as the one of these tests, which has no such operator."""
    short = ["trainer=short", "trainer.max_steps=1", "trainer.limit_val_batches=1", "data.crop_size=64", "logger=none"]
    sweep = ["-m", "launcher=joblib", "sweep.report=false", "hydra.sweep.dir=runs/swept", f"upsampler={NAME}"]
    run(clone, "src.train", *sweep, *short, path="nowhere")
    (result,) = (clone / "runs" / "swept").glob("*/result.json")
    assert json.loads(result.read_text())["upsampler"] == NAME


def test_the_cost_table_has_it(clone: Path) -> None:
    text = run(clone, "src.complexity", "task=matting", f"upsampler={NAME}", "latency.repeats=0")
    assert f"│ {NAME}" in text


def test_the_contract_tests_find_it(clone: Path) -> None:
    names, files = " or ".join([NAME, *SAMPLES]), ("test_contract.py", "test_configs.py")
    text = run(clone, "pytest", *(f"tests/upsamplers/{file}" for file in files), "-n0", "-k", names)
    passed = re.search(r"(\d+) passed", text)
    assert passed is not None
    assert int(passed[1]) >= 30 * (1 + len(SAMPLES))
    assert "failed" not in text
    assert "skipped" not in text

"""A wrong command is answered without torch, and quick imports leave no trace in what comes after them."""

from processes import python

BLOCKED = ("torch", "pytorch_lightning", "torchmetrics", "transformers", "numpy", "cv2", "wandb", "matplotlib", "scipy")


def test_help_needs_nothing_heavy() -> None:
    code = f"""
import runpy, sys
for name in {BLOCKED!r}:
    sys.modules[name] = None
import denseup.cli.complexity, src.dashboard, src.evaluate, src.report
sys.argv = ["train", "--help"]
runpy.run_module("src.train", run_name="__main__")
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert "upsampler: a2u" in done.stdout


def test_quick_imports_leave_no_trace() -> None:
    code = """
import gc, sys
from denseup.cli.importing import UNUSED, quick_imports
with quick_imports():
    import pytorch_lightning
loaded = [name for name in UNUSED if name in sys.modules]
assert not loaded, loaded
assert gc.isenabled()
import matplotlib.pyplot, scipy.signal, transformers
from lightning_utilities.core.imports import RequirementCache, package_available
assert all(RequirementCache(name) and package_available(name) for name in UNUSED)
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr

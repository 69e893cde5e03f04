"""What an installed wheel has: run by `.ci/wheel` in an environment with nothing but it and torch."""

import importlib.util
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import torch

import denseup
from denseup import ops

HERE = Path(__file__).parent
PARTS = ("py.typed", "data/demo/manifest.csv", "conf/upsampler/fade.yaml", "reporting/page/page.html")


def main() -> None:
    """Stop at the first thing that is not as it should be."""
    package = Path(str(files("denseup")))
    assert not package.is_relative_to(HERE.parent / "src"), package
    assert HERE in package.parents, f"denseup is imported from {package}, not from the environment"
    for part in PARTS:
        assert (package / part).is_file(), f"the wheel lacks {part}"
    for name in ("src", "tests", "benchmarks", "conf", "docs"):
        assert importlib.util.find_spec(name) is None, f"the wheel brings a package {name}"
    for name in ("hydra", "pytorch_lightning", "numpy"):
        assert importlib.util.find_spec(name) is None, f"the environment is not empty: {name}"
    assert "cpu" in ops.available_backends(), f"no compiled kernels: {ops.available_backends()}"
    import_module("denseup.integrations.torch")
    y = denseup.FADE(64, 32)(torch.randn(1, 64, 67, 71), torch.randn(1, 32, 133, 141))
    assert y.shape == (1, 64, 133, 141)
    print(f"denseup {denseup.__version__} with torch {torch.__version__} alone: back ends {ops.available_backends()}")


if __name__ == "__main__":
    main()

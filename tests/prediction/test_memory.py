"""The bound holds for the process, with reading and writing: as the system counts it."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from configuring import configure
from processes import python

from denseup.cli import train
from denseup.engine import RunFolder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
MEASURED = "import resource, sys; from denseup.cli.predict import main; code = main(sys.argv[1:]); "
MEASURED += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024); sys.exit(code)"


def photograph(folder: Path, side: int) -> list[str]:
    """A picture with a ring of unknown pixels, and the words that name both."""
    coarse = np.random.default_rng(0).integers(0, 256, (side // 16, side // 16, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "a.jpg"), cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
    across = np.linspace(-1, 1, side, dtype=np.float32)
    radius = np.hypot(across[:, None], across)
    cv2.imwrite(str(folder / "a.png"), np.select([radius < 0.55, radius < 0.7], [255, 128], 0).astype(np.uint8))
    return [f"input={folder}/a.jpg", f"trimap={folder}/a.png", f"output={folder}/out"]


def peak(tmp_path: Path, side: int, memory: str, *words: str) -> float:
    """Gibibytes that the command took at most, with the README's quick matting network."""
    cfg = configure("task=matting", "upsampler=fade", "trainer=short", "trainer.max_steps=2", "logger=none")
    train.run(cfg, RunFolder(tmp_path / "run"))
    done = python(*("-c", MEASURED, f"ckpt={tmp_path}/run", f"memory={memory}", *photograph(tmp_path, side), *words))
    assert done.returncode == 0, done.stderr
    alpha = cv2.imread(str(tmp_path / "out/a_alpha.png"), cv2.IMREAD_UNCHANGED)
    assert alpha.shape == (side, side)
    assert (alpha[side // 2, side // 2], alpha[0, 0]) == (255, 0)
    return int(done.stdout.split()[-1]) / 2**30


@pytest.mark.slow
def test_a_small_bound(tmp_path: Path) -> None:
    """2048 × 2048 takes 4 GiB as a whole."""
    assert peak(tmp_path, 2048, "2GiB", "files=[alpha]") < 2


@pytest.mark.slow
def test_8192_pixels_square_in_4_gib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processes.GUARD", 7200)  # minutes on idle cores, far more on busy ones
    pytest.importorskip("pymatting", reason="needs the extra: pip install 'denseup[predict]'")
    assert peak(tmp_path, 8192, "4GiB") < 4

"""What a prediction is made into: colours of the foreground, pictures, legends."""

import csv
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import python

from denseup.results import LabelMap, Matte, foreground
from denseup.results.value_map import ValueMap
from denseup.visualization.palette import palette

SIDE = 96


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A green disc with a soft edge on red noise: image, alpha, and the foreground's true colour."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    alpha = np.clip((30 - np.hypot(rows - 48, columns - 48)) / 16 + 0.5, 0, 1).astype(np.float32)
    colour = np.array([0.1, 0.8, 0.2], np.float32)
    behind = np.random.default_rng(0).uniform(0.6, 0.9, (SIDE, SIDE, 1)) * np.array([1, 0.1, 0.1])
    image = alpha[..., None] * colour + (1 - alpha[..., None]) * behind
    return np.rint(image * 255).astype(np.uint8), alpha, colour


def test_the_foreground_has_its_own_colours() -> None:
    pytest.importorskip("pymatting", reason="needs the extra: pip install 'denseup[predict]'")
    image, alpha, colour = scene()
    cut = Matte(image, alpha, np.zeros(alpha.shape, np.uint8)).cut_out()
    assert cut.shape == (SIDE, SIDE, 4)
    assert np.array_equal(cut[..., 3], np.rint(alpha * np.float32(255)))
    assert np.array_equal(cut[alpha == 1][:, :3], image[alpha == 1])
    edge = (alpha > 0.2) & (alpha < 0.95)
    wrong = np.abs(cut[edge][:, :3] / 255 - colour).mean()
    assert wrong < 0.05 < 0.15 < np.abs(image[edge] / 255 - colour).mean()


def test_parts_differ_from_the_whole_by_a_few_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8 bits, where anything is seen of it. So small they know less of the whole than real ones."""
    pytest.importorskip("pymatting", reason="needs the extra: pip install 'denseup[predict]'")
    image, alpha, _ = scene()
    whole = foreground.estimate_foreground(image, alpha)
    monkeypatch.setattr(foreground, "SIDE", 64)
    monkeypatch.setattr(foreground, "OVERLAP", 32)
    assert len(list(foreground._spans(SIDE))) == 2
    parts = foreground.estimate_foreground(image, alpha)
    assert (np.abs(parts - whole) * alpha[..., None]).max() < 8 / 255


@pytest.mark.parametrize("length", [1, 31, 64, 65, 96, 97, 1000])
def test_weights_of_parts_add_up(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreground, "SIDE", 64)
    monkeypatch.setattr(foreground, "OVERLAP", 16)
    total = np.zeros(length)
    for start, weights in foreground._spans(length):
        assert len(weights) <= 64
        total[start : start + len(weights)] += weights
    assert np.abs(total - 1).max() < 1e-6


THREADS = """
import numpy as np, torch
from denseup.results import foreground
torch.set_num_threads(1)
assert torch.get_num_threads() == 1  # from now on this thread has its number
image = np.random.default_rng(0).random((40, 50, 3), np.float32)
foreground.estimate_foreground(image, image[..., 0])
import numba
assert numba.get_num_threads() == 2  # so that there was something to keep apart
print(torch.get_num_threads())
"""


def test_torch_keeps_its_number_of_threads() -> None:
    """Numba starts its own where it is told to, or was imported before."""
    pytest.importorskip("pymatting")
    done = python("-c", THREADS, env=os.environ | {"NUMBA_NUM_THREADS": "2"})
    assert done.stdout == "1\n", done.stderr


def test_what_is_opaque_needs_no_estimate() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    matte = Matte(image, np.ones((5, 7), np.float32), np.full((5, 7), 255, np.uint8))
    assert np.array_equal(matte.over((0, 0, 0)), image)
    assert np.array_equal(matte.cut_out()[..., :3], image)
    with pytest.raises(ValueError, match=r"background is .* \[3, 3, 3\], expected an RGB colour"):
        matte.over(np.zeros((3, 3, 3), np.uint8))


def test_pymatting_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymatting", None)
    matte = Matte(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32), np.zeros((2, 2), np.uint8))
    with pytest.raises(ImportError, match=r"need pymatting: pip install 'denseup\[predict\]'"):
        matte.cut_out()


def test_a_label_map_shows_its_classes(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (300, 9)).astype(np.uint8)
    image = np.full((300, 9, 3), 100, np.uint8)
    shown = LabelMap(image, labels, ('a "b"', "c", "d, e"))
    colours = palette(3)
    assert np.array_equal(shown.overlay(), np.rint(0.5 * colours[labels] + 50).astype(np.uint8))
    picture = shown.picture("labels")
    assert picture.mode == "P"
    assert np.array_equal(np.asarray(picture), labels)
    assert np.array_equal(np.asarray(picture.convert("RGB")), colours[labels])
    assert {tuple(c) for c in colours.tolist()} <= {tuple(c) for c in shown.legend().reshape(-1, 3).tolist()}
    (tmp_path / "classes.csv").write_text(str(shown.once()["classes.csv"]))
    with (tmp_path / "classes.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == ['a "b"', "c", "d, e"]
    assert rows[0]["colour"] == "#0072b2"


def results() -> list[Matte | LabelMap | ValueMap]:
    image = np.zeros((2, 3, 3), np.uint8)
    alpha = np.full((2, 3), 0.5, np.float32)
    known = np.full((2, 3), 128, np.uint8)
    return [Matte(image, alpha, known), LabelMap(image, known % 2, ["a", "b"]), ValueMap(image, known, "v")]


@pytest.mark.parametrize("result", results(), ids=lambda result: type(result).__name__)
def test_pictures_that_there_are_not(result: Matte | LabelMap | ValueMap) -> None:
    for kind in ("", "ALPHA", "values ", None, 3):
        with pytest.raises(ValueError, match=r"kind is .*, valid: \w+"):
            result.picture(kind)  # type: ignore[arg-type]
    for bits in (0, 7, 32, "8", None):
        with pytest.raises(ValueError, match=r"bits is .*, valid: 8, 16"):
            result.picture(result.kinds[0], bits)  # type: ignore[arg-type]


NO_GROUNDS = [
    *((0, 0), (0, 0, 300), (0, 0, -1), (0, 0, float("nan")), (0, 0, float("inf")), "red", ("r", "g", "b"), None, 3),
    *(np.zeros((2, 3, 3)), np.zeros((2, 3, 3), np.float32), np.zeros((3, 2, 3), np.uint8), np.zeros((2, 3), np.uint8)),
]


@pytest.mark.parametrize("background", NO_GROUNDS, ids=range(len(NO_GROUNDS)))
def test_grounds_that_are_none(background: Any) -> None:
    """A float image in [0, 1] would come out as black."""
    with pytest.raises(ValueError, match="background is"):
        results()[0].over(background)  # type: ignore[union-attr]


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_opacity_that_is_none(opacity: float) -> None:
    with pytest.raises(ValueError, match="opacity is"):
        results()[1].overlay(opacity)  # type: ignore[union-attr]


def test_class_names_are_no_formulas() -> None:
    table = LabelMap(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), ["=1+1", "-2"]).once()["classes.csv"]
    assert [row[1] for row in csv.reader(str(table).splitlines())] == ["name", "'=1+1", "-2"]

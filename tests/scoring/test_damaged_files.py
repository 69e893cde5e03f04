"""Damaged predictions: scored as they are read, or listed by name, and then nothing is scored."""

import warnings

import numpy as np
import pytest
from data.odd_files import damaged, sound_files
from data.sample_folders import write
from PIL import Image

from denseup.data import DataError
from denseup.scoring import score, scorer_of

SUFFIXES = {"prediction": "", "truth": ""}


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_each_is_scored_or_named(tmp_path, task, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)
    options = {"num_classes": 255} if task == "segmentation" else {}
    folders = {"prediction": tmp_path / "predictions", "truth": tmp_path / "truth"}
    write(tmp_path / "truth" / "a.png", np.arange(144, dtype=np.uint8).reshape(12, 12))
    (tmp_path / "predictions").mkdir()
    scored = 0
    for data in [*(damaged(seed)[1] for seed in range(60)), sound_files()["png grey"]]:
        file = tmp_path / "predictions" / "a.png"
        file.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = score(scorer_of(task, options), folders, SUFFIXES)
            except DataError as error:
                if f"1 of 1 can't be scored:\n  {file}: " not in str(error):
                    raise
            else:
                scored += 1
                assert len(found.rows) == 1
                assert all(np.isfinite(value) for value in found.totals.values() if task == "matting")
    assert scored

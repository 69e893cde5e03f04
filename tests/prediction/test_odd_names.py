"""Pictures with names of any kind: predicted, or named among those that failed, and the others go on."""

import os
import re
import sys
from pathlib import Path

import pytest
from data.sample_folders import noise, save
from PIL import Image

from denseup.cli import predict

RUN = Path(__file__).parents[1] / "reference" / "former_runs" / "segmentation_fade"
NAMES = [
    "new\nline",
    "tab\t",
    "\x1b[31mred",
    "=1+1",
    "-rf",
    "a'b\"c",
    "[bold]x",
    "%s{0}$HOME",
    "ünï",
    "日本",
    "a=b",
]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse some of these names themselves")
def test_every_name_is_predicted(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    names = [*NAMES, os.fsdecode(b"latin-\xe9"), "a" * 200]
    for name in names:
        save(tmp_path / "in" / f"{name}.png", Image.fromarray(noise(0, 9, 11)))
    save(tmp_path / "in" / "[" / "x].png", Image.fromarray(noise(0, 9, 11)))  # its name would end a colour
    save(tmp_path / "in" / f"{'b' * 251}.png", Image.fromarray(noise(0, 9, 11)))  # no room for what is put behind it
    (tmp_path / "in" / "broken\n.png").write_bytes(b"none")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    words = [
        f"ckpt='{RUN / 'checkpoints/best.ckpt'}'",
        f"input='{tmp_path}/in'",
        f"output='{tmp_path}/out'",
        "files=[labels]",
    ]
    assert predict.main(words) == 1
    written = {file.name for file in (tmp_path / "out").iterdir() if file.suffix == ".png"}
    assert written == {f"{name}_labels.png" for name in names} | {"legend.png"}
    told = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", capsys.readouterr().err.replace("\r", ""))
    assert f"{len(names) + 1} of {len(names) + 4} predicted" in told
    assert all(line.isprintable() for line in told.splitlines())
    for failed in ("b" * 251, "not a readable image", "found a named pipe"):
        assert failed in told

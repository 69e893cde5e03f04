"""Composites of Composition-1k: the values of the release's arithmetic, whole files only, the same by any process."""

import math
import shutil

import numpy as np
import pytest
from data.published_layouts import HEIGHT, MATTE, WIDTH, composition1k
from data.sample_folders import noise, write
from PIL import Image
from processes import python_module

from denseup.cli import build_composition1k
from denseup.cli.config import plain
from denseup.data import read_image
from denseup.data.transforms.compositing import merge_as_released

NAMES = [f"{name}_{index}.png" for name in ("16452523375_08591714cf_o", "boy-1518482_1920") for index in range(2)]


def run(root, *words):
    said = [f"root='{root}'", f"backgrounds='{root}/JPEGImages'", "num_workers=0"]
    return build_composition1k.run(plain(build_composition1k.parse([*said, *words])))


@pytest.fixture
def release(tmp_path):
    composition1k(tmp_path)
    return tmp_path


def merged(root):
    return root / "Test_set" / "merged"


def pixel_by_pixel(foreground, alpha, background):
    """As the release describes it: one pixel after another, in Python's numbers, cut to whole ones."""
    height, width = alpha.shape
    picture = Image.fromarray(background)
    ratio = max(width / picture.width, height / picture.height)
    if ratio > 1:
        picture = picture.resize((math.ceil(picture.width * ratio), math.ceil(picture.height * ratio)), Image.BICUBIC)
    out = np.zeros_like(foreground)
    for y in range(height):
        for x in range(width):
            a = int(alpha[y, x]) / 255
            behind = picture.getpixel((x, y))
            out[y, x] = [int(a * int(foreground[y, x, c]) + (1 - a) * behind[c]) for c in range(3)]
    return out


@pytest.mark.parametrize("size", [(40, 40), (14, 20), (24, 32), (23, 32), (24, 31), (1, 1), (3, 200)])
def test_every_pixel_is_that_of_the_release(size):
    foreground, background = noise(0, HEIGHT, WIDTH), noise(1, *size)
    alpha = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    alpha[:4], alpha[-4:] = 0, 255
    expected = pixel_by_pixel(foreground, alpha, background)
    assert np.array_equal(merge_as_released(foreground, alpha, background), expected)


def test_images_of_many_rows():
    foreground, background = noise(0, 600, 8), noise(1, 700, 9)
    alpha = np.random.default_rng(2).integers(0, 256, (600, 8), np.uint8)
    merged = merge_as_released(foreground, alpha, background)
    assert np.array_equal(merged, pixel_by_pixel(foreground, alpha, background))


def test_backgrounds_are_those_of_the_lists(release, capsys):
    assert run(release) == 0
    assert sorted(path.name for path in merged(release).iterdir()) == sorted(NAMES)
    assert "4 composites: 4 built, 0 kept, 0 failed" in capsys.readouterr().err
    for place, name in enumerate(NAMES):
        front = release / "Test_set" / "Adobe-licensed images" / "fg" / f"{name[:-6]}.png"
        behind = release / "JPEGImages" / f"2007_00002{place}.jpg"
        expected = merge_as_released(read_image(front), MATTE, read_image(behind))
        assert np.array_equal(read_image(merged(release) / name), expected)


def test_whole_files_are_kept_and_others_made_anew(release, capsys):
    run(release)
    whole = {name: (merged(release) / name).read_bytes() for name in NAMES}
    times = {name: (merged(release) / name).stat().st_mtime_ns for name in NAMES}
    (merged(release) / NAMES[0]).write_bytes(whole[NAMES[0]][:-30])
    (merged(release) / NAMES[1]).write_bytes(b"")
    write(merged(release) / NAMES[2], noise(0, 5, 5))
    assert run(release) == 0
    assert "3 built, 1 kept" in capsys.readouterr().err
    assert {name: (merged(release) / name).read_bytes() for name in NAMES} == whole
    assert (merged(release) / NAMES[3]).stat().st_mtime_ns == times[NAMES[3]]


def test_the_same_by_several_processes(release):
    run(release)
    alone = {name: (merged(release) / name).read_bytes() for name in NAMES}
    shutil.rmtree(merged(release))
    run(release, "num_workers=2")
    assert {name: (merged(release) / name).read_bytes() for name in NAMES} == alone


def test_a_broken_file_stops_its_composites_alone(release, capsys):
    path = release / "JPEGImages" / "2007_000021.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    assert run(release) == 1
    said = capsys.readouterr().err
    assert f"failed: {NAMES[1]}: " in said
    assert "2007_000021.jpg: the file stops after" in said
    assert sorted(path.name for path in merged(release).iterdir()) == sorted(set(NAMES) - {NAMES[1]})


def test_nothing_is_left_of_an_interrupted_write(release, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("denseup.writing.os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(release)
    assert [*merged(release).iterdir()] == []


def test_what_is_missing_is_named_before_anything_is_made(release):
    (release / "JPEGImages" / "2007_000022.jpg").unlink()
    (release / "Test_set" / "Adobe-licensed images" / "fg" / "boy-1518482_1920.png").unlink()
    message = r"found no file for boy-1518482_1920\.png \(test_fg_names\.txt\), 2007_000022\.jpg \(test_bg_names\.txt\)"
    with pytest.raises(ValueError, match=message):
        run(release)
    assert not merged(release).exists()


def test_lists_that_do_not_belong_together(release):
    lists = release / "Test_set"
    (lists / "test_bg_names.txt").write_text("2007_000020.jpg\n2007_000021.jpg\n2007_000022.jpg\n")
    with pytest.raises(ValueError, match=r"found 3 names for the 2 of test_fg_names\.txt; expected the same number"):
        run(release)
    (lists / "test_bg_names.txt").write_text("\n")
    with pytest.raises(ValueError, match="found no name in it"):
        run(release)
    (lists / "test_fg_names.txt").write_text("boy-1518482_1920.png\nboy-1518482_1920.jpg\n")
    (lists / "test_bg_names.txt").write_text("2007_000020.jpg\n2007_000021.jpg\n")
    with pytest.raises(ValueError, match="found boy-1518482_1920 twice"):
        run(release)


def test_the_training_set_and_the_names_of_coco_2017(release):
    coco = release / "train2014"
    for path in coco.iterdir():
        path.rename(path.with_name(path.name.removeprefix("COCO_train2014_")))
    assert run(release, "subset=train", f"backgrounds='{coco}'", "output=made") == 0
    made = sorted(path.name for path in (release / "made").iterdir())
    assert made == sorted(
        f"{name}_{i}.png" for name in ("0-1252426161dfXY", "1-1252426161dfXY", "beetle") for i in (0, 1)
    )


def test_foregrounds_of_other_sets(release):
    source = release / "Test_set" / "Adobe-licensed images"
    (release / "Test").mkdir()
    for kind, folder in (("fg", "FG"), ("alpha", "GT")):
        shutil.copytree(source / kind, release / "Test" / folder)
    words = ["foregrounds=Test/FG", "alphas=Test/GT", "output=Test/merged"]
    assert run(release, *words) == 0
    assert sorted(path.name for path in (release / "Test" / "merged").iterdir()) == sorted(NAMES)
    with pytest.raises(ValueError, match=r"alphas is \['a', 'b'\], expected as many folders as foregrounds"):
        run(release, "foregrounds=a", "alphas=[a,b]")


@pytest.mark.parametrize(
    ("word", "message"),
    [("subset=val", "subset is 'val', valid: test, train"), ("num_workers=-1", "num_workers"), ("root=7", "root is 7")],
)
def test_values_that_are_none(release, word, message):
    with pytest.raises(ValueError, match=message):
        run(release, word)


@pytest.mark.slow
def test_the_command(release):
    done = python_module("src.build_composition1k", f"root={release}", f"backgrounds={release}/JPEGImages")
    assert done.returncode == 0, done.stderr
    assert len([*merged(release).iterdir()]) == 4

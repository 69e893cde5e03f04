"""What stands where an image file is expected: pipes, sockets, folders, devices, and odd names."""

import os
import signal
import socket
import struct
from contextlib import contextmanager

import numpy as np
import pytest
from data.odd_files import png, sound_files
from data.sample_folders import label_folder, noise, save, write
from PIL import Image

from denseup.data import DataError, SegmentationFolder, check_dataset, read_alpha, read_image, read_label, read_manifest
from denseup.data.reading.files import PNG_START, file_bytes, inside, png_fault

READERS = [read_image, read_alpha, lambda path: read_label(path, 255)]
LONGEST = 255
"""Bytes of a name."""


@contextmanager
def at_most(seconds):
    """A call that waits for ever fails; no limit that a slow machine could miss."""

    def late(number, frame):
        raise AssertionError(f"not done after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def odd(tmp_path):
    """Kind → path of what is no regular file."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with socket.socket(socket.AF_UNIX) as listening:
        before = os.getcwd()
        os.chdir(tmp_path)  # a socket's path may have 108 bytes
        listening.bind("socket.png")
        os.chdir(before)
        yield {
            "a named pipe": [tmp_path / "pipe.png", tmp_path / "link.png"],
            "directory": [tmp_path / "folder.png"],
            "a device": ["/dev/zero", "/dev/null"],
            "No such file": [tmp_path / "broken.png"],
            "cannot be read": [tmp_path / "loop.png", tmp_path / "socket.png", f"{tmp_path}/{'a' * 300}.png"],
            "null byte": [f"{tmp_path}/a\0b.png"],
        }


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_file_is_refused_at_once(odd, read):
    for kind, paths in odd.items():
        for path in paths:
            with at_most(60), pytest.raises(DataError, match=kind) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: ")


def test_a_check_of_a_folder_goes_on_past_a_pipe(tmp_path):
    label_folder(tmp_path)
    for name in ("labels/im1.png", "images/im2.jpg"):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
    with at_most(60):
        problems = check_dataset(SegmentationFolder(tmp_path, 3))
    assert [problem.split(": ")[1].partition(";")[0] for problem in problems] == ["found a named pipe"] * 2


def test_a_file_larger_than_any_picture_is_not_read(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(2**40)  # no blocks are written
    with at_most(60), pytest.raises(DataError, match=r"large\.png: found 1099511627776 bytes; expected .* at most"):
        read_image(path)


def test_names_of_any_kind(tmp_path):
    """A reader takes every name that the system has."""
    names = [
        "new\nline.png",
        "tab\t.png",
        "a'b\"c.png",
        "-rf.png",
        "=1+1.png",
        "\x1b[31mred.png",
        "ünï çödé.png",
        " .png",
    ]
    names += ["a" * (LONGEST - 4) + ".png", os.fsdecode(b"latin-\xe9.png"), "%s{0}$HOME.png"]
    for name in names:
        assert np.array_equal(read_image(save(tmp_path / name, Image.fromarray(noise(0)))), noise(0))
        (tmp_path / name).write_bytes(b"broken")
        with pytest.raises(DataError, match="not a readable image"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["new\nline", os.fsdecode(b"latin-\xe9"), "bell\a", "\x1b[31mred", "\u202egnp"])
def test_names_that_no_table_can_hold_are_refused_in_data_sets(tmp_path, name):
    for folder, suffix in (("images", "jpg"), ("labels", "png")):
        write(tmp_path / folder / f"a.{suffix}", np.zeros((8, 8), np.uint8))
        os.rename(tmp_path / folder / f"a.{suffix}", tmp_path / folder / f"{name}.{suffix}")
    with pytest.raises(DataError, match=r"the name '.*' of a file has line breaks, control characters or") as caught:
        SegmentationFolder(tmp_path, 3)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["ünï çödé", "a b", "=1+1", "-rf", "a'b\"c", "<b>&amp;</b>", "a|b", "%s{0}$HOME", "日本"]
)
def test_other_names_are_names(tmp_path, name):
    for folder, suffix in (("images", "jpg"), ("labels", "png")):
        save(tmp_path / folder / f"{name}.{suffix}", Image.fromarray(np.zeros((8, 8), np.uint8)))
    assert SegmentationFolder(tmp_path, 3)[0]["name"] == name


OUTSIDE = ["/etc/passwd", "../a.png", "a/../../a.png", "a/..", "..\\a.png", "C:\\a.png", "C:a.png", "\\\\host\\a"]
OUTSIDE += ["\\a", "", ".", "a\0.png"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_list_names_no_file_elsewhere(tmp_path, name):
    with pytest.raises(DataError, match=r"list\.txt: found the path .*; expected that of a file below"):
        inside(tmp_path, name, tmp_path / "list.txt")


def test_a_list_names_files_below_its_folder(tmp_path):
    for name in ("a.png", "b/c.png", "b/.hidden", "..a.png", "a..png", "./a.png"):
        assert inside(tmp_path, name, tmp_path / "list.txt") == tmp_path / name


def test_the_manifest_names_no_file_elsewhere(tmp_path):
    header = "file,kind,class,split,licence,author,source,sha256"
    (tmp_path / "manifest.csv").write_text(f"{header}\n../../a.png,background,,train,CC0,,,00\n")
    with pytest.raises(DataError, match=r"manifest\.csv: found the path '\.\./\.\./a\.png'"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("kind", ["rgb", "16 bits 1", "16 bits 3", "1 bits palette", "interlaced"])
def test_every_bit_of_a_png_counts(tmp_path, kind):
    """Its checksums tell."""
    data, path = sound_files()[f"png {kind}"], tmp_path / "a.png"
    stored = read_image(_written(path, data))
    for place in range(8 * len(PNG_START), 8 * len(data), 29):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        try:
            found = read_image(_written(path, bytes(changed)))
        except DataError:
            continue
        assert np.array_equal(found, stored), place  # of a chunk that a picture does not need
    assert png_fault(data) is None


def test_channels_of_16_bits_are_not_read_as_8(tmp_path):
    """OpenCV decodes them, and refuses a checksum that Pillow takes: the 8 bits that Pillow has are other labels."""
    row = b"".join(struct.pack(">HHH", v, v, v) for v in (3, 258))
    data = png(2, 1, 16, 2, b"\0" + row)
    sum_of_pixels = data.index(b"IEND") - 5
    changed = data[:sum_of_pixels] + bytes([data[sum_of_pixels] ^ 1]) + data[sum_of_pixels + 1 :]
    assert read_label(_written(tmp_path / "a.png", data), 9, label_values={258: 4}).tolist() == [[3, 4]]
    with pytest.raises(DataError, match="its channels of 16 bits can't be decoded"):
        read_label(_written(tmp_path / "a.png", changed), 9, label_values={258: 4})


def _written(path, data):
    path.write_bytes(data)
    return path


def test_reading_gives_the_bytes(tmp_path):
    assert file_bytes(_written(tmp_path / "a", b"abc")) == b"abc"

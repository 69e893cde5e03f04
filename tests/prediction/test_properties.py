"""Arrays, files and options of any kind: a right answer, or an error that names the argument."""

import io

import numpy as np
import pytest
import torch
from data.odd_files import damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from denseup.data import DataError, EpochSampler
from denseup.data.reading.label_coding import LabelCoding
from denseup.data.reading.samples import read_alpha, read_label, read_trimap
from denseup.prediction.images import as_image, as_map
from denseup.prediction.memory import parse_memory
from denseup.prediction.trimaps import grown_trimap
from denseup.prediction.windows import windows

STEADY = settings(max_examples=150, deadline=None, derandomize=True)
SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
DTYPES = st.sampled_from(
    ["u1", "u2", ">u2", "u4", "i1", "i2", "i8", "f2", "f4", "f8", ">f4", "?", "c8", "O", "U2", "S2", "M8[s]", "V3"]
)


@st.composite
def any_array(draw):
    """Of any shape and type, NaN and infinity too; turned, cut and read-only."""
    shape, dtype = draw(SHAPES), draw(DTYPES)
    if np.dtype(dtype).kind in "OUSMV":
        array = np.zeros(shape, dtype)
    else:
        array = draw(
            arrays.arrays(dtype, shape, elements=None if np.dtype(dtype).kind != "f" else st.sampled_from(VALUES))
        )
    if array.ndim >= 2:
        array = draw(st.sampled_from([array, array[::-1], array[:, ::-1], array.swapaxes(0, 1), array[::2]]))
    array.setflags(write=draw(st.booleans()))
    return array


MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "I;16", "RGBa", "RGBX"]


def named(error, words):
    """Raise an error again whose message does not begin so, or say so."""
    if words not in str(error):
        raise error


VALUES = [0.0, 0.25, 1.0, -1e-4, 1.0001, 2.0, 255.0, -1.0, float("nan"), float("inf"), float("-inf")]


@STEADY
@given(any_array())
def test_any_array_is_an_image_or_is_refused(array):
    before = array.copy()
    try:
        image = as_image(array)
    except ValueError as error:
        named(error, "image is an array")
        assert not sound(array, image=True)
        return
    assert image.shape == (*array.shape[:2], 3)
    assert image.dtype in (np.uint8, np.float32)
    assert image.flags.c_contiguous
    grey = array.reshape(*array.shape[:2], -1)
    expected = grey[..., :3] if grey.shape[2] > 2 else np.repeat(grey[..., :1], 3, 2)
    if array.dtype.kind == "f":
        assert np.isfinite(image).all()
        assert 0 <= image.min() <= image.max() <= 1
        assert np.abs(image - expected.astype(np.float64)).max() <= 1.01e-3
    else:
        assert np.array_equal(image, expected if array.dtype.itemsize == 1 else expected >> 8)
    assert np.array_equal(array, before, equal_nan=array.dtype.kind == "f")


@STEADY
@given(any_array())
def test_any_array_is_a_map_or_is_refused(array):
    try:
        picture = as_map(array, "trimap")
    except ValueError as error:
        named(error, "trimap is ")
        return
    assert picture.image.size == (array.shape[1], array.shape[0])
    for read in (read_alpha, read_trimap, lambda one: read_label(one, 255)):
        try:
            found = read(picture)
        except DataError as error:
            named(error, "trimap: ")
        else:
            assert found.dtype == np.uint8
            assert found.shape == array.shape[:2]


def sound(array, image):
    """Whether the documentation says that it is taken."""
    shaped = array.size and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)))
    if not shaped:
        return False
    if array.dtype.kind == "f":
        seen = array[..., :3] if array.ndim == 3 and array.shape[2] > 2 else array
        return bool(np.isfinite(seen).all() and seen.min() >= 0 and seen.max() <= 1)
    return array.dtype == np.uint8 or (array.dtype.kind == "u" and array.dtype.itemsize == 2)


@pytest.mark.parametrize("given", [None, 3, 1.5, [1], {}, object(), torch.zeros(3, 4, 4), io.BytesIO(b"a"), True])
def test_no_images(given):
    for take in (as_image, lambda one: as_map(one, "mask")):
        with pytest.raises(ValueError, match=r"(image|mask) is a \w+, expected a path, the bytes of a file"):
            take(given)


def test_bytes_of_damaged_files():
    for seed in range(200):
        data = damaged(seed)[1]
        try:
            assert as_image(data).shape[2] == 3
        except DataError as error:
            named(error, "image: ")


@pytest.mark.parametrize("mode", MODES)
def test_images_of_pillow_of_every_mode(mode):
    image = Image.new(mode, (3, 2))
    try:
        assert as_image(image).shape == (2, 3, 3)
    except DataError as error:
        named(error, "image: found ")
        assert mode in ("I", "F")


@STEADY
@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.none(), st.booleans()))
def test_memory(value):
    try:
        assert parse_memory(value) > 0
    except ValueError as error:
        named(error, "memory is ")


@STEADY
@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 255])),
    st.integers(0, 12),
)
def test_a_grown_trimap_keeps_what_it_knows(mask, band):
    trimap = grown_trimap(mask, band)
    assert trimap.shape == mask.shape
    assert set(np.unique(trimap)) <= {0, 128, 255}
    known = trimap != 128
    assert np.array_equal(trimap[known], mask[known])


@STEADY
@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(1, 2000), st.integers(0, 40), st.sampled_from([1, 4, 16, 32])
)
def test_windows_cover_every_pixel_once(height, width, pixels, halo, step):
    size = (-(-height // step) * step, -(-width // step) * step)
    wanted = np.zeros(size, int)
    try:
        found = list(windows(size, pixels, halo, step))
    except ValueError as error:
        named(error, "the smallest window has ")
        return
    for rows, columns in found:
        wanted[rows.wanted, columns.wanted] += 1
    assert (wanted == 1).all()


@STEADY
@given(
    st.integers(1, 255),
    st.dictionaries(st.integers(0, 300), st.integers(-2, 300), max_size=4),
    st.lists(st.integers(0, 300), max_size=3),
    st.booleans(),
    arrays.arrays(st.sampled_from(["u1", "u2", "i4"]), (3, 4), elements=st.integers(0, 255)),
)
def test_labels_are_classes_or_refused(num_classes, label_values, ignore_labels, reduce_zero_label, values):
    try:
        coding = LabelCoding(num_classes, reduce_zero_label, tuple(ignore_labels), label_values)
    except ValueError as error:
        named(error, "label_values")
        return
    try:
        label = coding.classes(values, "a.png")
    except DataError as error:
        named(error, "a.png: found labels ")
        return
    assert label.shape == values.shape
    assert ((label < num_classes) | (label == 255)).all()


@STEADY
@given(st.integers(-2, 9), st.integers(1, 4))
def test_every_sample_goes_to_one_process(length, world):
    if length < world:
        with pytest.raises(ValueError, match="length="):
            EpochSampler(length, num_replicas=world, rank=0)
        return
    shares = [list(EpochSampler(length, num_replicas=world, rank=rank)) for rank in range(world)]
    drawn = [index for share in shares for _, index in share]
    assert len(drawn) == len(set(drawn)) == length // world * world

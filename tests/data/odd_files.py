"""Sound image files of every kind that is read, odd ones among them, and what can happen to a file."""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import numpy as np
from PIL import Image, ImageCms, ImageOps

Rng = np.random.Generator
SIDE = 12


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.copy().save(file, kind, **options)  # a copy: Pillow leaves settings of one format on the image for the next
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *extra: bytes, interlaced: bool = False) -> bytes:
    """A PNG from the bytes of its filtered rows; `extra` chunks stand before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def adam7(image: np.ndarray) -> bytes:
    """An interlaced PNG of a uint8 [H, W] or [H, W, 3] array."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = (image[top::down, left::right] for top, left, down, right in passes)
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    return png(image.shape[1], image.shape[0], 8, 2 if image.ndim == 3 else 0, rows, interlaced=True)


def few_bits(bits: int, colour: int, *extra: bytes) -> bytes:
    """A PNG of 1, 2 or 4 bits, of grey levels or a palette."""
    values = np.random.default_rng(bits).integers(0, 2**bits, (SIDE, SIDE), np.uint8)
    planes = np.unpackbits(values[..., None], axis=2)[..., 8 - bits :].reshape(SIDE, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(planes, axis=1))
    return png(SIDE, SIDE, bits, colour, rows, *extra)


@cache
def sound_files() -> dict[str, bytes]:
    """Name → bytes of files that are whole; the name begins with their extension."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (SIDE, SIDE, 4), np.uint8)
    rgb, rgba = Image.fromarray(pixels[..., :3].copy()), Image.fromarray(pixels)
    grey, la = Image.fromarray(pixels[..., 0].copy()), Image.fromarray(pixels).convert("LA")
    levels = Image.fromarray(np.array([0, 128, 255], np.uint8)[pixels[..., 0] % 3])
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    palette, bit, cmyk = rgb.quantize(16), grey.convert("1"), rgb.convert("CMYK")
    colours = chunk(b"PLTE", rng.integers(0, 256, 3 * 16, np.uint8).tobytes())
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files: dict[str, bytes] = {}
    for kind, image in {
        "rgb": rgb,
        "rgba": rgba,
        "grey": grey,
        "la": la,
        "p": palette,
        "bit": bit,
        "levels": levels,
    }.items():
        files[f"png {kind}"] = encoded(image, "PNG")
        files[f"tif {kind}"] = encoded(image, "TIFF")
        files[f"gif {kind}"] = encoded(image, "GIF")
        files[f"webp {kind}"] = encoded(image, "WEBP", lossless=True)
        if kind not in ("rgba", "la"):
            files[f"bmp {kind}"] = encoded(image, "BMP")
    for bits in (1, 2, 4):
        files[f"png {bits} bits"], files[f"png {bits} bits palette"] = few_bits(bits, 0), few_bits(bits, 3, colours)
        files[f"png {bits} bits transparent"] = few_bits(bits, 3, colours, chunk(b"tRNS", b"\0\x80"))
    wide = np.dstack([pixels, pixels[..., ::-1]]).tobytes()
    for colour, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        size = SIDE * channels * 2
        rows = b"".join(b"\0" + wide[i * size : (i + 1) * size].ljust(size, b"\x33") for i in range(SIDE))
        files[f"png 16 bits {channels}"] = png(SIDE, SIDE, 16, colour, rows)
    files["png grey transparent"] = encoded(grey, "PNG", transparency=7)
    files["png palette transparent"] = encoded(palette, "PNG", transparency=3)
    files["png interlaced"], files["png interlaced grey"] = adam7(pixels[..., :3]), adam7(pixels[..., 0])
    files["png profile"], files["jpg profile"] = (encoded(rgb, kind, icc_profile=profile) for kind in ("PNG", "JPEG"))
    files["png text"] = png(1, 1, 8, 0, b"\0\7", chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b" * 99)))
    files["apng"] = encoded(rgb, "PNG", save_all=True, append_images=[rgba.convert("RGB").rotate(90)])
    files["gif animated"] = encoded(palette, "GIF", save_all=True, append_images=[grey])
    files["webp animated"] = encoded(rgb, "WEBP", save_all=True, append_images=[grey.convert("RGB")], lossless=True)
    files["tif pages"] = encoded(rgb, "TIFF", save_all=True, append_images=[grey])
    files["gif transparent"] = encoded(palette, "GIF", transparency=3)
    files["webp lossy"] = encoded(rgb, "WEBP", quality=60)
    files["jpg"], files["jpg grey"], files["jpg cmyk"] = (encoded(image, "JPEG") for image in (rgb, grey, cmyk))
    files["jpg progressive"] = encoded(rgb.resize((40, 40)), "JPEG", progressive=True)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"tif {compression}"] = encoded(rgb, "TIFF", compression=compression)
    files["tif group4"] = encoded(bit, "TIFF", compression="group4")
    files["tif 16 bits"], files["tif cmyk"] = encoded(deep, "TIFF"), encoded(cmyk, "TIFF")
    files["tif float"] = encoded(Image.fromarray(pixels[..., 0] / np.float32(255)), "TIFF")
    files["tif int"] = encoded(Image.fromarray(pixels[..., 0].astype(np.int32)), "TIFF")
    for orientation in (0, 3, 6, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for suffix, kind in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"), ("tif", "TIFF")):
            files[f"{suffix} orientation {orientation}"] = encoded(rgb.crop((0, 0, 9, 5)), kind, exif=exif.tobytes())
    for name, exif_bytes in {
        "short": b"Exif\0\0",
        "text": b"Exif\0\0hello",
        "loop": b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 60,
    }.items():
        files[f"jpg bad exif {name}"], files[f"png bad exif {name}"] = (
            encoded(rgb, k, exif=exif_bytes) for k in ("JPEG", "PNG")
        )
    return files


def truncated(data: bytes, rng: Rng) -> bytes:
    return data[: rng.integers(len(data))]


def flipped(data: bytes, rng: Rng) -> bytes:
    """One to eight bits are others."""
    changed = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def zero_tail(data: bytes, rng: Rng) -> bytes:
    kept = rng.integers(len(data))
    return data[:kept] + bytes(len(data) - kept)


def filled(data: bytes, rng: Rng) -> bytes:
    """Two, four or eight bytes are the smallest or largest numbers: sizes, counts, offsets of tags."""
    place, length = rng.integers(len(data)), rng.choice([2, 4, 8])
    value = rng.choice([0x00, 0x7F, 0x80, 0xFF])
    return data[:place] + bytes([value]) * int(length) + data[place + length :]


def without_a_part(data: bytes, rng: Rng) -> bytes:
    first, last = sorted(rng.integers(len(data), size=2))
    return data[:first] + data[last:]


def part_twice(data: bytes, rng: Rng) -> bytes:
    first, last = sorted(rng.integers(len(data), size=2))
    return data[:last] + data[first:]


def other_tail(data: bytes, rng: Rng) -> bytes:
    """It goes on as another file."""
    others = list(sound_files().values())
    return data[: rng.integers(len(data))] + others[rng.integers(len(others))][rng.integers(60) :]


def as_it_is(data: bytes, rng: Rng) -> bytes:
    return data


DAMAGES: list[Callable[[bytes, Rng], bytes]] = [
    *(truncated, flipped, zero_tail, filled, without_a_part, part_twice, other_tail, as_it_is)
]
EXTENSIONS = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif", "PNG"]


def damaged(seed: int) -> tuple[str, bytes]:
    """A file name, at times with the extension of another format, and what is in the file."""
    rng = np.random.default_rng([7, seed])
    files = sound_files()
    name = list(files)[rng.integers(len(files))]
    extension = name.split()[0].removeprefix("a") if rng.random() < 0.7 else EXTENSIONS[rng.integers(len(EXTENSIONS))]
    return f"a{seed}.{extension}", DAMAGES[rng.integers(len(DAMAGES))](files[name], rng)


def as_pillow_sees_it(data: bytes) -> np.ndarray:
    """uint8 [H, W, 3], upright; raises whatever Pillow does."""
    image = Image.open(io.BytesIO(data))
    image.load()
    if image.mode.startswith("I;16"):
        array = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        upright = Image.fromarray(array)
        upright.info, upright._exif = image.info, image.getexif()
        return np.asarray(ImageOps.exif_transpose(upright).convert("RGB"))
    with suppress(Exception):  # tags that say nothing: the pixels are sound
        image = ImageOps.exif_transpose(image)
    return np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))[..., :3]

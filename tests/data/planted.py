"""Faults of all kinds, each planted into the files of one sample; it gives the file that a check has to name.

A plant gets the paths of an image and its partners (label; matte and trimap), whose contents it may change at will.
"""

import io
from pathlib import Path

import numpy as np
from data.published_layouts import HEIGHT, MATTE, TRIMAP, WIDTH
from data.sample_folders import noise, save, write
from PIL import Image

ORIENTATION = 0x0112


def tagged(path: Path, orientation: int, height: int = HEIGHT, width: int = WIDTH) -> Path:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return save(path, Image.fromarray(noise(1, height, width)), exif=exif)


def replaced(path: Path, suffix: str) -> Path:
    """The path of a file that takes the place of another one in another format."""
    path.unlink()
    return path.with_suffix(suffix)


# of any file


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-40])
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def text(path: Path) -> Path:
    path.write_text("<html>404 not found</html>")
    return path


def animation(path: Path) -> Path:
    new = replaced(path, ".gif")
    frames = [Image.fromarray(noise(seed, HEIGHT, WIDTH)) for seed in range(2)]
    return save(new, frames[0], save_all=True, append_images=frames[1:])


def dangling(path: Path) -> Path:
    """Listed, and yet not to be read, whoever asks."""
    path.unlink()
    path.symlink_to(path.with_name("moved away"))
    return path


def floats(path: Path) -> Path:
    return save(replaced(path, ".tif"), Image.fromarray(np.full((HEIGHT, WIDTH), np.nan, np.float32)))


def twice(path: Path) -> Path:
    """A second file of the same name; the one that sorts behind the other is named."""
    other = ".webp" if path.suffix == ".png" else ".png"
    new = save(path.with_suffix(other), Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
    return max(path, new)


def missing(path: Path, image: Path) -> Path:
    path.unlink()
    return image


def other_size(path: Path) -> Path:
    save(path, Image.open(io.BytesIO(path.read_bytes())).crop((0, 0, WIDTH, HEIGHT - 1)))
    return path


def coloured(path: Path) -> Path:
    return write(path, noise(3, HEIGHT, WIDTH))


def cmyk(path: Path) -> Path:
    return save(replaced(path, ".tif"), Image.fromarray(noise(3, HEIGHT, WIDTH)).convert("CMYK"))


def with_alpha(path: Path, grey: np.ndarray) -> Path:
    """Grey levels beside an alpha channel that says something else."""
    return save(path, Image.fromarray(np.dstack([grey, np.full_like(grey, 77)])))


def orphan(path: Path) -> Path:
    """A partner of an image that is not there."""
    new = path.with_name(f"a_stray_{path.name}")
    new.write_bytes(path.read_bytes())
    return new


def grey(path: Path, value: int, dtype: type = np.uint8) -> Path:
    return write(path, np.full((HEIGHT, WIDTH), value, dtype))


def sound_image(image: Path) -> None:
    """What is no fault of a photograph: four inks, and a tag that changes nothing."""
    rgb = Image.fromarray(noise(4, HEIGHT, WIDTH))
    save(image, rgb.convert("CMYK") if image.suffix == ".jpg" else rgb.convert("RGBA"))


# of an image with its label: 20, of which six are of the image


def segmentation(groups: list[tuple[Path, Path]], valid: int, wrong: int, orphans: bool = True) -> set[Path]:
    """Plant twenty faults into as many samples; the files that have to be named.

    Args:
        groups: image and label of at least 24 samples.
        valid: a file value that is a class.
        wrong: one that is nothing.
        orphans: whether a label without an image is told.
    """
    plants = [
        lambda image, label: cut(image),
        lambda image, label: empty(image),
        lambda image, label: text(image),
        lambda image, label: animation(image),
        lambda image, label: dangling(image),
        lambda image, label: floats(image),
        lambda image, label: twice(image),
        lambda image, label: missing(label, image),
        lambda image, label: other_size(label),
        lambda image, label: tagged(image, 6) and label,
        lambda image, label: grey(label, wrong),
        lambda image, label: grey(label, 40000, np.uint16),
        lambda image, label: coloured(label),
        lambda image, label: cmyk(label),
        lambda image, label: with_alpha(label, np.full((HEIGHT, WIDTH), valid, np.uint8)),
        lambda image, label: grey(label, 255),
        lambda image, label: cut(label),
        lambda image, label: tagged(image, 3),
        lambda image, label: grey(replaced(label, ".jpg"), valid),
        lambda image, label: orphan(label) if orphans else empty(label),
    ]
    named = {plant(*group) for plant, group in zip(plants, groups, strict=False)}
    assert len(named) == len(plants) == 20
    first, second, *_ = groups[len(plants) :]
    sound_image(first[0])
    grey(first[1], valid, np.uint16)
    tagged(second[0], 6, WIDTH, HEIGHT)
    return named


# of an image with its matte and, in evaluation, a trimap


def mattes(groups: list[tuple[Path, Path, Path]]) -> set[Path]:
    """Plant twenty faults into as many samples; the files that have to be named. At least 24 samples."""
    coded = (MATTE > 128).astype(np.uint8)
    low = np.where(coded, 255, 0).astype(np.uint16)
    plants = [
        lambda image, alpha, trimap: cut(image),
        lambda image, alpha, trimap: text(image),
        lambda image, alpha, trimap: animation(image),
        lambda image, alpha, trimap: dangling(image),
        lambda image, alpha, trimap: twice(image),
        lambda image, alpha, trimap: tagged(image, 3),
        lambda image, alpha, trimap: missing(alpha, image),
        lambda image, alpha, trimap: missing(trimap, image),
        lambda image, alpha, trimap: other_size(alpha),
        lambda image, alpha, trimap: empty(alpha),
        lambda image, alpha, trimap: write(alpha, coded),
        lambda image, alpha, trimap: write(alpha, low),
        lambda image, alpha, trimap: coloured(alpha),
        lambda image, alpha, trimap: cmyk(alpha),
        lambda image, alpha, trimap: with_alpha(alpha, MATTE),
        lambda image, alpha, trimap: floats(alpha),
        lambda image, alpha, trimap: write(trimap, TRIMAP // 127),
        lambda image, alpha, trimap: grey(trimap, 60),
        lambda image, alpha, trimap: grey(alpha, 255) and grey(trimap, 255) and image,
        lambda image, alpha, trimap: write(alpha, coded * 255),
    ]
    named = {plant(*group) for plant, group in zip(plants, groups, strict=False)}
    assert len(named) == len(plants) == 20
    first, second, third, *_ = groups[len(plants) :]
    sound_image(first[0])
    write(second[1], MATTE.astype(np.uint16) * 257)
    palette = Image.fromarray(MATTE)
    palette.putpalette([level for level in range(256) for _ in range(3)])
    save(third[1], palette)
    return named


def cutouts(groups: list[tuple[Path, Path]], backgrounds: list[Path], composites: list[tuple[Path, Path, Path]]):
    """Plant twenty faults into Composition-1k: foregrounds with mattes, backgrounds, ready composites."""
    coded = (MATTE > 128).astype(np.uint8)
    plants = [
        lambda front, alpha: cut(front),
        lambda front, alpha: empty(front),
        lambda front, alpha: dangling(front),
        lambda front, alpha: twice(front),
        lambda front, alpha: missing(alpha, front),
        lambda front, alpha: other_size(alpha),
        lambda front, alpha: text(alpha),
        lambda front, alpha: write(replaced(alpha, ".png"), coded),
        lambda front, alpha: coloured(alpha),
        lambda front, alpha: cmyk(alpha),
        lambda front, alpha: floats(alpha),
        lambda front, alpha: grey(alpha, 255) and front,
    ]
    named = {plant(*group) for plant, group in zip(plants, groups, strict=False)}
    named |= {plant(path) for plant, path in zip((cut, empty, animation), backgrounds, strict=False)}
    first, second, third, fourth = composites
    named |= {cut(first[0]), missing(second[0], second[0]).with_suffix(""), other_size(third[0]) and third[1]}
    named |= {write(third[2], TRIMAP // 127), grey(fourth[2], 60)}
    assert len(named) == 20
    return named

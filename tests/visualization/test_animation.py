"""A feature map's picture depends on what the map says, not on how its channels are laid out; animations play."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from denseup.visualization import animation, comparison_sheet, contact_sheet, principal_map, same_sign, save_animation
from denseup.visualization.animation import MILLISECONDS, TILE


def feature(channels: int = 6, height: int = 20, width: int = 30) -> torch.Tensor:
    """One pattern in all channels at different strengths, and a little noise."""
    generator = torch.Generator().manual_seed(0)
    pattern = torch.zeros(height, width)
    pattern[5:15, 8:20] = 1
    strength = torch.randn(channels, generator=generator)
    return strength[:, None, None] * pattern + 0.05 * torch.randn(channels, height, width, generator=generator) + 7


def test_the_picture_shows_what_the_channels_share() -> None:
    picture = principal_map(feature())
    inside = picture[5:15, 8:20].mean()
    outside = np.concatenate([picture[:5].ravel(), picture[15:].ravel()]).mean()
    assert abs(inside - outside) > 200
    assert (picture.dtype, picture.shape) == (np.uint8, (20, 30))


@pytest.mark.parametrize("change", ["permute", "rotate", "negate", "scale", "shift"])
def test_no_layout_of_the_channels_matters(change: str) -> None:
    x = feature()
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]
    other = {
        "permute": x[torch.tensor([3, 0, 5, 1, 4, 2])],
        "rotate": torch.einsum("ij,jhw->ihw", rotation, x),
        "negate": x * torch.tensor([1, -1, 1, 1, -1, -1])[:, None, None],
        "scale": x * 1e20,
        "shift": x + torch.arange(6.0)[:, None, None],
    }[change]
    one, two = (same_sign({0: principal_map(y)}, principal_map(x))[0] for y in (x, other))
    assert np.abs(one.astype(int) - two).max() <= 1


def test_maps_without_a_pattern_are_drawn_too() -> None:
    assert not principal_map(torch.full((3, 4, 5), 2.0)).any()
    broken = feature()
    broken[0, 0, 0], broken[1, 2, 2] = torch.nan, torch.inf
    assert principal_map(broken).shape == (20, 30)
    with pytest.raises(ValueError, match=r"maps is \[4, 5\], expected \[C, H, W\]"):
        principal_map(torch.zeros(4, 5))


def test_large_maps_are_shrunk() -> None:
    assert principal_map(feature(height=20, width=30), max_side=15).shape == (10, 15)
    assert principal_map(feature(height=20, width=30), max_side=64).shape == (20, 30)


def test_signs_follow_the_last_frame_and_that_the_reference() -> None:
    frame = principal_map(feature())
    frames = {8: 255 - frame, 0: frame, 3: 255 - frame}
    signed = same_sign(frames, np.asarray(Image.fromarray(frame).resize((60, 40))))
    assert list(signed) == [0, 3, 8]
    assert all(np.array_equal(picture, frame) for picture in signed.values())


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_plays_all_steps_and_rests_on_the_last(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    rows = {name: {step: rng.integers(0, 256, (16, 16), np.uint8) for step in (0, 2, 9)} for name in ("a", "b")}
    file = tmp_path / "new" / f"x{suffix}"
    save_animation(file, animation(rows))
    with Image.open(file) as animated:
        assert (animated.format, animated.n_frames, animated.info["loop"]) == (suffix[1:].upper(), 3, 0)
        assert animated.size[0] >= 2 * TILE
        durations, pictures = [], []
        for i in range(3):
            animated.seek(i)
            animated.load()
            durations.append(animated.info["duration"])
            pictures.append(np.asarray(animated.convert("L")).copy())
    assert durations[:2] == [MILLISECONDS] * 2
    assert durations[2] > MILLISECONDS
    assert not np.array_equal(pictures[0], pictures[2])
    with pytest.raises(ValueError, match="at least one picture"):
        save_animation(tmp_path / f"none{suffix}", [])
    with pytest.raises(ValueError, match=r"must end in .gif or .webp, got '.*none.png'"):
        save_animation(tmp_path / "none.png", animation(rows))


def test_sheets_have_a_tile_for_each_frame() -> None:
    frames = {step: np.full((8, 16), step, np.uint8) for step in range(10)}
    sheet = contact_sheet(frames, columns=4)
    assert 4 * TILE <= sheet.shape[1] < 5 * TILE
    assert 3 * TILE // 2 <= sheet.shape[0] < 4 * TILE // 2 + 20
    image = np.zeros((64, 128, 3), np.uint8)
    image[..., 0] = 255
    compared = comparison_sheet(image, {"bilinear": frames, "fade": frames})
    assert 11 * TILE <= compared.shape[1] < 12 * TILE
    assert compared[60, 60].tolist() == [255, 0, 0]  # the image is at the left of the first row only
    assert compared[60 + compared.shape[0] // 2, 60].tolist() == [255, 255, 255]

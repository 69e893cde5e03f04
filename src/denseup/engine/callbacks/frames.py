"""The folder features/ of a run: what one upsampled feature map looked like at some steps of the training.

step_<step>.png are the frames, written as they come, so that a killed run keeps them; image.png is the picture they are
features of, panel.png what the network made of it last. From these, evolution.gif and contact_sheet.png are drawn.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseup.visualization import animation, contact_sheet, grid, same_sign, save_animation, save_png, tile

UInt8 = NDArray[np.uint8]

GIF_WIDTH = 256


class FeatureFrames:
    """Frames in a folder.

    Args:
        path: of the folder; made when the first frame comes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.sheet = self.path / "contact_sheet.png"
        self.gif = self.path / "evolution.gif"

    @property
    def steps(self) -> list[int]:
        """Of the frames that are there, in order."""
        return sorted(int(file.stem.removeprefix("step_")) for file in self.path.glob("step_*.png"))

    def start(self, step: int) -> None:
        """Make ready for a training from `step` on: later frames go, and at 0 all, for they are not its own."""
        late = [self._file(known) for known in self.steps if step == 0 or known > step]
        for file in (*late, self.sheet, self.gif):
            file.unlink(missing_ok=True)

    def add(self, step: int, frame: UInt8, image: UInt8, panel: UInt8) -> None:
        """Write the frame [H, W] of a step, the image [H, W, 3] and what the network makes of it now [H, W, 3]."""
        save_png(self.path / "image.png", image)
        save_png(self.path / "panel.png", panel)
        save_png(self._file(step), np.repeat(frame[..., None], 3, axis=-1))

    def read(self) -> dict[int, UInt8]:
        """Step → frame, uint8 [H, W], in the sign that `same_sign` gives with the image's brightness.

        Frames of another size than the last one's are left out.
        """
        frames = {step: _read(self._file(step), "L") for step in self.steps}
        sizes = [frame.shape for frame in frames.values()]
        alike = {step: frame for step, frame in frames.items() if frame.shape == sizes[-1]}
        return same_sign(alike, _read(self.path / "image.png", "L"))

    def image(self) -> UInt8:
        """The image that the frames are features of, RGB uint8 [H, W, 3]."""
        return _read(self.path / "image.png", "RGB")

    def draw(self) -> UInt8 | None:
        """Write evolution.gif and contact_sheet.png from the frames that are there.

        Returns:
            The sheet, RGB uint8 [H, W, 3]; None where there are no frames.
        """
        if not self.steps:
            return None
        frames = self.read()
        save_animation(self.gif, animation({"": frames}, width=GIF_WIDTH))
        sheet, panel = contact_sheet(frames), _read(self.path / "panel.png", "RGB")
        sheet = grid([tile(panel, min(panel.shape[1], sheet.shape[1])), sheet])
        save_png(self.sheet, sheet)
        return sheet

    def _file(self, step: int) -> Path:
        return self.path / f"step_{step:06d}.png"


def _read(file: Path, mode: str) -> UInt8:
    with Image.open(file) as image:
        return np.asarray(image.convert(mode))

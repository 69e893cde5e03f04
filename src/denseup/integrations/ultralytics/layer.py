"""The layer of an upsampler in a YOLO model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from denseup.integrations.building import build_upsampler
from denseup.integrations.ultralytics.row import Row


class Upsampling(nn.Module):
    """An upsampler behind the call of a YOLO layer: a map, or the list of both maps.

    Args:
        channels: of the layers so far.
        row: what the yaml says.

    Raises:
        ValueError: options or channels that do not fit; the message names the row.
    """

    def __init__(self, channels: Sequence[int], row: Row) -> None:
        super().__init__()
        self.row = row
        try:
            de_channels, *en_channels = (channels[source] for source in row.sources)
        except IndexError:
            row.wrong(f"there are {len(channels)} layers before it, but its inputs are {list(row.sources)}")
        options = {**row.options, "de_channels": de_channels, "scale_factor": row.scale_factor}
        if en_channels:
            options["en_channels"] = en_channels[0]
        try:
            self.upsampler = build_upsampler(row.name, options)
        except ValueError as error:
            row.wrong(error)

    def forward(self, x: Tensor | list[Tensor]) -> Tensor:
        """`[B, C_de, h, w]`, or the list of it and a guide `[B, C_en, H, W]` → `[B, C_de, H, W]`.

        Raises:
            ValueError: the guide is not `scale_factor` times as large, rounded; the message names the row.
        """
        maps = list(x) if isinstance(x, (list, tuple)) else [x]
        if len(maps) == 2 and not torch.jit.is_tracing():  # type: ignore[no-untyped-call]  # where sizes are tensors
            self._check_ratio(*maps)
        out: Tensor = self.upsampler(*maps)
        return out

    def _check_ratio(self, de: Tensor, en: Tensor) -> None:
        factor = self.row.scale_factor
        if any(-(-high // factor) != low for low, high in zip(de.shape[2:], en.shape[2:], strict=True)):
            self.row.wrong(
                f"its inputs are {tuple(de.shape[2:])} and {tuple(en.shape[2:])} in size, expected the second to be "
                f"{factor} times the first: take another layer as the guide, or give the factor, such as [4]"
            )

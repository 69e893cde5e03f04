"""denseup: feature upsamplers for dense prediction, and the framework that compares them.

Importing this package needs torch and nothing else.
"""

if __name__ != "denseup":
    raise ImportError(
        f"import this package as 'denseup', not as {__name__!r}: under two names its registries would split"
    )

__version__ = "0.1.0"

from denseup.ops import local_similarity, reassemble
from denseup.upsamplers import (
    A2U,
    CARAFE,
    FADE,
    SAPA,
    Bicubic,
    Bilinear,
    Deconv,
    DySample,
    FADELite,
    IndexNet,
    MaxUnpool,
    Nearest,
    PixelShuffle,
    SemiShift,
    Upsampler,
    create_upsampler,
    list_upsamplers,
    register_upsampler,
)

__all__ = [
    "A2U",
    "CARAFE",
    "FADE",
    "SAPA",
    "Bicubic",
    "Bilinear",
    "Deconv",
    "DySample",
    "FADELite",
    "IndexNet",
    "MaxUnpool",
    "Nearest",
    "PixelShuffle",
    "SemiShift",
    "Upsampler",
    "create_upsampler",
    "list_upsamplers",
    "local_similarity",
    "reassemble",
    "register_upsampler",
]

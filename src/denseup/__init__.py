"""denseup: feature upsamplers for dense prediction, and the framework that compares them.

Importing this package needs torch and nothing else; torch itself is imported with the first of its names that is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if __name__ != "denseup":
    raise ImportError(
        f"import this package as 'denseup', not as {__name__!r}: under two names its registries would split"
    )

if TYPE_CHECKING:
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

__version__ = "0.1.0"

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


def __getattr__(name: str) -> Any:
    """One of `__all__`, from where it is defined, imported now: a command that only looks at a run needs no torch."""
    if name not in __all__:
        raise AttributeError(f"module 'denseup' has no attribute {name!r}")
    home = "denseup.ops" if name in ("local_similarity", "reassemble") else "denseup.upsamplers"
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

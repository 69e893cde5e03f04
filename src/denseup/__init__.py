"""denseup: feature upsamplers for dense prediction, and the framework that compares them.

Importing this package needs torch and nothing else; torch itself is imported with the first of its names that is used.
`load` needs the extra `train`, and so does `predict`, of which cut-outs need `predict`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if __name__ != "denseup":
    raise ImportError(
        f"import this package as 'denseup', not as {__name__!r}: under two names its registries would split"
    )

if TYPE_CHECKING:
    from denseup.cli.loading import load
    from denseup.cli.predicting import predict
    from denseup.ops import local_similarity, reassemble
    from denseup.upsamplers import (
        A2U,
        CARAFE,
        DLU,
        FADE,
        FRFU,
        JBU,
        LDAAQU,
        NAF,
        SAPA,
        SAPAD,
        Bicubic,
        Bilinear,
        Deconv,
        DySample,
        FADELite,
        FreqFusion,
        IndexNet,
        JBUStack,
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
    "DLU",
    "FADE",
    "FRFU",
    "JBU",
    "LDAAQU",
    "NAF",
    "SAPA",
    "SAPAD",
    "Bicubic",
    "Bilinear",
    "Deconv",
    "DySample",
    "FADELite",
    "FreqFusion",
    "IndexNet",
    "JBUStack",
    "MaxUnpool",
    "Nearest",
    "PixelShuffle",
    "SemiShift",
    "Upsampler",
    "create_upsampler",
    "list_upsamplers",
    "load",
    "local_similarity",
    "predict",
    "reassemble",
    "register_upsampler",
]


HOMES = {
    "load": "denseup.cli.loading",
    "local_similarity": "denseup.ops",
    "predict": "denseup.cli.predicting",
    "reassemble": "denseup.ops",
}
"""Of the names that are no upsampler's."""
EXTRAS = {"load": "train", "predict": "predict"}
"""What those need beyond torch."""


def __getattr__(name: str) -> Any:
    """One of `__all__`, from where it is defined, imported now: a command that only looks at a run needs no torch."""
    if name not in __all__:
        raise AttributeError(f"module 'denseup' has no attribute {name!r}")
    home = HOMES.get(name, "denseup.upsamplers")
    try:
        value = globals()[name] = getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if name not in EXTRAS:
            raise
        raise ImportError(f"denseup.{name} needs {error.name}: pip install 'denseup[{EXTRAS[name]}]'") from error
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

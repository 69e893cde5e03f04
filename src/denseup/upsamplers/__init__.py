"""The upsamplers: one file an operator, one contract (`base`), one registry.

Every module of this package is imported here, so that a file put beside these registers itself.
"""

import importlib
import pkgutil
import warnings
from typing import Any

from denseup.upsamplers.a2u import A2U
from denseup.upsamplers.base import Upsampler, UpsamplerFactory
from denseup.upsamplers.bicubic import Bicubic
from denseup.upsamplers.bilinear import Bilinear
from denseup.upsamplers.carafe import CARAFE
from denseup.upsamplers.deconv import Deconv
from denseup.upsamplers.dlu import DLU
from denseup.upsamplers.dysample import DySample
from denseup.upsamplers.fade import FADE
from denseup.upsamplers.fade_lite import FADELite
from denseup.upsamplers.freqfusion import FreqFusion
from denseup.upsamplers.frfu import FRFU
from denseup.upsamplers.indexnet import IndexNet
from denseup.upsamplers.jbu import JBU
from denseup.upsamplers.jbu_stack import JBUStack
from denseup.upsamplers.lda_aqu import LDAAQU
from denseup.upsamplers.max_unpool import MaxUnpool
from denseup.upsamplers.naf import NAF
from denseup.upsamplers.nearest import Nearest
from denseup.upsamplers.pixel_shuffle import PixelShuffle
from denseup.upsamplers.registry import (
    UPSAMPLERS,
    create_upsampler,
    list_upsamplers,
    register_upsampler,
    upsampler_factory,
)
from denseup.upsamplers.sapa import SAPA
from denseup.upsamplers.sapa_d import SAPAD
from denseup.upsamplers.semishift import SemiShift

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
    "UpsamplerFactory",
    "create_upsampler",
    "list_upsamplers",
    "register_upsampler",
    "upsampler_factory",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

FORMER = {
    "DySamplePL": "dysample_pl",
    "DySamplePLScope": "dysample_pl_scope",
    "DySampleScope": "dysample_scope",
    "IndexNetM2O": "indexnet_m2o",
    "IndexNetO2O": "indexnet_o2o",
    "SAPACat": "sapa_cat",
    "SAPAGate": "sapa_gate",
}
"""Classes of version 0.1.0 that are presets now."""


def __getattr__(name: str) -> Any:
    """What builds a preset that was a class."""
    if name not in FORMER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    text = f"{__name__}.{name} is a preset now: create_upsampler({FORMER[name]!r}, ...)"
    warnings.warn(text, DeprecationWarning, stacklevel=2)
    return UPSAMPLERS.find(FORMER[name])

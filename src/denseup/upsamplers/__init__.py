"""The upsamplers: one file an operator, one contract (`base`), one registry.

Every module of this package is imported here, so that a file put beside these registers itself.
"""

import importlib
import pkgutil

from denseup.upsamplers.a2u import A2U
from denseup.upsamplers.base import Upsampler, UpsamplerFactory
from denseup.upsamplers.bicubic import Bicubic
from denseup.upsamplers.bilinear import Bilinear
from denseup.upsamplers.carafe import CARAFE
from denseup.upsamplers.deconv import Deconv
from denseup.upsamplers.dysample import DySample, DySamplePL, DySamplePLScope, DySampleScope
from denseup.upsamplers.fade import FADE
from denseup.upsamplers.fade_lite import FADELite
from denseup.upsamplers.indexnet import IndexNet, IndexNetM2O, IndexNetO2O
from denseup.upsamplers.max_unpool import MaxUnpool
from denseup.upsamplers.nearest import Nearest
from denseup.upsamplers.pixel_shuffle import PixelShuffle
from denseup.upsamplers.registry import create_upsampler, list_upsamplers, register_upsampler, upsampler_factory
from denseup.upsamplers.sapa import SAPA, SAPACat, SAPAGate
from denseup.upsamplers.semishift import SemiShift

__all__ = [
    "A2U",
    "CARAFE",
    "FADE",
    "SAPA",
    "Bicubic",
    "Bilinear",
    "Deconv",
    "DySample",
    "DySamplePL",
    "DySamplePLScope",
    "DySampleScope",
    "FADELite",
    "IndexNet",
    "IndexNetM2O",
    "IndexNetO2O",
    "MaxUnpool",
    "Nearest",
    "PixelShuffle",
    "SAPACat",
    "SAPAGate",
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

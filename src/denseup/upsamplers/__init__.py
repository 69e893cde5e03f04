"""The upsamplers: one file an operator, one contract (`base`), one registry.

Every module of this package is imported here, so that a file put beside these registers itself.
"""

import importlib
import pkgutil

from denseup.upsamplers.base import Upsampler, UpsamplerFactory
from denseup.upsamplers.bilinear import Bilinear
from denseup.upsamplers.carafe import CARAFE
from denseup.upsamplers.fade import FADE
from denseup.upsamplers.fade_lite import FADELite
from denseup.upsamplers.nearest import Nearest
from denseup.upsamplers.registry import create_upsampler, list_upsamplers, register_upsampler, upsampler_factory
from denseup.upsamplers.semishift import SemiShift

__all__ = [
    "CARAFE",
    "FADE",
    "Bilinear",
    "FADELite",
    "Nearest",
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

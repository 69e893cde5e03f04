"""The encoders: one file a family, one protocol (`base`), one registry.

Every module of this package is imported here, so that a file put beside these registers itself.
"""

import importlib
import pkgutil

from denseup.networks.encoders.auto import AutoEncoder
from denseup.networks.encoders.base import Encoder, PoolingEncoder
from denseup.networks.encoders.mit import MixTransformer
from denseup.networks.encoders.registry import as_encoder, create_encoder, list_encoders, register_encoder
from denseup.networks.encoders.resnet34 import ResNet34
from denseup.networks.encoders.timm import TimmEncoder

__all__ = [
    "AutoEncoder",
    "Encoder",
    "MixTransformer",
    "PoolingEncoder",
    "ResNet34",
    "TimmEncoder",
    "as_encoder",
    "create_encoder",
    "list_encoders",
    "register_encoder",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

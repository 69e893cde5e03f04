"""The decoders: what becomes of an encoder's maps. They read its channels and strides, and fit themselves to them."""

from denseup.networks.decoders.matting import ASPP, DecoderStage, Laterals, Mirrored
from denseup.networks.decoders.segformer import SegFormerHead

__all__ = ["ASPP", "DecoderStage", "Laterals", "Mirrored", "SegFormerHead"]

"""Networks: an encoder, a decoder, and an upsampler in every stage; they never ask which of them they hold."""

from denseup.networks.decoders import SegFormerHead
from denseup.networks.encoders import Encoder, MixTransformer, create_encoder, list_encoders, register_encoder
from denseup.networks.matting import MattingNetwork, MattingResNet34
from denseup.networks.segmentation import SegFormer, SegmentationNetwork

__all__ = [
    "Encoder",
    "MattingNetwork",
    "MattingResNet34",
    "MixTransformer",
    "SegFormer",
    "SegFormerHead",
    "SegmentationNetwork",
    "create_encoder",
    "list_encoders",
    "register_encoder",
]

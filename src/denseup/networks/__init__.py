"""The two networks of the comparison. They take an upsampler factory and never ask which operator they hold."""

from denseup.networks.matting_resnet34 import MattingResNet34
from denseup.networks.segformer import SegFormer, SegFormerHead

__all__ = ["MattingResNet34", "SegFormer", "SegFormerHead"]

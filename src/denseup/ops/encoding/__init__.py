"""Content encoding: the 3×3 convolution that makes kernel logits of embedded features.

    logits = conv(high)                         CARAFE's content encoder (Wang et al., ICCV 2019)
    logits = conv(high) + nearest(conv(low))    the semi-shift convolution (Lu et al., FADE, ECCV 2022, eq. 3)

with the same weights and bias in both, so that the bias counts twice. It has few outputs, which general convolutions
are slow at: in float32 on the CPU, Winograd's form of it in C takes half their time (`native/encoding`); elsewhere
torch's convolution serves.
"""

from denseup.ops.encoding.functional import encode_content

__all__ = ["encode_content"]

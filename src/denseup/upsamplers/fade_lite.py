"""FADE-Lite. Lu et al., IJCV 2024, arXiv:2407.13500, section 4.

FADE (`fade.py`) with a cheaper kernel generator: both compressors go straight to K² channels, and the shared 3×3
convolution is depthwise.
"""

from denseup.upsamplers.fade import FADE
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start


@register_upsampler("fade_lite")
class FADELite(FADE):
    """FADE with a depthwise kernel generator.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`.
        kernel_size: K of the reassembly, odd; K² is also the number of compressed channels.
        encoder_kernel_size: of the shared depthwise convolution, odd.
    """

    depthwise = True

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        kernel_size: int = 5,
        encoder_kernel_size: int = 3,
        start: Start = "published",
    ) -> None:
        super().__init__(
            de_channels,
            en_channels,
            scale_factor,
            kernel_size=kernel_size,
            encoder_kernel_size=encoder_kernel_size,
            start=start,
        )

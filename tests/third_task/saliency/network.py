"""Two scales, and any upsampler between them."""

from torch import Tensor, nn

from denseup.upsamplers import UpsamplerFactory


class SaliencyNet(nn.Module):
    """Normalised RGB `[B, 3, H, W]` → logits `[B, 1, H, W]`."""

    def __init__(self, upsampler: UpsamplerFactory, width: int = 8) -> None:
        super().__init__()
        self.encode, self.deepen = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.upsample = upsampler(width, width)
        self.head = nn.Conv2d(width, 1, 1)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """What a recipe may train at another rate."""
        return list(self.encode.parameters())

    def forward(self, image: Tensor) -> Tensor:
        """Down by the upsampler's own way of doing it, and up again."""
        en = self.encode(image).relu()
        pooled, state = self.upsample.downsample(en)
        de = self.deepen(pooled).relu()
        return self.head(self.upsample(de, en, output_size=en.shape[2:], state=state))

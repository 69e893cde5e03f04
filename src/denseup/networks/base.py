"""What networks share: what tasks and optimisers ask of them, and how they call an upsampler."""

from typing import Any, ClassVar

from torch import Tensor, nn

from denseup.networks.encoders.base import Colour, Encoder


def raise_map(upsampler: nn.Module, de: Tensor, en: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """The raised map, and the encoder feature as the decoder is to see it from then on.

    The output of an upsampler that does not change `en` stays a tensor, also to whoever hooks it.
    """
    if not upsampler.changes_en:
        return upsampler(de, en, **options), en
    raised, changed = upsampler(de, en, return_en=True, **options)
    return raised, changed


class EncoderDecoder(nn.Module):
    """A network of an encoder and a decoder."""

    encoder_name: ClassVar[str] = "encoder"
    """Of the submodule that is the encoder, as it stands in a state_dict."""

    @property
    def in_channels(self) -> int:
        """Channels of the input; the first three are RGB."""
        return self._encoder().in_channels

    @property
    def mean(self) -> Colour:
        """Mean of the RGB in [0, 1], by which the input is normalised."""
        return self._encoder().mean

    @property
    def std(self) -> Colour:
        """Deviation of the RGB in [0, 1], by which the input is normalised."""
        return self._encoder().std

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Parameters of the encoder, which pretrained weights cover: recipes train them at a rate of their own."""
        return list(self._encoder().parameters())

    def _encoder(self) -> Encoder:
        encoder = self.get_submodule(self.encoder_name)
        assert isinstance(encoder, Encoder)
        return encoder

"""What tasks and optimisers ask of a network: its input, and which parameters may have been trained before."""

from typing import ClassVar

from torch import nn

from denseup.networks.encoders.base import Colour, Encoder


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

"""What networks share: what tasks and optimisers ask of them, and how they build and call an upsampler."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from denseup.networks.encoders.base import Colour, Encoder
from denseup.upsamplers.base import Upsampler, UpsamplerFactory
from denseup.upsamplers.registry import as_factory


def build_upsamplers(upsampler: str | UpsamplerFactory, widths: Iterable[int]) -> nn.ModuleList:
    """An upsampler for each stage, of as many channels as its map and its guide have.

    They draw from a stream of their own, so that at equal seed the rest of a network starts equal, whichever they are.
    """
    factory = as_factory(upsampler)
    with own_stream():
        return nn.ModuleList(factory(width, width) for width in widths)


def reset_upsamplers(upsamplers: nn.ModuleList, rule: Callable[[nn.Module], None]) -> None:
    """Initialise upsamplers by the rule of their network, from a stream of their own; a neutral start is kept."""
    with own_stream():
        for upsampler in upsamplers:
            assert isinstance(upsampler, Upsampler)
            if upsampler.start == "published":
                rule(upsampler)


@contextmanager
def own_stream() -> Iterator[None]:
    """Let torch's random numbers come from another stream, seeded by one number of the present one.

    However many are drawn within, the present stream then goes on from the same place.
    """
    seed = int(torch.randint(2**63 - 1, (), device="cpu"))
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would reach devices that are not restored
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield


def raise_map(upsampler: nn.Module, de: Tensor, en: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """The raised map, of the size of `en`, and the encoder feature as the decoder is to see it from then on.

    The output of an upsampler that does not change `en` stays a tensor, also to whoever hooks it. Of a map that an
    encoder halved, an operator of exact factors gives a row or column too much where the side was odd: it is cut off.
    """
    if upsampler.exact_factor_only and not upsampler.guided:
        return _cut(upsampler, de, en, **options), en
    if not upsampler.changes_en:
        return upsampler(de, en, **options), en
    raised, changed = upsampler(de, en, return_en=True, **options)
    return raised, changed


def _cut(upsampler: nn.Module, de: Tensor, en: Tensor, **options: Any) -> Tensor:
    assert isinstance(upsampler, Upsampler)
    raised: Tensor = upsampler(de, **options)
    if not torch.compiler.is_compiling():  # a graph that is made for any size has no branch
        excess = [raised.shape[axis] - en.shape[axis] for axis in (2, 3)]
        if not all(0 <= more < upsampler.scale_factor for more in excess):
            return upsampler(de, en, **options)  # which says why not
    return raised[..., : en.shape[2], : en.shape[3]]


class EncoderDecoder(nn.Module):
    """A network of an encoder and a decoder: `decode(encode(x), x)`.

    What `encode` gives may come from elsewhere, such as a cache, if the encoder does not learn (`freeze_encoder`).
    """

    encoder_name: ClassVar[str] = "encoder"
    """Of the submodule that is the encoder, as it stands in a state_dict."""
    frozen: bool = False
    """Whether the encoder learns nothing and stays in evaluation mode."""

    def encode(self, x: Tensor) -> Sequence[Any]:
        """`[B, in_channels, H, W]` → what `decode` takes: maps, and where upsamplers pool them, their states too."""
        raise NotImplementedError(f"{type(self).__name__} must implement encode")

    def decode(self, maps: Sequence[Any], x: Tensor) -> Tensor:
        """What `encode(x)` gave, and `x` itself → the output."""
        raise NotImplementedError(f"{type(self).__name__} must implement decode")

    def forward(self, x: Tensor, maps: Sequence[Any] | None = None) -> Tensor:
        """`[B, in_channels, H, W]` → the output; `maps`: what `encode(x)` gives, where it is known already."""
        return self.decode(self._encode(x) if maps is None else maps, x)

    def freeze_encoder(self) -> None:
        """From now on the encoder learns nothing: no gradients, no running statistics, no dropout."""
        encoder = self._encoder()
        encoder.requires_grad_(False)
        encoder.eval()
        self.frozen = True

    def train(self, mode: bool = True) -> "EncoderDecoder":
        """As of any module; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self._encoder().eval()
        return self

    def _encode(self, x: Tensor) -> Sequence[Any]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.encode(x)

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

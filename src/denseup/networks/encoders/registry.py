"""Names of encoders → what builds them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from denseup.networks.encoders.base import Encoder
from denseup.registry import Registry

ENCODERS: Registry[Encoder] = Registry("encoder")
F = TypeVar("F", bound=Callable[..., Encoder])


def register_encoder(name: str, **preset: Any) -> Callable[[F], F]:
    """Class decorator: make an encoder known as `name`, which fixes the options of `preset`.

    Raises:
        ValueError: the name is taken.
    """
    return ENCODERS.register(name, **preset)


def create_encoder(name: str, **options: Any) -> Encoder:
    """Build the encoder `name`; `options` are those of its class.

    Raises:
        ValueError: unknown name; the message gives the nearest one and lists all.
    """
    return ENCODERS.find(name)(**options)


def as_encoder(encoder: Encoder | str | Mapping[str, Any], in_channels: int) -> Encoder:
    """An encoder from an encoder, a registered name, or a name with options: what networks accept as `encoder`.

    Args:
        encoder: an encoder comes back as it is.
        in_channels: of one that is built and whose options do not say, or say None.

    Raises:
        ValueError: unknown name, as in `create_encoder`; a mapping without a name.
    """
    if isinstance(encoder, Encoder):
        return encoder
    options = {"name": encoder} if isinstance(encoder, str) else dict(encoder)
    if "name" not in options:
        raise ValueError(f"encoder is {options}, expected its name as well: {', '.join(list_encoders())}")
    given = options.pop("in_channels", None)
    return create_encoder(**options, in_channels=in_channels if given is None else given)


def list_encoders() -> list[str]:
    """All registered names, sorted."""
    return ENCODERS.names()

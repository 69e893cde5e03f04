"""Names of upsamplers → what builds them."""

from collections.abc import Callable
from typing import Any, TypeVar

from denseup.registry import Registry
from denseup.upsamplers.base import Upsampler, UpsamplerFactory
from denseup.upsamplers.start import check_start

UPSAMPLERS: Registry[Upsampler] = Registry("upsampler")
F = TypeVar("F", bound=UpsamplerFactory)


def register_upsampler(name: str, **preset: Any) -> Callable[[F], F]:
    """Class decorator: make an upsampler known as `name` to every config, test, sweep, profile and report.

    Args:
        name: a class may have several.
        preset: options that the name fixes: `@register_upsampler("dysample_pl", style="pl")`.

    Raises:
        ValueError: the name is taken by another class.
    """
    return UPSAMPLERS.register(name, **preset)


def create_upsampler(name: str, **kwargs: Any) -> Upsampler:
    """Build the upsampler `name`; `kwargs` are those of its class (de_channels, en_channels, scale_factor, start, …).

    `start` holds for a whole comparison: a class that does not take it has no say, and is not told.

    Raises:
        ValueError: unknown name; the message gives the nearest one and lists all.
        TypeError: an option that its class does not take; the message lists those that it does.
    """
    return _find(name, kwargs)(**kwargs)


def upsampler_factory(name: str, **options: Any) -> UpsamplerFactory:
    """What a network takes: a callable (de_channels, en_channels=None) that builds `name` with these options.

    Raises:
        ValueError: unknown name or start, as in `create_upsampler`.
        TypeError: unknown option, as there.
    """
    build = _find(name, options)

    def factory(de_channels: int, en_channels: int | None = None) -> Upsampler:
        return build(de_channels=de_channels, en_channels=en_channels, **options)

    return factory


def _find(name: str, options: dict[str, Any]) -> UpsamplerFactory:
    """What builds `name`; `start` is checked, and taken from `options` where its class does not know it."""
    build = UPSAMPLERS.find(name)
    if "start" in options:
        check_start(options["start"])
        if not UPSAMPLERS.takes(name, "start"):
            del options["start"]
    UPSAMPLERS.check_options(name, options)
    return build


def as_factory(upsampler: str | UpsamplerFactory) -> UpsamplerFactory:
    """A factory from a factory or a registered name: what networks accept as `upsampler`."""
    return upsampler_factory(upsampler) if isinstance(upsampler, str) else upsampler


def list_upsamplers() -> list[str]:
    """All registered names, sorted."""
    return UPSAMPLERS.names()

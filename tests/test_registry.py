"""Names, presets and the nearest spelling: one rule for upsamplers, encoders and tasks."""

import pytest

import denseup.upsamplers
from denseup.registry import Registry
from denseup.upsamplers import DySample, create_upsampler, upsampler_factory


class Thing:
    def __init__(self, size: int, *, style: str = "plain", depth: int = 1) -> None:
        self.made = (size, style, depth)


@pytest.fixture
def things() -> Registry[Thing]:
    registry: Registry[Thing] = Registry("thing")
    registry.register("thing")(Thing)
    registry.register("thing_deep", depth=9)(Thing)
    return registry


def test_a_preset_fixes_its_options_and_no_others(things: Registry[Thing]) -> None:
    assert things.find("thing_deep")(2).made == (2, "plain", 9)
    assert things.find("thing_deep")(2, style="odd").made == (2, "odd", 9)
    assert things.find("thing_deep")(2, depth=9).made == (2, "plain", 9)
    with pytest.raises(ValueError, match="thing 'thing_deep' fixes depth=9, but depth is 3"):
        things.find("thing_deep")(2, depth=3)
    assert things.preset("thing_deep") == {"depth": 9}
    assert things.find("thing")(2, depth=3).made == (2, "plain", 3)


def test_a_name_is_given_once(things: Registry[Thing]) -> None:
    things.register("thing")(Thing)  # the same again, as when a module is reloaded
    with pytest.raises(ValueError, match="a thing named 'thing' is registered already"):
        things.register("thing", depth=2)(Thing)


def test_an_unknown_name_gets_the_nearest_one_and_all(things: Registry[Thing]) -> None:
    with pytest.raises(
        ValueError, match=r"thing 'thing_dep' is unknown. Did you mean 'thing_deep'\? Known: thing, thing_deep"
    ):
        things.find("thing_dep")


def test_presets_of_upsamplers() -> None:
    assert create_upsampler("dysample_pl_scope", de_channels=16).scope is not None
    assert upsampler_factory("dysample_pl", groups=2)(16).style == "pl"
    with pytest.raises(ValueError, match="upsampler 'dysample_pl' fixes style='pl', but style is 'lp'"):
        create_upsampler("dysample_pl", de_channels=16, style="lp")


@pytest.mark.parametrize("name", ["dlu", "dysample_pl"])
def test_an_unknown_option_gets_those_that_there_are(name: str) -> None:
    expected = (
        rf"upsampler '{name}' got an unexpected keyword argument 'up_kernel', valid: de_channels, .*groups, .*start"
    )
    for build in (create_upsampler, upsampler_factory):
        with pytest.raises(TypeError, match=expected):
            build(name, up_kernel=5)


def test_names_that_were_classes_still_build_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="DySamplePL is a preset now"):
        module = denseup.upsamplers.DySamplePL(16, groups=2)
    assert isinstance(module, DySample)
    assert (module.style, module.groups) == ("pl", 2)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = denseup.upsamplers.Nothing

"""The neutral start: an operator begins as near to bilinear interpolation as its form allows, and learns from there."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from upsamplers.asking import asked
from upsamplers.starting import CHANNELS, INNER, maps

from denseup.upsamplers import FADE, Upsampler, create_upsampler, list_upsamplers, upsampler_factory
from denseup.upsamplers.registry import UPSAMPLERS
from denseup.upsamplers.start import STARTS

NAMES = list_upsamplers()


def build(name: str, start: str = "neutral", seed: int = 0, **options: Any) -> Upsampler:
    torch.manual_seed(seed)
    return create_upsampler(name, de_channels=CHANNELS, start=start, **options)


def size_for(module: Upsampler) -> tuple[int, int]:
    """Both sides odd, where the operator takes that."""
    return (34, 38) if module.exact_factor_only else (33, 37)


def has_a_say(name: str) -> bool:
    """Whether the two starts differ."""
    states = [build(name, start).state_dict() for start in STARTS]
    return any(not torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))


@torch.no_grad()
def distances(name: str, start: str, smooth: bool, pools: bool) -> Tensor:
    """To bilinear interpolation, relative, for some seeds, without what an operator draws in training."""
    found = []
    for seed in range(6):
        module = build(name, start, seed).eval()
        de, en = maps(size_for(module), smooth)
        out = module(de, en, state=module.downsample(en)[1] if pools else None, **asked(module, en))[INNER]
        expected = F.interpolate(de, en.shape[2:], mode="bilinear", align_corners=False)[INNER]
        found.append((out - expected).norm() / expected.norm())
    return torch.stack(found)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_no_farther_from_bilinear_interpolation_than_the_published_start(name: str, smooth: bool) -> None:
    """Over the seeds: a published start that scatters around the neutral one is nearer in some of them."""
    for pools in (False, True):
        published, neutral = (distances(name, start, smooth, pools) for start in STARTS)
        assert neutral.mean() <= published.mean() + published.std()
        assert neutral.std() <= 1e-3
        if not has_a_say(name):
            assert torch.equal(published, neutral)


@pytest.mark.parametrize("name", NAMES)
def test_gates_are_closed(name: str) -> None:
    """The encoder feature shows in the output with 2 % of its size, and hardly moves the kernels."""
    if not has_a_say(name):
        return
    module = build(name).eval()
    de, en = maps(size_for(module))
    with torch.no_grad():
        seen = module(de, en, **asked(module, en)) - module(de, -en, **asked(module, en))
    assert seen.abs().max() <= 0.02 * (2 * en).abs().max() + 0.02 * de.abs().max()


def backward(module: Upsampler) -> None:
    """Gradients of a loss of all that a network takes from the operator."""
    de, en = maps((34, 38))
    module.zero_grad()
    pooled, state = module.downsample(en)
    out, changed = module(de, en, state=state, return_en=True, **asked(module, en))
    outputs = [out] + [changed] * module.changes_en + [pooled] * module.paired
    generator = torch.Generator().manual_seed(2)
    torch.stack([(y * torch.randn(y.shape, generator=generator)).sum() for y in outputs]).sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name: str) -> None:
    """After one step of the optimizer each has moved, or has a gradient now."""
    module = build(name).train()
    before = {key: value.detach().clone() for key, value in module.named_parameters()}
    if not before:
        return
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    backward(module)
    optimizer.step()
    backward(module)
    for key, value in module.named_parameters():
        assert value.grad.abs().max() > 0 or not torch.equal(value, before[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_it_is_built_without_memory(name: str) -> None:
    """On the meta device, where the costs of networks are counted."""
    with torch.device("meta"):
        module = create_upsampler(name, de_channels=CHANNELS, start="neutral")
    assert all(value.is_meta for value in module.state_dict().values())
    assert list(module.state_dict()) == list(build(name, "published").state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_another_start_is_refused(name: str) -> None:
    for make in (lambda: build(name, "uniform"), lambda: upsampler_factory(name, start="uniform")):
        with pytest.raises(ValueError, match="start is 'uniform', valid: 'published', 'neutral'"):
            make()
    assert upsampler_factory(name, start="neutral")(CHANNELS).start == "neutral"
    assert build(name, "published").start == create_upsampler(name, de_channels=CHANNELS).start == "published"


def test_a_class_that_knows_no_start_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep gives its start to all upsamplers, those of a user's own too."""

    class Plain(Upsampler):
        def __init__(self, de_channels, en_channels=None, scale_factor=2, *, depth=1):
            super().__init__(de_channels, en_channels, scale_factor)
            self.depth = depth

    class Open(Plain):
        def __init__(self, *channels, **options):
            Upsampler.__init__(self, *channels, **options)

    for name, kind in (("plain", Plain), ("open", Open)):
        monkeypatch.setitem(UPSAMPLERS.factories, name, (kind, {}))
    for start in STARTS:
        assert upsampler_factory("plain", start=start, depth=3)(8).start == "published"
        assert create_upsampler("plain", de_channels=8, start=start).depth == 1
        assert create_upsampler("open", de_channels=8, start=start).start == start
    with pytest.raises(ValueError, match="start is None, valid"):
        upsampler_factory("plain", start=None)


def test_it_shows_when_printed() -> None:
    assert "scale_factor=2, start=neutral" in repr(FADE(8, start="neutral"))
    assert "start" not in repr(FADE(8))

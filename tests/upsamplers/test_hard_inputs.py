"""What no upsampler may choke on or lie about: NaN, infinite and huge values, no images, maps that do not fit."""

import copy
import re
from functools import partial
from typing import get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from upsamplers.asking import asked

from denseup.ops import use_backend
from denseup.upsamplers import Upsampler, create_upsampler, list_upsamplers

NAMES = list_upsamplers()
CHANNELS = 16
LOW, HIGH = (5, 6), (10, 12)
HUGE = {torch.float32: 1e30, torch.bfloat16: 1e30, torch.float16: 6e4}


class Stage(nn.Module):
    """What a network does with an upsampler: its output, and the pooled map of one that pools."""

    def __init__(self, upsampler: Upsampler) -> None:
        super().__init__()
        self.upsampler = upsampler

    def forward(self, de: Tensor, en: Tensor) -> tuple[Tensor, ...]:
        more = asked(self.upsampler, en)
        if not self.upsampler.paired:
            return (self.upsampler(de, en, **more),)
        pooled, state = self.upsampler.downsample(en)
        return self.upsampler(de, en, state=state, **more), self.upsampler(de, en, **more), pooled


def build(name: str, dtype: torch.dtype = torch.float32, **options: object) -> Stage:
    """With weights that are nowhere zero, for zeros hide what is read."""
    torch.manual_seed(0)
    upsampler = create_upsampler(name, **({"de_channels": CHANNELS} | options)).eval()
    for parameter in upsampler.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return Stage(upsampler.to(dtype))


def maps(dtype: torch.dtype = torch.float32, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    de, en = (torch.randn(batch, CHANNELS, *size, generator=generator).to(dtype) for size in (LOW, HIGH))
    return de, en


def results(stage: Stage, de: Tensor, en: Tensor, backend: str | None = None) -> dict[str, Tensor]:
    """Outputs, and the gradients of maps and parameters, in channels-last, where the C kernels serve."""
    leaves = {k: x.contiguous(memory_format=torch.channels_last).requires_grad_() for k, x in (("de", de), ("en", en))}
    leaves |= dict(stage.named_parameters())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DENSEUP_BACKEND", backend or "")
        outputs = stage(leaves["de"], leaves["en"])
        weights = [torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).to(x.dtype) for x in outputs]
        grads = torch.autograd.grad(outputs, list(leaves.values()), weights, allow_unused=True)
    found = {f"output {k}": x.detach() for k, x in enumerate(outputs)}
    return found | {k: g for k, g in zip(leaves, grads, strict=True) if g is not None}


SPOTS = ((0, 0, 0), (0, 2, 3), (1, 0, 0), (1, 5, 6))
"""A map, a row and a column for each image but the last, which stays clean."""


def spoilt(value: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Maps of five images, four of which have the value somewhere."""
    pair = maps(dtype, batch=len(SPOTS) + 1)
    for image, (which, row, column) in enumerate(SPOTS):
        pair[which][image, 1, row, column] = value
    return pair


@pytest.mark.parametrize("dtype", HUGE, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_nan_in_nan_out(name: str, dtype: torch.dtype) -> None:
    """Where the reference has NaN, forward and backward, all back ends have; what does not see it is as it was."""
    stage = build(name, dtype)
    clean = results(stage, *maps(dtype, batch=len(SPOTS) + 1))
    pair = spoilt(torch.nan, dtype)
    found, expected = results(stage, *pair), results(stage, *pair, "reference")
    guided = stage.upsampler.guided or stage.upsampler.needs_image
    assert [bool(x.isnan().any()) for x in found["output 0"]] == [True, True, guided, guided, False]
    for key, value in found.items():
        assert torch.equal(value.isnan(), expected[key].isnan()), key
    for key in (k for k in found if k.startswith("output")):
        kept = ~found[key].isnan()
        torch.testing.assert_close(found[key][kept], clean[key][kept], rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, "huge", "largest"])
@pytest.mark.parametrize("name", NAMES)
def test_infinite_and_huge_values(name: str, value: float | str) -> None:
    """Finite where the reference is, and an image without them is as it was."""
    for dtype in (torch.float32, torch.bfloat16):
        stage = build(name, dtype)
        number = {"huge": HUGE[dtype], "largest": torch.finfo(dtype).max}.get(value, value)
        clean = results(stage, *maps(dtype, batch=len(SPOTS) + 1))
        pair = spoilt(float(number), dtype)
        found, expected = results(stage, *pair), results(stage, *pair, "reference")
        for key in (k for k in found if k.startswith("output")):
            torch.testing.assert_close(found[key][-1], clean[key][-1], rtol=2e-2, atol=1e-3)
            if value != "largest":  # whose sums overflow or not, as they are ordered
                assert torch.equal(found[key].isfinite(), expected[key].isfinite()), key


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_no_images(name: str, layout: torch.memory_format) -> None:
    stage = build(name)
    for backend in (None, "reference"):
        de, en = (x.contiguous(memory_format=layout).requires_grad_() for x in maps(batch=0))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DENSEUP_BACKEND", backend or "")
            outputs = stage(de, en)
            assert outputs[0].shape == (0, CHANNELS, *HIGH)
            stage.zero_grad()
            torch.stack([x.sum() for x in outputs]).sum().backward()
        assert de.grad is not None
        assert de.grad.shape == de.shape
        for key, parameter in stage.named_parameters():
            assert parameter.grad is not None, key
            assert not parameter.grad.any(), key


@pytest.mark.parametrize("name", NAMES)
def test_one_pixel_and_one_channel(name: str) -> None:
    upsampler = build(name).upsampler
    de, en = torch.randn(1, CHANNELS, 1, 1), torch.randn(1, CHANNELS, 2, 2)
    assert Stage(upsampler)(de, en)[0].isfinite().all()
    try:
        narrow = build(name, de_channels=1)
    except ValueError as error:  # groups of 4, or a shuffle of 4
        if "de_channels" not in str(error):
            raise
        return
    de, en = (x[:, :1].requires_grad_() for x in maps())
    sum(x.sum() for x in narrow(de, en)).backward()
    assert de.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_no_size_are_refused(name: str) -> None:
    upsampler = build(name).upsampler
    de, en = maps()
    for size in ((0, 6), (5, 0)):
        with pytest.raises(ValueError, match=rf"de is \[2, 16, {size[0]}, {size[1]}\], expected .* H and W ≥ 1"):
            upsampler(de[:, :, : size[0], : size[1]], en)
    with pytest.raises(ValueError, match=r"en is \[2, 16, 0, 12\], expected .* H and W ≥ 1"):
        upsampler.downsample(en[:, :, :0])
    with pytest.raises(ValueError, match="output_size is"):
        upsampler(de, en if upsampler.guided else None, output_size=(0, 0))


@pytest.mark.parametrize("name", NAMES)
def test_traced(name: str) -> None:
    stage = build(name)
    for layout in (torch.contiguous_format, torch.channels_last):
        de, en = (x.contiguous(memory_format=layout) for x in maps())
        traced = torch.jit.trace(stage, (de, en))
        assert "denseup::" not in str(traced.inlined_graph)  # a file of it runs where denseup is not
        for first, second in ((de, en), (de.flip(0) + 1, 2 * en.flip(2))):
            torch.testing.assert_close(traced(first, second), stage(first, second), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_mapped(name: str) -> None:
    """`torch.vmap` over both maps, and over one of them."""
    stage = build(name)
    de, en = (torch.stack([x, 0.5 * x, -x]) for x in maps())
    for dims in ((0, 0), (0, None)):
        pairs = [(de[k], en[k] if dims[1] == 0 else en[0]) for k in range(3)]
        expected = [torch.stack(x) for x in zip(*(stage(*pair) for pair in pairs), strict=True)]
        found = torch.vmap(stage, dims)(de, en if dims[1] == 0 else en[0])
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_numbers(name: str) -> None:
    """NumPy's integers are integers; what is none is refused by its name."""
    numbers = {"de_channels": np.int64(16), "en_channels": np.int32(16), "scale_factor": np.uint8(2)}
    upsampler = create_upsampler(name, **numbers)
    assert [type(getattr(upsampler, key)) for key in numbers] == [int] * 3
    de, en = maps()
    size = (np.int64(10), np.int64(12))
    guide = en if upsampler.guided else None
    assert upsampler(de, guide, output_size=size, **asked(upsampler, en)).shape[2:] == HIGH
    for key in numbers:
        for wrong in (True, 16.0, "16", np.float32(16), -1):
            with pytest.raises(ValueError, match=rf"{key} is {re.escape(repr(wrong))}, expected a whole number ≥ 1"):
                create_upsampler(name, **(numbers | {key: wrong}))


OPTIONS = ("kernel_size", "groups", "embed_channels", "encoder_kernel_size", "encoder_dilation")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", OPTIONS)
def test_numbers_that_are_options(name: str, option: str) -> None:
    taken = create_upsampler(name, de_channels=16).__init__.__kwdefaults__ or {}
    if option not in taken:
        return
    value = taken[option] or 4
    assert create_upsampler(name, de_channels=16, **{option: np.int64(value)}) is not None
    for wrong in (True, float(value), 0, -3):
        with pytest.raises(ValueError, match=rf"{option} is {wrong!r}, expected"):
            create_upsampler(name, de_channels=16, **{option: wrong})


@pytest.mark.parametrize("name", NAMES)
def test_other_dtypes_and_devices(name: str) -> None:
    """An answer in the dtype of `de`, or an error that names the map."""
    stage = build(name)
    de, en = maps()
    for first, second in ((de.bfloat16(), en), (de, en.bfloat16()), (de.double(), en), (de.bfloat16(), en.bfloat16())):
        try:
            assert stage(first, second)[0].dtype == first.dtype
        except ValueError as error:
            if not re.search(r"the dtype of (de|en|image) is torch\.\w+, expected torch\.", str(error)):
                raise
    for first, second in ((de.to("meta"), en), (de, en.to("meta"))):
        if stage.upsampler.guided:
            with pytest.raises(ValueError, match="the device of en is"):
                stage(first, second)
    half = copy.deepcopy(stage).bfloat16()
    assert half(de.bfloat16(), en.bfloat16())[0].dtype == torch.bfloat16


@pytest.mark.parametrize("name", NAMES)
def test_other_batches_are_refused(name: str) -> None:
    upsampler = build(name).upsampler
    de, en = maps()
    if upsampler.guided:
        with pytest.raises(ValueError, match="en has 1 images, de has 2"):
            upsampler(de, en[:1])


def test_a_back_end_that_is_asked_for_serves_no_images() -> None:
    de, en = maps(batch=0)
    with use_backend("cpu"):
        assert build("sapa")(de, en)[0].shape == (0, CHANNELS, *HIGH)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [2**24 + 1, 2**31, 2**62 + 1, 2**70])
def test_numbers_of_which_no_memory_holds_the_weights(name: str, number: int) -> None:
    kind = type(create_upsampler(name, de_channels=16))
    for option in (option for option, hint in get_type_hints(kind.__init__).items() if hint in (int, int | None)):
        for make in (partial(create_upsampler, name), kind):
            with pytest.raises(ValueError, match=rf"^{option} is {number}, expected an? \w+ number ≥ 1 and ≤ {2**24}"):
                make(**{"de_channels": 16, option: number})


@pytest.mark.parametrize("name", [name for name in NAMES if build(name).upsampler.paired])
def test_a_state_is_dense(name: str) -> None:
    upsampler, (de, en) = build(name).upsampler, maps()
    state = upsampler.downsample(en)[1]
    first = state[0] if isinstance(state, tuple) else state
    for spoiled in (first.detach().to_sparse(), torch.nested.nested_tensor(list(first.detach()))):
        given = type(state)(spoiled, *state[1:]) if isinstance(state, tuple) else spoiled
        with pytest.raises(ValueError, match=r"state holds Tensor, no dense one, expected \[2, C, H, W\]"):
            upsampler(de, en, state=given)

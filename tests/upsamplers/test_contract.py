"""What every registered upsampler owes its callers. No test names an operator: the registry does."""

import copy
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from upsamplers.asking import asked

from denseup.upsamplers import Upsampler, create_upsampler, list_upsamplers, register_upsampler

NAMES = list_upsamplers()
CHANNELS = 32
SIZES = [
    ((6, 7), (12, 14)),
    ((5, 5), (10, 10)),
    ((67, 71), (133, 141)),
    ((4, 6), (12, 18)),
    ((8, 6), (12, 9)),
    ((3, 4), (12, 16)),
]

# What torch 2.13's inductor refuses where sizes are symbols: it cannot order the strides of a view that it saves for
# the backward of a convolution ("cannot determine truth value of Relational"), here LDA-AQU's normalised map.
STATIC_ONLY = {"lda_aqu"}


def build(name: str, **kwargs) -> Upsampler:
    torch.manual_seed(0)
    return create_upsampler(name, **({"de_channels": CHANNELS, "en_channels": CHANNELS} | kwargs)).eval()


def features(
    low: tuple[int, int],
    high: tuple[int, int],
    batch: int = 2,
    dtype: torch.dtype = torch.float32,
    channels: int = CHANNELS,
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(batch, channels, *low, generator=generator, dtype=torch.float64).to(dtype),
        torch.randn(batch, channels, *high, generator=generator, dtype=torch.float64).to(dtype),
    )


def call(module: Upsampler, de: Tensor, en: Tensor) -> Tensor:
    """One stage, as a network runs it: the encoder's down-sampling first, then the upsampling."""
    state = module.downsample(en)[1] if module.paired else None
    return module(de, en, state=state, **asked(module, en))


def alone(module: Upsampler, de: Tensor, en: Tensor) -> Tensor:
    """As a plug-in, in a network that pools by itself."""
    return module(de, en, **asked(module, en))


def uses(module: Upsampler) -> list[Callable[[Upsampler, Tensor, Tensor], Tensor]]:
    """`call`, and for a paired operator also `alone`."""
    return [call, alone] if module.paired else [call]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("low", "high"), SIZES)
def test_any_size(name: str, low: tuple[int, int], high: tuple[int, int]) -> None:
    module = build(name)
    de, en = features(low, high, batch=1)
    if module.exact_factor_only:
        factor = whole_factor(low, high)
        refuses(module, de, high) if factor != 2 else None
        if factor is None:
            return
        module = build(name, scale_factor=factor)
    out = call(module, de, en)
    assert out.shape == (1, CHANNELS, *high)
    assert out.isfinite().all()
    if not module.guided:
        assert torch.equal(module(de, output_size=high, **asked(module, en)), out)


def whole_factor(low: tuple[int, int], high: tuple[int, int]) -> int | None:
    factor = high[0] // low[0]
    return factor if high == (factor * low[0], factor * low[1]) else None


def refuses(module: Upsampler, de: Tensor, size: tuple[int, int]) -> None:
    """An operator of one factor names the size that came, the only valid one, and its reason."""
    message = f"output_size is {size}, expected {(2 * de.shape[2], 2 * de.shape[3])}"
    with pytest.raises(ValueError, match=f"{re.escape(message)}.*{re.escape(module.exact_factor_only)}"):
        module(de, output_size=size)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("low", "high"), SIZES)
def test_paired_operators_work_in_networks_that_pool_by_themselves(
    name: str, low: tuple[int, int], high: tuple[int, int]
) -> None:
    module = build(name).double()
    de, en = (x.requires_grad_() for x in features(low, high, batch=1, dtype=torch.float64))
    if module.paired:
        out = alone(module, de, en)
        assert out.shape == (1, CHANNELS, *high)
        assert out.isfinite().all()
        out.sum().backward()
        assert de.grad.abs().sum() > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(12, 14), (11, 13)])
def test_downsample_halves_and_the_pair_fits(name: str, size: tuple[int, int]) -> None:
    module = build(name)
    en = features((1, 1), size)[1]
    pooled, state = module.downsample(en)
    assert pooled.shape == (2, CHANNELS, (size[0] + 1) // 2, (size[1] + 1) // 2)
    if module.exact_factor_only and size != (12, 14):
        refuses(module, pooled, size)
        return
    assert module(pooled, en, state=state, **asked(module, en)).shape == en.shape


@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_feature_comes_back_with_the_output(name: str) -> None:
    """The same output as without, and `en` itself unless the operator says that it changes it."""
    module = build(name)
    de, en = features((5, 6), (10, 12))
    for state in (module.downsample(en)[1], None):
        out, changed = module(de, en, state=state, return_en=True, **asked(module, en))
        assert torch.equal(out, module(de, en, state=state, **asked(module, en)))
        assert changed.shape == en.shape
        assert changed is en or module.changes_en
    if not module.guided:
        assert module(de, output_size=(10, 12), return_en=True, **asked(module, en))[1] is None


@pytest.mark.parametrize("name", NAMES)
def test_a_state_of_another_feature_is_refused(name: str) -> None:
    module = build(name)
    de, en = features((5, 6), (10, 12))
    _, state = module.downsample(en[:, :, :8])
    if state is not None:
        with pytest.raises(ValueError, match=r"state is of an encoder feature \(8, 12\) in size, but en is \(10, 12\)"):
            module(de, en, state=state, **asked(module, en))


@pytest.mark.parametrize("name", NAMES)
def test_scale_factor_gives_the_size_where_nothing_else_does(name: str) -> None:
    module = build(name, scale_factor=3, de_channels=72, en_channels=72)
    if not module.guided and not module.paired:
        de, en = features((4, 5), (12, 15), channels=72)
        assert module(de, **asked(module, en)).shape[2:] == (12, 15)


@pytest.mark.parametrize("name", NAMES)
def test_layout_and_strides_do_not_matter(name: str) -> None:
    module = build(name).double()
    de, en = features((5, 6), (10, 12), dtype=torch.float64)
    expected = call(module, de, en)
    last = call(module, *(x.to(memory_format=torch.channels_last) for x in (de, en)))
    strided = call(module, *(x.mT.contiguous().mT for x in (de, en)))
    torch.testing.assert_close(last, expected, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(strided, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_batch_items_do_not_mix(name: str) -> None:
    module = build(name).double()
    de, en = features((5, 6), (10, 12), batch=3, dtype=torch.float64)
    whole = call(module, de, en)
    torch.testing.assert_close(call(module, de[1:2], en[1:2]), whole[1:2], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_and_input_gets_a_gradient(name: str) -> None:
    module = build(name).train()
    de, en = (x.requires_grad_() for x in features((5, 6), (10, 12)))
    pooled, state = module.downsample(en)
    out, changed = module(de, en, state=state, return_en=True, **asked(module, en))
    outputs = [out] + [changed] * module.changes_en + [pooled] * module.paired
    generator = torch.Generator().manual_seed(2)
    torch.autograd.backward(outputs, [torch.randn(out.shape, generator=generator) for out in outputs])
    assert de.grad.abs().sum() > 0
    assert not module.guided or en.grad.abs().sum() > 0
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_right(name: str) -> None:
    module = create_upsampler(name, de_channels=CHANNELS).double().eval()
    de, en = (x[:1].requires_grad_() for x in features((2, 3), (4, 6), dtype=torch.float64))
    for use in uses(module):
        assert torch.autograd.gradcheck(lambda a, b, use=use: use(module, a, b), (de, en), fast_mode=True)
        assert torch.autograd.gradgradcheck(lambda a, b, use=use: use(module, a, b), (de, en), fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_the_downsampling_are_right(name: str) -> None:
    module = create_upsampler(name, de_channels=CHANNELS).double().eval()
    en = features((1, 1), (5, 6), dtype=torch.float64)[1][:1].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: module.downsample(x)[0], en, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: module.downsample(x)[0], en, fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trip(name: str) -> None:
    source, target = build(name), create_upsampler(name, de_channels=CHANNELS).eval()
    target.load_state_dict(copy.deepcopy(source.state_dict()))
    de, en = features((5, 6), (10, 12))
    assert torch.equal(call(source, de, en), call(target, de, en))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2**-7), (torch.float16, 2**-10)])
def test_half_precision_stays_within_its_own_rounding(name: str, dtype: torch.dtype, tolerance: float) -> None:
    """Against float32 on the same rounded inputs and weights, in units of the output's magnitude."""
    module = build(name).to(dtype)
    de, en = features((8, 9), (16, 18), dtype=dtype)
    for use in uses(module):
        out = use(module, de, en)
        exact = use(copy.deepcopy(module).float(), de.float(), en.float())
        assert out.dtype == dtype
        error = (out.float() - exact).abs()
        assert error.max() <= 8 * tolerance * exact.abs().max()
        assert error.mean() <= tolerance * exact.abs().mean()


@pytest.mark.parametrize("name", NAMES)
def test_autocast(name: str) -> None:
    module = build(name)
    de, en = features((8, 9), (16, 18))
    for use in uses(module):
        with torch.autocast("cpu", torch.bfloat16):
            out = use(module, de, en)
        torch.testing.assert_close(out.float(), use(module, de, en), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_compiles_without_a_graph_break(name: str) -> None:
    torch._dynamo.reset()  # one function compiled for every operator would count as that many recompilations
    module = build(name, **({"scale_factor": 4} if name == "jbu_stack" else {}))  # two steps of four, which are alike
    de, en = features((5, 6), (10, 12))
    for use in uses(module):
        compiled = torch.compile(lambda a, b, use=use: use(module, a, b), fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(de, en), use(module, de, en))


@pytest.mark.parametrize("name", NAMES)
def test_one_compiled_graph_serves_any_size(name: str) -> None:
    torch._dynamo.reset()
    module = build(name)
    counter = CompileCounterWithBackend("eager")

    def stage(de: Tensor, en: Tensor) -> Tensor:
        state = module.downsample(en)[1] if module.paired else None
        return module(de, en, output_size=en.shape[2:], state=state, **asked(module, en))

    compiled = torch.compile(stage, fullgraph=True, dynamic=True, backend=counter)
    for batch, (height, width) in enumerate(((5, 6), (6, 9), (11, 4)), 2):  # torch chooses convolutions by the batch
        de, en = features((height, width), (2 * height, 2 * width), batch=batch)
        torch.testing.assert_close(compiled(de, en), call(module, de, en))
    assert counter.frame_count == 1


@pytest.mark.slow
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_compiled_code_gives_the_same(name: str, layout: torch.memory_format) -> None:
    """The whole way through inductor, forward and backward, one size after another; it needs a C++ compiler."""
    module = build(name)
    dynamic = False if name in STATIC_ONLY else None
    sizes = [((7, 9), (13, 17)), ((8, 5), (15, 9)), ((7, 9), (14, 18)), ((5, 6), (15, 18))]
    if module.exact_factor_only:
        sizes = [(low, (2 * low[0], 2 * low[1])) for low, _ in sizes]
    for use in uses(module):
        torch._dynamo.reset()
        compiled = torch.compile(lambda a, b, use=use: use(module, a, b), fullgraph=True, dynamic=dynamic)
        for low, high in sizes:
            de, en = (x.contiguous(memory_format=layout).requires_grad_() for x in features(low, high))
            leaves = [de, en, *module.parameters()]
            with torch._inductor.config.patch({"cpp.threads": 2, "force_disable_caches": True}):
                out, expected = compiled(de, en), use(module, de, en)
                torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
                weights = torch.randn_like(expected)
                grads = [torch.autograd.grad(y, leaves, weights, materialize_grads=True) for y in (out, expected)]
            torch.testing.assert_close(*grads, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("name", NAMES)
def test_other_encoder_channels(name: str) -> None:
    reason = build(name).equal_channels_only
    if reason:
        message = f"en_channels is {2 * CHANNELS}, expected de_channels, {CHANNELS}: {reason}"
        with pytest.raises(ValueError, match=re.escape(message)):
            build(name, en_channels=2 * CHANNELS)
        return
    module = build(name, en_channels=2 * CHANNELS)
    de, _ = features((5, 6), (10, 12))
    en = torch.randn(2, 2 * CHANNELS, 10, 12)
    assert call(module, de, en).shape == (2, CHANNELS, 10, 12)


@pytest.mark.parametrize("name", NAMES)
def test_errors_name_the_argument(name: str) -> None:
    module = build(name)
    de, en = features((5, 6), (10, 12))
    with pytest.raises(ValueError, match=r"swapped.*\(de, en\)"):
        module(en, de)
    with pytest.raises(ValueError, match=rf"de is \[2, 7, 5, 6\], expected a tensor \[B, {CHANNELS}, H, W\]"):
        module(de[:, :7], en)
    with pytest.raises(ValueError, match="output_size is"):
        module(de, en if module.guided else None, output_size=(3, 3))
    for size in ((12.0, 14.0), (12, 14, 1), 12, torch.tensor([12, 14])):
        with pytest.raises(ValueError, match="expected \\(height, width\\), two whole numbers"):
            module(de, en, output_size=size)
    with pytest.raises(ValueError, match="de_channels is 0"):
        create_upsampler(name, de_channels=0)
    if module.guided:
        with pytest.raises(ValueError, match="needs en"):
            module(de)
        with pytest.raises(ValueError, match=r"en is \[2, 7, 10, 12\]"):
            module(de, en[:, :7])
    if module.needs_image:
        check_errors_of_the_image(module, de, en)


def check_errors_of_the_image(module: Upsampler, de: Tensor, en: Tensor) -> None:
    with pytest.raises(ValueError, match=r"guided by the image: it needs image, \[B, C, H, W\] with H, W ≥ \(10, 12\)"):
        module(de, en)
    with pytest.raises(ValueError, match=r"image is \(9, 12\) in size, expected at least the output's, \(10, 12\)"):
        module(de, en, image=en[:, :3, 1:])
    with pytest.raises(ValueError, match="image has 1 images, de has 2"):
        module(de, en, image=en[:1, :3])
    with pytest.raises(ValueError, match=r"image is \[3, 10, 12\], expected a tensor \[B, C, H, W\]"):
        module(de, en, image=en[0, :3])


@pytest.mark.parametrize("name", NAMES)
def test_prints_its_channels(name: str) -> None:
    assert f"de_channels={CHANNELS}" in repr(build(name))


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(ValueError, match=rf"'fade_light' is unknown. Did you mean 'fade_lite'\? Known: {NAMES[0]}, "):
        create_upsampler("fade_light", de_channels=8)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="'fade' is registered already"):

        @register_upsampler("fade")
        class Other(Upsampler):
            pass

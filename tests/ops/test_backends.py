"""Every back end against the reference in float64: dtype × layout × shape, all gradients, one table of tolerances.

A back end that cannot serve a case skips it with its own words as the reason. Back ends for GPUs run on one where
there is one; Triton's runs in its interpreter elsewhere.
"""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch
from torch import Tensor

from denseup.ops import available_backends, local_similarity, reassemble, reassemble_gated, use_backend
from denseup.ops.geometry import layout
from denseup.ops.reassembly.backends import BACKENDS

TOLERANCES = {torch.float64: 1e-13, torch.float32: 4e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
"""Largest difference from the reference on the same inputs in float64, relative to the largest value of the result.

Single precision: 34 eps. The longest sums here, 8600 products for the gradient of a weight, take 6 of them at the most
(see `rounding.check_sums`), Winograd's transforms of the map and back twice that; each instruction set of the kernels
stays within a third. Half-precision inputs are exact and sums are float32, so what remains is the rounding of results
and of gradients.
"""

SHAPES = [  # low, high, channels, groups, kernel size
    ((4, 5), (8, 10), 16, 1, 5),
    ((6, 7), (12, 14), 64, 1, 3),
    ((5, 3), (7, 8), 40, 2, 3),
    ((4, 4), (12, 9), 3, 1, 5),
    ((1, 1), (1, 1), 1, 1, 1),
    ((3, 4), (12, 16), 80, 4, 7),
    ((18, 2), (36, 5), 130, 1, 5),
    ((2, 33), (4, 66), 8, 1, 3),
    ((5, 21), (5, 21), 9, 1, 3),
    ((6, 39), (6, 39), 66, 1, 5),
    ((9, 13), (9, 13), 50, 2, 7),
    ((7, 10), (7, 10), 3, 3, 9),
    ((3, 4), (3, 4), 130, 1, 9),
]
INTERPRETED = [SHAPES[i] for i in (3, 4, 7, 8, 11)]
"""What is small enough for Triton's interpreter: up to 20,000 multiply-adds."""
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last, "strided": None}
Operator = Callable[[dict[str, Tensor], int, int], Tensor]
FUNCTIONS: dict[str, tuple[tuple[str, ...], Operator]] = {
    "reassemble": (("de", "logits"), lambda x, k, g: reassemble(x["de"], x["logits"], k, g)),
    "softmax": (("de", "logits"), lambda x, k, g: reassemble(x["de"], x["logits"], k, g, normalize="softmax")),
    "gated": (
        ("de", "logits", "en", "gate"),
        lambda x, k, g: reassemble_gated(x["de"], x["logits"], x["en"], x["gate"], k, g),
    ),
    "similarity": (("en", "de"), lambda x, k, g: local_similarity(x["en"], x["de"], k, g)),
}


def tensors(shape: tuple, dtype: torch.dtype) -> dict[str, Tensor]:
    low, high, channels, groups, kernel_size = shape
    generator = torch.Generator().manual_seed(0)

    def normal(channels: int, size: tuple[int, int]) -> Tensor:
        return torch.randn(2, channels, *size, generator=generator, dtype=torch.float64).to(dtype)

    made = {"de": normal(channels, low), "logits": normal(groups * kernel_size**2, high), "en": normal(channels, high)}
    return made | {"gate": normal(1, low).sigmoid()}


DEVICES = {"triton": "cuda", "mmcv": "cuda"} if torch.cuda.is_available() else {}


@pytest.fixture
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A back end by name, able to run here if it can be."""
    if request.param == "triton" and not DEVICES:
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    return str(request.param)


def laid_out(x: Tensor, name: str) -> Tensor:
    if name == "strided":
        wide = x.repeat_interleave(2, 3)
        return wide[..., ::2]
    return x.contiguous(memory_format=LAYOUTS[name])


def run(operator: str, inputs: dict[str, Tensor], shape: tuple) -> list[Tensor]:
    """Output and gradients."""
    names, call = FUNCTIONS[operator]
    leaves = {name: inputs[name].detach().requires_grad_() for name in names}
    out = call(leaves, shape[4], shape[3])
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = weights.to(out.device, out.dtype)
    return [out.detach(), *torch.autograd.grad(out, list(leaves.values()), weights)]


def skip_if_unsupported(backend: str, de: Tensor, kernel_size: int, groups: int) -> None:
    reasons = BACKENDS.get(backend).unsupported_reasons(de, kernel_size, groups)
    if reasons:
        pytest.skip(f"{backend}: {'; '.join(reasons)}")


def cases() -> Iterator[object]:
    """Everything, but a dtype that a back end has nothing for here only once, to show its reason.

    What takes Triton's interpreter long is marked as slow.
    """
    shown, quick = set(), set(interpreted())
    for backend, operator, dtype, name, shape in itertools.product(
        available_backends(), FUNCTIONS, TOLERANCES, LAYOUTS, SHAPES
    ):
        served = serves(backend, dtype)
        if not served and (backend, dtype) in shown:
            continue
        shown.add((backend, dtype))
        long = backend == "triton" and not DEVICES and served and (operator, dtype, name, shape) not in quick
        yield pytest.param(backend, operator, dtype, name, shape, marks=[pytest.mark.slow] * long)


def interpreted() -> Iterator[tuple[str, torch.dtype, str, tuple]]:
    """The cases that Triton's interpreter is given each time.

    Every operator in every dtype and layout, with one of the shapes, so that all operators, dtypes and layouts meet all
    shapes.
    """
    dtypes = [dtype for dtype in TOLERANCES if serves("triton", dtype)]
    each = itertools.product(dtypes, ("contiguous", "channels_last"))
    for k, ((dtype, name), (place, operator)) in enumerate(itertools.product(each, enumerate(FUNCTIONS))):
        yield operator, dtype, name, INTERPRETED[(k // len(FUNCTIONS) + 2 * place) % len(INTERPRETED)]


def test_the_interpreter_meets_every_pair() -> None:
    """Of two among operator, dtype, layout and shape."""
    met = list(interpreted())
    for one, other in itertools.combinations(range(4), 2):
        pairs = {(case[one], case[other]) for case in met}
        assert len(pairs) == len({case[one] for case in met}) * len({case[other] for case in met}), (one, other)
    assert {case[3] for case in met} in (set(), set(INTERPRETED))


def serves(backend: str, dtype: torch.dtype) -> bool:
    """Whether a back end has anything for a dtype on this machine, Triton's interpreter included."""
    with pytest.MonkeyPatch.context() as patch:
        if backend == "triton" and not DEVICES:
            patch.setenv("TRITON_INTERPRET", "1")
        de = torch.empty(1, 8, 4, 4, dtype=dtype, device=DEVICES.get(backend, "cpu"))
        return not BACKENDS.get(backend).unsupported_reasons(de, 3, 1)


@cache
def truth(operator: str, dtype: torch.dtype, shape: tuple) -> list[Tensor]:
    """Output and gradients of the reference in float64; the values are the same in every layout."""
    with use_backend("reference"):
        return run(operator, {name: x.double() for name, x in tensors(shape, dtype).items()}, shape)


@pytest.mark.parametrize(("backend", "operator", "dtype", "layout_name", "shape"), cases(), indirect=["backend"])
def test_parity(backend: str, operator: str, dtype: torch.dtype, layout_name: str, shape: tuple) -> None:
    check_parity(backend, operator, dtype, layout_name, shape)


def check_parity(backend: str, operator: str, dtype: torch.dtype, layout_name: str, shape: tuple) -> None:
    """Assert that output and gradients are those of the reference in float64."""
    device = DEVICES.get(backend, "cpu")
    inputs = {name: laid_out(x.to(device), layout_name) for name, x in tensors(shape, dtype).items()}
    skip_if_unsupported(backend, inputs["de"], shape[4], shape[3])
    expected = truth(operator, dtype, shape)
    with use_backend(backend):
        actual = run(operator, inputs, shape)
    assert layout(actual[0]) == layout(inputs[FUNCTIONS[operator][0][0]])
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype == dtype
        scale = theirs.abs().max().clamp(min=1e-3)
        assert (ours.cpu().double() - theirs).abs().max() <= TOLERANCES[dtype] * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("operator", FUNCTIONS)
def test_every_instruction_set(instructions: str, operator: str, dtype: torch.dtype) -> None:
    for shape in SHAPES:
        check_parity("cpu", operator, dtype, "channels_last", shape)


@pytest.mark.parametrize("operator", ["reassemble", "gated"])
def test_results_that_are_streamed_past_the_caches(instructions: str, operator: str) -> None:
    """As floats from 4 MiB on are."""
    check_parity("cpu", operator, torch.float32, "channels_last", ((64, 65), (128, 130), 64, 2, 5))


def test_opcheck() -> None:
    x = {name: tensor.float().requires_grad_() for name, tensor in tensors(SHAPES[2], torch.float64).items()}
    high = x["en"].detach().clone().requires_grad_()
    for backend in available_backends():
        if BACKENDS.get(backend).unsupported_reasons(x["de"], 3, 2):
            continue
        end = (3, 2, backend)
        torch.library.opcheck(torch.ops.denseup.reassemble.default, (x["de"], x["logits"], *end))
        torch.library.opcheck(torch.ops.denseup.local_similarity.default, (high, x["de"], *end))
        torch.library.opcheck(torch.ops.denseup.reassemble_adjoint.default, (high, x["logits"], 3, 2, 5, 3, backend))
        last = {name: tensor.detach().contiguous(memory_format=torch.channels_last) for name, tensor in x.items()}
        for inputs in (x, last):
            torch.library.opcheck(torch.ops.denseup.fused_reassemble.default, (*inputs.values(), *end))
            torch.library.opcheck(
                torch.ops.denseup.fused_reassemble.default, (inputs["de"], inputs["logits"], None, None, *end)
            )
            torch.library.opcheck(torch.ops.denseup.fused_reassemble_backward.default, (high, *inputs.values(), *end))


@pytest.mark.parametrize("operator", ["softmax", "gated"])
def test_gradients_of_softmax_and_gate_of_first_and_second_order(operator: str) -> None:
    inputs = tensors(((2, 3), (5, 6), 4, 2, 3), torch.float64)
    names, call = FUNCTIONS[operator]
    leaves = [inputs[name].requires_grad_() for name in names]

    def function(*values: Tensor) -> Tensor:
        return call(dict(zip(names, values, strict=True)), 3, 2)

    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("backend", available_backends())
def test_vmap_joins_the_batch(backend: str) -> None:
    maps = torch.randn(3, 2, 4, 3, 5)
    kernels = torch.randn(2, 9, 6, 10)
    skip_if_unsupported(backend, maps[0], 3, 1)
    with use_backend(backend):
        mapped = torch.vmap(lambda de: reassemble(de, kernels, 3, normalize="softmax"))(maps)
        expected = torch.stack([reassemble(de, kernels, 3, normalize="softmax") for de in maps])
    torch.testing.assert_close(mapped, expected)


def test_nothing_but_inputs_and_gate_is_kept_for_backward() -> None:
    kept: list[Tensor] = []
    inputs = {name: x.float().requires_grad_() for name, x in tensors(SHAPES[0], torch.float64).items()}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        FUNCTIONS["gated"][1](inputs, 5, 1)
    assert sum(t.numel() for t in kept) == sum(x.numel() for x in inputs.values())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("en", torch.zeros(2, 16, 8, 9), ["en has shape [2, 16, 8, 9]", "[2, 16, 8, 10]"]),
        ("gate", torch.zeros(2, 1, 8, 10), ["gate has shape [2, 1, 8, 10]", "[2, 1, 4, 5]"]),
        ("logits", torch.zeros(2, 24, 8, 10), ["logits has shape [2, 24, 8, 10]", "[2, 25, H, W]"]),
    ],
)
def test_gated_errors_name_the_argument(name: str, value: Tensor, words: list[str]) -> None:
    inputs = tensors(SHAPES[0], torch.float32) | {name: value}
    with pytest.raises(ValueError, match=r".+") as error:
        reassemble_gated(*inputs.values(), 5)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_an_explicit_choice_that_cannot_run_says_why() -> None:
    x = tensors(SHAPES[0], torch.float64)
    with pytest.raises(ValueError, match=r"backend 'cpu' cannot serve this call: .*float64"):
        reassemble(x["de"], x["logits"], 5, backend="cpu")
    assert reassemble(x["de"], x["logits"], 5).dtype == torch.float64


def test_which_back_ends_are_usable_is_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "denseup.ops"], capture_output=True, text=True, check=True)
    for name in available_backends():
        assert name in done.stdout

"""The Triton back end against the reference: on a GPU where there is one, else in Triton's interpreter."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from golden import array, manifest
from rounding import check_sums
from torch import Tensor

from denseup.ops import reassemble as public_reassemble
from denseup.ops import resize_nearest
from denseup.ops.reassembly import reference
from denseup.ops.reassembly import triton as triton_backend

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# low, high, channels, groups, kernel size
CASES = [
    ((3, 5), (6, 10), 16, 2, 5),
    ((5, 3), (7, 8), 3, 1, 3),
    ((4, 4), (12, 9), 40, 4, 3),
    ((1, 1), (1, 1), 1, 1, 1),
    ((1, 2), (2, 4), 16, 1, 7),
    ((9, 18), (18, 36), 40, 1, 1),
    ((4, 5), (4, 5), 8, 2, 3),
]
LAYOUTS = [torch.contiguous_format, torch.channels_last]
LAYOUT_NAMES = ["nchw", "channels_last"]


@pytest.fixture(autouse=True)
def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    reasons = triton_backend.unsupported_reasons(torch.empty(1, 1, 1, 1, device=DEVICE), 3, 1)
    if reasons:
        pytest.skip("; ".join(reasons))


def maps(
    low: tuple[int, int], high: tuple[int, int], channels: int, kernel_channels: int, layout: torch.memory_format
) -> tuple[Tensor, Tensor, Tensor]:
    """Random features, kernels and high-resolution map, float32."""
    torch.manual_seed(0)
    shapes = (2, channels, *low), (2, kernel_channels, *high), (2, channels, *high)
    de, kernels, grad = (torch.randn(shape, device=DEVICE).to(memory_format=layout) for shape in shapes)
    return de, kernels, grad


def in_layout_of(x: Tensor, first: Tensor) -> bool:
    """Whether a result has the memory format that the first argument asks for."""
    last = first.is_contiguous(memory_format=torch.channels_last) and not first.is_contiguous()
    return x.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def plain_fused(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int
) -> Tensor:
    kernels = logits.unflatten(1, (groups, -1)).softmax(2).flatten(1, 2)
    up = public_reassemble(de, kernels, kernel_size, groups, backend="reference")
    if en is None or gate is None:
        return up
    g = resize_nearest(gate, (logits.shape[2], logits.shape[3]))
    return g * en + (1 - g) * up


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_NAMES)
@pytest.mark.parametrize(("low", "high", "channels", "groups", "kernel_size"), CASES)
def test_contractions_equal_the_reference(low, high, channels: int, groups: int, kernel_size: int, layout) -> None:
    de, kernels, grad = maps(low, high, channels, groups * kernel_size**2, layout)
    for name, arguments in {
        "reassemble": (de, kernels, kernel_size, groups),
        "adjoint": (grad, kernels, kernel_size, groups, low),
        "similarity": (grad, de, kernel_size, groups),
    }.items():
        actual = getattr(triton_backend, name)(*arguments)
        exact = [x.double() if isinstance(x, Tensor) else x for x in arguments]
        check_sums(actual, getattr(reference, name)(*exact), name)
        assert in_layout_of(actual, arguments[0]), name


def test_more_channels_than_a_tile_of_the_similarity() -> None:
    de, _, grad = maps((2, 3), (4, 6), 300, 9, torch.channels_last)
    expected = reference.similarity(grad.double(), de.double(), 3, 1)
    check_sums(triton_backend.similarity(grad, de, 3, 1), expected, "similarity")


FUSED = [
    pytest.param(
        *CASES[k], layout, gated, id=f"{CASES[k]}-{LAYOUT_NAMES[of]}-{gated}", marks=[] if quick else pytest.mark.slow
    )
    for k, (of, layout), gated in itertools.product(range(4), enumerate(LAYOUTS), (False, True))
    for quick in [DEVICE == "cuda" or k < 2 or (k + of) % 2 == gated]
]
"""In the interpreter two cases have each layout with the gate or without, and all four of them one of each."""


@pytest.mark.parametrize(("low", "high", "channels", "groups", "kernel_size", "layout", "gated"), FUSED)
def test_fused_equals_softmax_reassembly_and_gate(
    low, high, channels: int, groups: int, kernel_size: int, layout, gated: bool
) -> None:
    de, logits, en = maps(low, high, channels, groups * kernel_size**2, layout)
    gate = torch.rand(2, 1, *low, device=DEVICE)
    guide = (en, gate) if gated else (None, None)
    exact = [None if x is None else x.double().requires_grad_() for x in (de, logits, *guide)]
    expected = plain_fused(*exact, kernel_size, groups)
    check_sums(triton_backend.softmax_reassemble(de, logits, *guide, kernel_size, groups), expected.detach(), "out")

    grad = torch.randn_like(en)
    inputs = [x for x in exact if x is not None]
    slopes = torch.autograd.grad(expected, inputs, grad.double())
    gradients = triton_backend.softmax_reassemble_backward(grad, de, logits, *guide, kernel_size, groups)
    assert [x is None for x in gradients] == [False, False, not gated, not gated]
    for actual, slope, name in zip(gradients, slopes, ("de", "logits", "en", "gate"), strict=False):
        if slope.abs().max() == 0:  # of the logits, where there is one tap: it is always 1
            assert actual.abs().max() == 0
        else:
            check_sums(actual, slope, f"gradient of {name}")


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_NAMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_stays_within_its_own_rounding(dtype: torch.dtype, tolerance: float, layout) -> None:
    """Inputs are exact in the low precision, the sums are float32: only the rounding of the result remains."""
    de, kernels, grad = (x.to(dtype) for x in maps((3, 4), (6, 8), 16, 25, layout))
    gate = torch.rand(2, 1, 3, 4, device=DEVICE).to(dtype)
    exact = [x.double() for x in (de, kernels, grad, gate)]
    for actual, expected in [
        (triton_backend.reassemble(de, kernels, 5, 1), reference.reassemble(*exact[:2], 5, 1)),
        (triton_backend.adjoint(grad, kernels, 5, 1, (3, 4)), reference.adjoint(exact[2], exact[1], 5, 1, (3, 4))),
        (triton_backend.similarity(grad, de, 5, 1), reference.similarity(exact[2], exact[0], 5, 1)),
        (triton_backend.softmax_reassemble(de, kernels, grad, gate, 5, 1), plain_fused(*exact, 5, 1)),
    ]:
        assert actual.dtype == dtype
        assert ((actual.double() - expected).abs() <= tolerance * expected.abs() + 1e-5).all()


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_NAMES)
def test_fused_backward_in_half_precision(layout) -> None:
    """The kernels and their gradient stay in float32 between the steps: each result is rounded once."""
    de, logits, en = (x.bfloat16() for x in maps((3, 4), (6, 8), 16, 9, layout))
    gate = torch.rand(2, 1, 3, 4, device=DEVICE).bfloat16()
    grad = torch.randn_like(en)
    exact = [x.double().requires_grad_() for x in (de, logits, en, gate)]
    slopes = torch.autograd.grad(plain_fused(*exact, 3, 1), exact, grad.double())
    gradients = triton_backend.softmax_reassemble_backward(grad, de, logits, en, gate, 3, 1)
    for actual, slope, source in zip(gradients, slopes, (de, logits, en, gate), strict=True):
        assert actual.dtype == source.dtype
        assert in_layout_of(actual, source)
        assert ((actual.double() - slope).abs() <= 2**-8 * slope.abs() + 1e-5).all()


def test_any_strides_and_mixed_layouts() -> None:
    de, kernels, grad = maps((3, 4), (6, 8), 6, 18, torch.contiguous_format)
    last = torch.channels_last
    expected = triton_backend.reassemble(de, kernels, 3, 2)
    wide = torch.zeros(2, 6, 3, 8, device=DEVICE)
    wide[..., ::2] = de
    turned = kernels.transpose(2, 3).contiguous().transpose(2, 3)
    check_sums(triton_backend.reassemble(wide[..., ::2], turned, 3, 2), expected, "strided")
    check_sums(triton_backend.reassemble(de, kernels.to(memory_format=last), 3, 2), expected, "mixed")
    once = grad[:, :1].expand(2, 6, 6, 8)
    check_sums(
        triton_backend.adjoint(once, turned, 3, 2, (3, 4)),
        triton_backend.adjoint(once.contiguous(), kernels, 3, 2, (3, 4)),
        "expanded",
    )
    check_sums(
        triton_backend.similarity(grad.to(memory_format=last), wide[..., ::2], 3, 2),
        triton_backend.similarity(grad, de, 3, 2),
        "mixed similarity",
    )


def test_the_window_is_zero_outside_the_map_and_looks_no_further() -> None:
    """A NaN reaches the outputs whose window holds it, and no others; memory around the map is never read."""
    around = torch.full((1, 3, 7, 9), torch.nan, device=DEVICE)
    around[:, :, 1:-1, 1:-1] = torch.randn(1, 3, 5, 7, device=DEVICE)
    de, kernels = around[:, :, 1:-1, 1:-1], torch.randn(1, 9, 10, 14, device=DEVICE)
    check_sums(triton_backend.reassemble(de, kernels, 3, 1), reference.reassemble(de, kernels, 3, 1), "out")
    holed = de.clone()
    holed[:, :, 2, 3] = torch.nan
    reached = triton_backend.reassemble(holed, kernels, 3, 1).isnan()
    assert reached[:, :, 2:8, 4:10].all()
    assert reached.sum() == 3 * 6 * 6


def test_large_logits_do_not_overflow() -> None:
    de, logits, _ = maps((3, 3), (6, 6), 4, 9, torch.contiguous_format)
    logits = logits * 1e4
    check_sums(
        triton_backend.softmax_reassemble(de, logits, None, None, 3, 1),
        plain_fused(de.double(), logits.double(), None, None, 3, 1),
        "out",
    )


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_NAMES)
def test_the_same_input_gives_the_same_bits(layout) -> None:
    de, logits, en = maps((3, 4), (6, 8), 6, 9, layout)
    gate = torch.rand(2, 1, 3, 4, device=DEVICE)
    runs = [triton_backend.softmax_reassemble_backward(en, de, logits, en, gate, 3, 1) for _ in range(2)]
    assert all(torch.equal(first, second) for first, second in zip(*runs, strict=True))


def test_nothing_in_nothing_out() -> None:
    empty = torch.empty(0, 4, 3, 3, device=DEVICE)
    assert triton_backend.reassemble(empty, torch.empty(0, 9, 6, 6, device=DEVICE), 3, 1).shape == (0, 4, 6, 6)


def test_published_vectors_through_autograd() -> None:
    name = min(
        (name for name in manifest("ops") if name.startswith("carafe")),
        key=lambda name: array("ops", f"{name}/out").numel(),
    )
    case = manifest("ops")[name]
    de, kernels, grad = (
        array("ops", f"{name}/{key}").float().to(DEVICE).requires_grad_() for key in ("features", "masks", "grad_out")
    )
    out = public_reassemble(de, kernels, case["kernel_size"], case["group_size"], backend="triton")
    out.backward(grad)
    check_sums(out.cpu(), array("ops", f"{name}/out"), "out")
    check_sums(de.grad.cpu(), array("ops", f"{name}/grad_features"), "grad_features")
    check_sums(kernels.grad.cpu(), array("ops", f"{name}/grad_masks"), "grad_masks")


@pytest.mark.skipif(DEVICE == "cpu", reason="4 GiB of scratch memory: needs a GPU")
@pytest.mark.parametrize("stride", [(2**31 + 8, 9, 3, 1), (36, 2**30, 3, 1)])
def test_offsets_beyond_32_bits(stride: tuple[int, ...]) -> None:
    storage = torch.empty(2**31 + 2**30 + 64, dtype=torch.float16, device=DEVICE)
    de = storage.as_strided((2, 3, 3, 3) if stride[1] == 9 else (1, 3, 3, 3), stride)
    de.normal_()
    kernels = torch.randn(de.shape[0], 9, 6, 6, device=DEVICE).half()
    small = de.clone(memory_format=torch.contiguous_format)
    assert torch.equal(triton_backend.reassemble(de, kernels, 3, 1), triton_backend.reassemble(small, kernels, 3, 1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.empty(1, 4, 3, 3, dtype=torch.float64), 3, 1), "float64"),
        ((torch.empty(1, 4, 3, 3), 4, 1), "kernel_size is 4"),
        ((torch.empty(1, 4, 3, 3), 33, 1), "up to 31"),
        ((torch.empty(1, 4, 3, 3), 3, 3), "groups is 3"),
        ((torch.empty(1, 4, 3, 3, device="meta"), 3, 1), "on 'meta'"),
    ],
)
def test_unsupported_reasons(arguments: tuple, words: str) -> None:
    assert any(words in reason for reason in triton_backend.unsupported_reasons(*arguments))


def test_unsupported_reasons_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    de = torch.empty(1, 4, 3, 3)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert triton_backend.unsupported_reasons(de, 3, 1) == [
        "the tensors are on 'cpu', not on 'cuda' (or on 'cpu' with TRITON_INTERPRET=1)"
    ]
    monkeypatch.setattr(triton_backend, "_INSTALLED", False)
    assert "triton is not installed" in triton_backend.unsupported_reasons(de, 3, 1)


def test_every_kernel_compiles_for_a_gpu() -> None:
    """Not in this process: here Triton may be the interpreter."""
    script = Path(__file__).with_name("compile_triton.py")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "reassemble_kernel" in done.stdout

"""Neighbourhood attention against its definition, pixel by pixel, and as a torch operator."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from ops.registered import check
from rounding import check_sums
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from denseup import native
from denseup.ops import available_backends, in_torch_operators, neighbourhood_attention, use_backend
from denseup.ops.attention import cpu, decomposition, gradients, reference
from denseup.ops.attention.backends import BACKENDS

SHAPES = [  # low, high, channels of the query, of the value, heads, kernel size
    ((5, 6), (10, 12), 8, 12, 2, 3),
    ((5, 3), (7, 8), 4, 6, 1, 5),
    ((4, 7), (4, 7), 4, 4, 4, 4),
    ((9, 8), (9, 8), 6, 2, 2, 5),
    ((1, 1), (3, 2), 2, 2, 1, 9),
    ((3, 9), (8, 9), 2, 4, 2, 6),
    ((6, 5), (31, 26), 3, 5, 1, 2),
    ((3, 4), (3, 4), 1, 1, 1, 1),
]
"""Windows that fit, in every place of the map; of odd and even sides; as large as the map and larger."""


def tensors(shape: tuple, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Query, key and value."""
    low, high, channels, of_value, _, _ = shape
    sizes = (2, channels, *high), (2, channels, *low), (2, of_value, *low)
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for size in sizes]


def plainly(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float) -> Tensor:
    """The definition, an output pixel and a head at a time."""
    (height, width), (out_height, out_width) = key.shape[2:], query.shape[2:]
    rows, columns = min(kernel_size, height), min(kernel_size, width)
    keys, values = (x.chunk(heads, 1) for x in (key, value))
    out = []
    for y in range(out_height):
        for x in range(out_width):
            a = min(max(y * height // out_height - kernel_size // 2, 0), height - rows)
            b = min(max(x * width // out_width - kernel_size // 2, 0), width - columns)
            for q, k, v in zip(query[:, :, y, x].chunk(heads, 1), keys, values, strict=True):
                logits = torch.einsum("bc,bcij->bij", q, k[:, :, a : a + rows, b : b + columns]) * scale
                weights = logits.flatten(1).softmax(1).unflatten(1, (rows, columns))
                out.append(torch.einsum("bij,bcij->bc", weights, v[:, :, a : a + rows, b : b + columns]))
    return torch.stack(out, 1).reshape(query.shape[0], out_height, out_width, value.shape[1]).permute(0, 3, 1, 2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_its_definition(shape: tuple) -> None:
    """Output and all gradients, of the reference and of the form that exporters are given."""
    heads, kernel_size = shape[4:]
    leaves = [x.requires_grad_() for x in tensors(shape)]
    expected = plainly(*leaves, kernel_size, heads, 0.7)
    grad = torch.randn_like(expected)
    slopes = torch.autograd.grad(expected, leaves, grad)
    end = (kernel_size, heads, 0.7)
    maps = [x.detach() for x in leaves]
    for form in (reference, decomposition):
        check_sums(form.attention(*maps, *end), expected.detach(), "out")
        for name, ours, theirs in zip("qkv", form.attention_backward(grad, *maps, *end), slopes, strict=True):
            check_slopes(ours, theirs, name)
    for ours, theirs in zip(
        torch.autograd.grad(neighbourhood_attention(*leaves, *end), leaves, grad), slopes, strict=True
    ):
        check_slopes(ours, theirs, "gradient")


def check_slopes(ours: Tensor, theirs: Tensor, name: str) -> None:
    """Of query and key there is none where the window has one pixel: its weight is always 1."""
    if theirs.abs().max() == 0:
        assert ours.abs().max() == 0, name
    else:
        check_sums(ours, theirs, name)


TOLERANCES = {torch.float64: 1e-13, torch.float32: 4e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
"""As in `test_backends.py`, and for its reasons: the same sums, and a softmax between them."""

CASES = [
    *SHAPES,
    ((8, 21), (8, 21), 16, 32, 2, 7),
    ((7, 9), (14, 18), 64, 96, 2, 3),
    ((12, 10), (71, 83), 20, 40, 1, 9),
    ((3, 20), (3, 20), 5, 7, 1, 5),
    ((17, 4), (17, 5), 24, 18, 3, 4),
]
"""Also several windows that are worked on together, more pixels of a window than are, channels of every remainder."""
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last, "strided": None}


def laid_out(x: Tensor, name: str) -> Tensor:
    return x.repeat_interleave(2, 3)[..., ::2] if name == "strided" else x.contiguous(memory_format=LAYOUTS[name])


def check_backend(backend: str, dtype: torch.dtype, layout: str, shape: tuple) -> None:
    """Output and gradients are those of the reference in float64."""
    maps = [laid_out(x, layout) for x in tensors(shape, dtype)]
    end = (shape[5], shape[4], 0.7)
    reasons = BACKENDS.get(backend).unsupported_reasons(maps[0], *end[:2])
    if reasons:
        pytest.skip(f"{backend}: {'; '.join(reasons)}")
    leaves = [x.requires_grad_() for x in maps]
    out = neighbourhood_attention(*leaves, *end, backend=backend)
    assert out.is_contiguous(memory_format=LAYOUTS[layout] or torch.contiguous_format)
    grad = laid_out(torch.randn_like(out), layout)
    found = [out, *torch.autograd.grad(out, leaves, grad)]
    exact = [x.detach().double() for x in maps]
    expected = [reference.attention(*exact, *end), *reference.attention_backward(grad.double(), *exact, *end)]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        scale = theirs.abs().max().clamp(min=1e-3)
        assert (ours.double() - theirs).abs().max() <= TOLERANCES[dtype] * scale


@pytest.mark.parametrize("shape", CASES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_reference_in_every_precision(dtype: torch.dtype, layout: str, shape: tuple) -> None:
    check_backend("reference", dtype, layout, shape)


SMALL = [SHAPES[1], SHAPES[3], SHAPES[4], SHAPES[5], SHAPES[7]]
MAPS = [
    (torch.float32, "contiguous"),
    (torch.float32, "channels_last"),
    (torch.bfloat16, "channels_last"),
    (torch.float16, "strided"),
]


def quick() -> set[tuple[int, int]]:
    """What Triton's interpreter is given each time, of `MAPS` and `SMALL`: every kind of maps in two shapes."""
    return {(kind, (kind + again * len(MAPS)) % len(SMALL)) for kind in range(len(MAPS)) for again in range(2)}


def interpreted() -> Iterator[object]:
    for (kind, (dtype, layout)), (which, shape) in itertools.product(enumerate(MAPS), enumerate(SMALL)):
        marks = [] if (kind, which) in quick() else [pytest.mark.slow]
        yield pytest.param(dtype, layout, shape, marks=marks, id=f"{dtype}-{layout}-{shape}")


def test_the_interpreter_meets_every_kind_of_maps_and_every_shape() -> None:
    assert len(quick()) == 2 * len(MAPS)
    assert {which for _, which in quick()} == set(range(len(SMALL)))


@pytest.mark.parametrize(("dtype", "layout", "shape"), interpreted())
def test_tritons_kernels(dtype: torch.dtype, layout: str, shape: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no GPU in Triton's interpreter, on small maps."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    check_backend("triton", dtype, layout, shape)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_instruction_set(instructions: str, dtype: torch.dtype, layout: str) -> None:
    for shape in CASES:
        check_backend("cpu", dtype, layout, shape)


def test_results_that_are_streamed_past_the_caches(instructions: str) -> None:
    """As floats from 4 MiB on are."""
    check_backend("cpu", torch.float32, "channels_last", ((9, 8), (131, 130), 64, 64, 2, 5))


@pytest.mark.skipif(native.library() is None, reason=str(native.why_missing()))
def test_the_same_bits_whatever_the_threads() -> None:
    maps = tensors(CASES[-5], torch.float32)
    grad = torch.randn(2, 32, 8, 21)
    found, before = [], torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append((cpu.attention(*maps, 7, 2, 0.7), *cpu.attention_backward(grad, *maps, 7, 2, 0.7)))
    torch.set_num_threads(before)
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True))


@pytest.mark.parametrize("shape", [CASES[-5], CASES[-4], SHAPES[6]], ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_in_its_windows(instructions: str, value: float, layout: str, shape: tuple) -> None:
    """Wherever it is, among the output's gradient too: not finite where it is by the reference, right elsewhere."""
    heads, kernel_size = shape[4:]
    end = (kernel_size, heads, 0.7)
    maps = tensors(shape, torch.float32)
    grad = torch.randn(2, shape[3], *shape[1])
    for place in range(4):
        spoilt = [x.clone() for x in (*maps, grad)]
        for spot in ((0, 0, 0, 0), (0, -1, -1, -1), (1, 0, 1, 2)):
            spoilt[place][spot] = value
        *inputs, g = [laid_out(x, layout) for x in spoilt]
        found = cpu.attention(*inputs, *end), *cpu.attention_backward(g, *inputs, *end)
        expected = reference.attention(*inputs, *end), *reference.attention_backward(g, *inputs, *end)
        for ours, theirs in zip(found, expected, strict=True):
            assert torch.equal(ours.isfinite(), theirs.isfinite())
            there = theirs.isfinite()
            assert (ours - theirs)[there].abs().max() <= TOLERANCES[torch.float32] * theirs[there].abs().max()


def test_the_scale_is_that_of_a_head() -> None:
    maps = tensors(SHAPES[0])
    expected = neighbourhood_attention(*maps, 3, 2, scale=(8 / 2) ** -0.5)
    assert torch.equal(neighbourhood_attention(*maps, 3, 2), expected)


def test_a_window_as_large_as_the_map_is_attention_to_all_of_it() -> None:
    query, key, value = tensors(((3, 4), (6, 8), 4, 6, 2, 9))
    flat = [x.unflatten(1, (2, -1)).flatten(3).transpose(2, 3) for x in (query, key, value)]
    expected = nn.functional.scaled_dot_product_attention(*flat).transpose(2, 3).reshape(2, 6, 6, 8)
    check_sums(neighbourhood_attention(query, key, value, 9, 2), expected, "out")


@pytest.mark.parametrize("shape", [((3, 4), (5, 7), 4, 6, 2, 3), ((2, 3), (4, 3), 2, 2, 1, 4)], ids=str)
def test_gradients_of_first_and_second_order(shape: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = [x.requires_grad_() for x in tensors(shape)]

    def function(*maps: Tensor) -> Tensor:
        return neighbourhood_attention(*maps, shape[5], shape[4])

    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)
    for band in (gradients.BAND, 1):  # all rows together, and one at a time
        monkeypatch.setattr(gradients, "BAND", band)
        assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2)])
def test_gradients_of_some(wanted: tuple[int, ...]) -> None:
    """As of all, of the second order too."""
    every = [x.requires_grad_() for x in tensors(SHAPES[0])]
    some = [x.detach().requires_grad_(k in wanted) for k, x in enumerate(every)]

    def slopes(maps: list[Tensor], of: list[Tensor]) -> tuple[Tensor, ...]:
        first = torch.autograd.grad(neighbourhood_attention(*maps, 3, 2).square().sum(), of, create_graph=True)
        return *first, *torch.autograd.grad(first[0].square().sum(), of, materialize_grads=True, allow_unused=True)

    found = slopes(some, [some[k] for k in wanted])
    expected = slopes(every, [every[k] for k in wanted])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_some_columns_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = tensors(SHAPES[0])
    grad = torch.randn(2, 12, 10, 12, dtype=torch.float64)
    expected = reference.attention_backward(grad, *maps, 3, 2, 0.5), reference.attention(*maps, 3, 2, 0.5)
    monkeypatch.setattr(reference, "PART", 1)
    found = reference.attention_backward(grad, *maps, 3, 2, 0.5), reference.attention(*maps, 3, 2, 0.5)
    torch.testing.assert_close(found, expected)


def test_nothing_but_the_inputs_is_kept_for_backward() -> None:
    kept: list[Tensor] = []
    leaves = [x.requires_grad_() for x in tensors(SHAPES[0])]
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        neighbourhood_attention(*leaves, 3, 2)
    assert sum(t.numel() for t in kept) == sum(x.numel() for x in leaves)


def test_opcheck() -> None:
    """In each layout by each back end; of the gradient, the program once: it is of torch's operators."""
    backends = [backend for backend in available_backends("attention") if backend != "triton"]
    for layout, backend in itertools.product((torch.contiguous_format, torch.channels_last), backends):
        maps = [x.float().contiguous(memory_format=layout).requires_grad_() for x in tensors(SHAPES[1])]
        grad = torch.randn(2, 6, 7, 8).contiguous(memory_format=layout)
        end = (5, 1, 0.3, backend)
        check(torch.ops.denseup.neighbourhood_attention.default, (*maps, *end))
        traced = (layout, backend) == (torch.channels_last, backends[0])
        check(torch.ops.denseup.neighbourhood_attention_backward.default, (grad, *maps, *end), traced=traced)


def test_compiles_without_a_graph_break() -> None:
    def function(*maps: Tensor) -> Tensor:
        return neighbourhood_attention(*maps, 3, 2).sin()

    maps = [x.float().requires_grad_() for x in tensors(SHAPES[0])]
    torch._dynamo.reset()
    for dynamic in (False, True):
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
        torch.testing.assert_close(compiled(*maps), function(*maps))
        found = torch.autograd.grad(compiled(*maps).sum(), maps)
        torch.testing.assert_close(found, torch.autograd.grad(function(*maps).sum(), maps))


def test_vmap_joins_the_batch() -> None:
    query, key, value = tensors(SHAPES[0], torch.float32)
    queries = torch.stack([query, 2 * query, -query])
    mapped = torch.vmap(lambda q: neighbourhood_attention(q, key, value, 3, 2))(queries)
    expected = torch.stack([neighbourhood_attention(q, key, value, 3, 2) for q in queries])
    torch.testing.assert_close(mapped, expected)


def test_flop_counter_sees_the_operator() -> None:
    query, key, value = (x.float().requires_grad_() for x in tensors(SHAPES[5]))  # 3 × 6 taps
    with FlopCounterMode(display=False) as counter:
        neighbourhood_attention(query, key, value, 6, 2).sum().backward()
    assert counter.get_total_flops() == 2 * 2 * 18 * 8 * 9 * ((2 + 4) + (3 * 2 + 2 * 4))


def test_the_result_has_the_dtype_of_the_query() -> None:
    query, key, value = tensors(SHAPES[0], torch.float32)
    out = neighbourhood_attention(query.bfloat16(), key, value, 3, 2)
    assert out.dtype == torch.bfloat16
    exact = neighbourhood_attention(*(x.bfloat16().double() for x in (query, key, value)), 3, 2)
    assert (out.double() - exact).abs().max() <= 2**-8 * exact.abs().max(), "float32 within, rounded once"


def test_no_channels_to_compare() -> None:
    """All weights are the same."""
    value = torch.arange(12.0).reshape(1, 1, 3, 4)
    out = neighbourhood_attention(torch.empty(1, 0, 3, 4), torch.empty(1, 0, 3, 4), value, 9)
    torch.testing.assert_close(out, torch.full((1, 1, 3, 4), 5.5))


class Attend(nn.Module):
    """The operator as a module."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return neighbourhood_attention(query, key, value, self.kernel_size, 2)


ANY = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
SIZES = [((6, 7), (9, 8)), ((4, 3), (12, 13)), ((9, 6), (20, 6)), ((1, 1), (5, 5)), ((7, 7), (7, 7))]


def check_served(served: Callable[..., Tensor], module: nn.Module) -> None:
    """At sizes of every kind, those too at which the window is larger than the map."""
    for k, (low, high) in enumerate(SIZES):
        maps = torch.randn(k % 3 + 1, 4, *high), torch.randn(k % 3 + 1, 4, *low), torch.randn(k % 3 + 1, 6, *low)
        torch.testing.assert_close(served(*maps), module(*maps), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [4, 5])
def test_programs_of_torchs_operators_serve_any_size(kernel_size: int) -> None:
    module = Attend(kernel_size)
    example = torch.randn(2, 4, 9, 8), torch.randn(2, 4, 6, 7), torch.randn(2, 6, 6, 7)
    with in_torch_operators():
        program = torch.export.export(module, example, dynamic_shapes=(ANY,) * 3)
    assert "denseup" not in str(program.graph)
    check_served(program.module(check_guards=False), module)


def test_onnx_serves_any_size(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    module, path = Attend(5), tmp_path / "attend.onnx"
    example = torch.randn(2, 4, 9, 8), torch.randn(2, 4, 6, 7), torch.randn(2, 6, 6, 7)
    torch.onnx.export(module, example, path, dynamo=True, verbose=False, dynamic_shapes=(ANY,) * 3)
    session = onnxruntime.InferenceSession(path)
    names = [x.name for x in session.get_inputs()]

    def served(*maps: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, dict(zip(names, (x.numpy() for x in maps), strict=True)))[0])

    check_served(served, module)


@pytest.mark.filterwarnings("ignore")  # that sizes become constants
def test_traced() -> None:
    module = Attend(5)
    maps = torch.randn(2, 4, 9, 8), torch.randn(2, 4, 3, 7), torch.randn(2, 6, 3, 7)
    traced = torch.jit.trace(module, maps)
    assert "denseup::" not in str(traced.graph)
    torch.testing.assert_close(traced(*maps), module(*maps))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kernel_size": 0}, ["kernel_size is 0"]),
        ({"kernel_size": 3.0}, ["kernel_size is 3.0"]),
        ({"heads": 3}, ["heads is 3", "query's 8 channels"]),
        ({"value": torch.randn(1, 6, 4, 4), "heads": 4}, ["heads is 4", "value's 6 channels"]),
        ({"key": torch.randn(1, 4, 4, 4)}, ["key has shape [1, 4, 4, 4]", "[1, 8]", "as in query"]),
        ({"value": torch.randn(1, 8, 4, 5)}, ["value has shape [1, 8, 4, 5]", "[1, C, 4, 4]"]),
        ({"value": torch.randn(2, 8, 4, 4)}, ["value has shape [2, 8, 4, 4]", "[1, C, 4, 4]"]),
        ({"query": torch.randn(1, 8, 3, 8)}, ["query is (3, 8), key is (4, 4)", "swapped"]),
        ({"query": torch.ones(1, 8, 8, 8, dtype=torch.int64)}, ["query is torch.int64", "floating"]),
        ({"value": torch.randn(1, 8, 4, 4, device="meta")}, ["value is on 'meta'", "expected 'cpu'"]),
        ({"scale": float("nan")}, ["scale is nan", "finite"]),
        ({"scale": "large"}, ["scale is 'large'", "number or None"]),
        ({"backend": "mmcv"}, ["backend 'mmcv' is unknown", "reference"]),
    ],
)
def test_errors_name_the_argument(arguments: dict, words: list[str]) -> None:
    maps = {"query": torch.randn(1, 8, 8, 8), "key": torch.randn(1, 8, 4, 4), "value": torch.randn(1, 8, 4, 4)}
    with pytest.raises(ValueError, match=r".+") as error:
        neighbourhood_attention(**maps | {"kernel_size": 3} | arguments)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_scope_binds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own back ends; by one that only other operators have, the reference serves; a misspelt name is refused."""
    maps = tensors(SHAPES[0])
    with use_backend("reference"):
        expected = neighbourhood_attention(*maps, 3, 2)
    with use_backend("mmcv"):
        torch.testing.assert_close(neighbourhood_attention(*maps, 3, 2), expected, rtol=0, atol=0)
    with pytest.raises(ValueError, match="backend 'mmcv' is unknown"):
        neighbourhood_attention(*maps, 3, 2, backend="mmcv")
    monkeypatch.setenv("DENSEUP_BACKEND", "mcmv")
    with pytest.raises(ValueError, match="backend 'mcmv' is unknown"):
        neighbourhood_attention(*maps, 3, 2)

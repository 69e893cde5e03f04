"""Attention over points: equal to torch's grid_sample point by point, differentiable twice, and as torch operators."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ops.registered import check
from rounding import check_sums
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from denseup import native
from denseup.ops import available_backends, in_torch_operators, use_backend
from denseup.ops.points import cpu, decomposition, gather_points, gradients, point_similarity, reference
from denseup.ops.points.backends import BACKENDS

OURS = torch.ops.denseup


def tensors(
    batch: int = 2,
    channels: int = 4,
    groups: int = 2,
    points: int = 3,
    low: tuple[int, int] = (3, 5),
    high: tuple[int, int] = (4, 6),
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A high map, a low one, weights, and positions within it and a little beyond, on no pixel: there are two slopes.

    The positions are the same numbers in every precision.
    """
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    spans = torch.tensor([low[1], low[0]]).reshape(1, 1, 2, 1, 1, 1)
    anywhere = torch.rand(batch, points, 2, groups, *high, generator=generator, dtype=torch.float64)
    positions = (((anywhere * (spans + 4) - 2.5) * 64).round() + 0.5) / 64
    positions = positions.to(torch.promote_types(dtype, torch.float32))
    weights = random(batch, groups, points, *high)
    return random(batch, channels, *high), random(batch, channels, *low), weights, positions


def read(x: Tensor, positions: Tensor) -> Tensor:
    """By torch, a point and a group at a time: `[B, C, h, w]` → `[B, P, G, C/G, H, W]`."""
    lengths = torch.tensor([x.shape[3], x.shape[2]], dtype=positions.dtype)
    found = []
    for at in positions.unbind(1):
        parts = zip(x.chunk(at.shape[2], 1), at.unbind(2), strict=True)
        grids = [(part, (2 * where.movedim(1, -1) + 1) / lengths - 1) for part, where in parts]
        found.append(torch.stack([F.grid_sample(part, grid, align_corners=False) for part, grid in grids], 1))
    return torch.stack(found, 1)


def similarity_plainly(query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
    of_groups = query.unflatten(1, (positions.shape[3], -1))
    return torch.einsum("bgchw,bpgchw->bgphw", of_groups, read(key, positions))


def gather_plainly(value: Tensor, weights: Tensor, positions: Tensor) -> Tensor:
    return torch.einsum("bgphw,bpgchw->bgchw", weights, read(value, positions)).flatten(1, 2)


FORMS = {
    "similarity": (point_similarity, similarity_plainly, (0, 1, 3), 2),
    "gather": (gather_points, gather_plainly, (1, 2, 3), 0),
}
"""Ours, the definition, which of `tensors` it takes, and which has the shape of the result."""


def forward_and_gradients(function: Callable[..., Tensor], leaves: list[Tensor], grad: Tensor) -> list[Tensor]:
    leaves = [x.detach().requires_grad_() for x in leaves]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, grad)]


@pytest.mark.parametrize("low", [(3, 5), (1, 1), (1, 6), (7, 1)], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("form", FORMS)
def test_it_is_its_definition(form: str, groups: int, low: tuple[int, int]) -> None:
    """Output and all gradients, of the operator and of the form that transforms are given."""
    ours, plainly, taken, of_result = FORMS[form]
    given = tensors(groups=groups, low=low)
    leaves, grad = [given[k] for k in taken], given[of_result]
    expected = forward_and_gradients(plainly, leaves, grad)
    composed = getattr(decomposition, form)(*leaves), *getattr(decomposition, f"{form}_backward")(grad, *leaves)
    for found in (forward_and_gradients(ours, leaves, grad), composed):
        for name, a, b in zip("oabp", found, expected, strict=True):
            check_sums(a, b, name)


@pytest.mark.parametrize("form", FORMS)
def test_each_is_the_gradient_of_the_other(form: str) -> None:
    high, low, weights, positions = tensors()
    if form == "similarity":
        found = OURS.point_similarity_backward(weights, high, low, positions)[0]
        check_sums(found, gather_points(low, weights, positions), "query")
    else:
        found = OURS.gather_points_backward(high, low, weights, positions)[1]
        check_sums(found, point_similarity(high, low, positions), "weights")


TOLERANCE = 4e-6
"""Of the largest value, 34 eps, as for the other operators in float32: see `TOLERANCES` of test_backends.py."""
SHAPES = [  # batch, channels, groups, points, size of the map, of the result
    (1, 64, 4, 9, (6, 7), (12, 14)),
    (2, 17, 1, 3, (5, 3), (7, 70)),
    (1, 96, 2, 20, (4, 9), (3, 130)),
    (3, 6, 3, 1, (1, 1), (4, 5)),
    (1, 40, 1, 5, (8, 1), (1, 1)),
    (1, 224, 2, 33, (5, 6), (9, 20)),
]
"""Channels of every remainder; more points than are worked on together; results larger and smaller than the map."""
LAYOUTS = ["contiguous", "channels_last", "strided"]


def laid_out(x: Tensor, name: str) -> Tensor:
    """In a layout; of what is no map, the channels last where those of maps are."""
    if name == "strided":
        return x.repeat_interleave(2, -1)[..., ::2]
    if name == "contiguous":
        return x.contiguous()
    return x.movedim((-2, -1), (1, 2)).contiguous().movedim((1, 2), (-2, -1))


def by_backend(backend: object, given: tuple[Tensor, ...]) -> list[Tensor]:
    """All that one has."""
    high, low, weights, positions = given
    out = [backend.similarity(high, low, positions), backend.gather(low, weights, positions)]
    out += backend.similarity_backward(weights, high, low, positions)
    return [*out, *backend.gather_backward(high, low, weights, positions)]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_kernels_in_c(instructions: str, shape: tuple, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs and gradients in every layout against float64; the same bits whatever the threads."""
    given = tensors(*shape, dtype=torch.float32)
    truths = by_backend(reference, tuple(x.double() for x in given))
    alone = by_backend(cpu, given)
    monkeypatch.setattr(cpu.native, "threads", lambda: threads)
    for layout in LAYOUTS:
        inputs = tuple(laid_out(x, layout) for x in given)
        assert cpu.unsupported_reasons(inputs[1], inputs[3]) == []
        for ours, one, true in zip(by_backend(cpu, inputs), alone, truths, strict=True):
            assert torch.equal(ours, one)
            assert (ours.double() - true).abs().max() <= TOLERANCE * true.abs().max()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("form", FORMS)
def test_layouts_of_results(form: str, backend: str, layout: str) -> None:
    """Maps as the map they belong to, positions as they were; through the public functions."""
    if backend == "cpu" and cpu.MISSING:
        pytest.skip(cpu.MISSING)
    ours, _, taken, of_result = FORMS[form]
    given = [laid_out(x, layout) for x in tensors(channels=16, dtype=torch.float32)]
    leaves = [given[k] for k in taken]
    found = forward_and_gradients(lambda *x: ours(*x, backend=backend), leaves, given[of_result])
    for gradient, leaf in zip(found[1:], leaves, strict=True):
        if leaf.dim() == 4:
            last = layout == "channels_last"
            assert gradient.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        elif leaf.dim() == 6:
            assert gradient.stride() == torch.empty_like(leaf).stride()


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite(instructions: str, value: float, place: int) -> None:
    """In maps, weights and positions, read and not read: not finite where it is by the reference, right elsewhere."""
    given = [x.clone() for x in tensors(1, 18, 2, 3, (4, 5), (6, 40), dtype=torch.float32)]
    spots = [(0, 0, 0, 0), (0, -1, -1, -1), (0, 3, 1, 2)]
    for channel, *rest, row, column in spots:
        index = (channel, *rest, *([0] * (given[place].dim() - len(rest) - 3)), row, column)
        given[place][index if place < 2 else (0, rest[0] % 2, *index[2:])] = value
    for ours, theirs in zip(by_backend(cpu, tuple(given)), by_backend(reference, tuple(given)), strict=True):
        assert torch.equal(ours.isfinite(), theirs.isfinite())
        there = theirs.isfinite()
        assert (ours - theirs)[there].abs().max() <= 1e-4 * theirs[there].abs().max()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("where", [torch.nan, torch.inf, -torch.inf, 3e38, -1e30])
def test_positions_that_are_nowhere(backend: str, where: float) -> None:
    """NaN is NaN in its group alone and gives the map nothing; far outside all is 0."""
    if backend == "cpu" and cpu.MISSING:
        pytest.skip(cpu.MISSING)
    high, low, weights, positions = (x.clone() for x in tensors(dtype=torch.float32))
    positions[0, 1, 0, 1, 2, 3] = where
    before = positions.clone()
    before[0, 1, :, 1, 2, 3] = -9.0
    for function, leaves in (
        (lambda k, p: point_similarity(high, k, p, backend=backend), (low, positions)),
        (lambda v, p: gather_points(v, weights, p, backend=backend), (low, positions)),
    ):
        out = function(*leaves)
        grad = torch.randn_like(out)
        found = forward_and_gradients(function, [*leaves], grad)
        expected = forward_and_gradients(function, [low, before], grad)
        nan = where != where
        spot = torch.zeros_like(out, dtype=torch.bool)
        spot[(0, 1, 1, 2, 3) if out.dim() == 5 else (0, slice(2, 4), 2, 3)] = True
        assert torch.equal(found[0].isnan(), spot & nan)
        torch.testing.assert_close(found[0][~spot], expected[0][~spot])
        torch.testing.assert_close(found[1], expected[1])
        of_point = found[2][0, 1, :, 1, 2, 3]
        assert of_point.isnan().all() if nan else not of_point.any()
        assert int((~found[2].isfinite()).sum()) == 2 * nan


@pytest.mark.parametrize("form", FORMS)
def test_gradients_of_first_and_second_order(form: str) -> None:
    ours, _, taken, _ = FORMS[form]
    given = tensors(1, points=2, low=(2, 3), high=(2, 3))
    leaves = [given[k].requires_grad_() for k in taken]
    assert torch.autograd.gradcheck(ours, leaves)
    assert torch.autograd.gradgradcheck(ours, leaves)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2)])
@pytest.mark.parametrize("form", FORMS)
def test_gradients_of_some(form: str, wanted: tuple[int, ...]) -> None:
    """As of all, of the second order too."""
    ours, _, taken, _ = FORMS[form]
    every = [tensors()[k].requires_grad_() for k in taken]
    some = [x.detach().requires_grad_(k in wanted) for k, x in enumerate(every)]

    def slopes(leaves: list[Tensor], of: list[Tensor]) -> tuple[Tensor, ...]:
        first = torch.autograd.grad(ours(*leaves).square().sum(), of, create_graph=True)
        return *first, *torch.autograd.grad(first[0].square().sum(), of, materialize_grads=True, allow_unused=True)

    for a, b in zip(slopes(some, [some[k] for k in wanted]), slopes(every, [every[k] for k in wanted]), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("form", FORMS)
def test_second_derivatives_in_float32(form: str) -> None:
    """Through the operators of the kernels, against float64."""
    ours, _, taken, _ = FORMS[form]
    results = []
    for dtype in (torch.float32, torch.float64):
        leaves = [tensors()[k].to(dtype).requires_grad_() for k in taken]
        first = torch.autograd.grad(ours(*leaves).square().sum(), leaves, create_graph=True)
        results.append(torch.autograd.grad(sum(g.square().sum() for g in first), leaves))
    for a, true in zip(*results, strict=True):
        assert (a.double() - true).abs().max() <= 10 * TOLERANCE * true.abs().max()


@pytest.mark.parametrize("form", FORMS)
def test_nothing_but_the_inputs_is_kept_for_backward(form: str) -> None:
    ours, _, taken, _ = FORMS[form]
    kept: list[Tensor] = []
    leaves = [tensors()[k].requires_grad_() for k in taken]
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        ours(*leaves)
    assert sum(t.numel() for t in kept) == sum(x.numel() for x in leaves)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_features_at_exact_positions(dtype: torch.dtype) -> None:
    """A ramp of 0, 1, … would show every error of position, and of weights that were rounded."""
    ramp = torch.arange(250.0).expand(1, 2, 2, 250).to(dtype)
    columns = torch.arange(500.0) / 2 - 0.25
    positions = torch.stack([columns.expand(4, 500), torch.full((4, 500), 0.5)])[None, None, :, None]
    positions = positions.clamp(0, 249).expand(1, 3, 2, 1, 4, 500)
    weights = torch.full((1, 1, 3, 4, 500), 1 / 3)
    exact = gather_points(ramp.double(), weights.double(), positions.double())
    out = gather_points(ramp, weights, positions)
    assert out.dtype == dtype
    assert ((out.double() - exact).abs() <= torch.finfo(dtype).eps / 2 * exact + 1e-4).all()
    products = point_similarity(torch.ones(1, 2, 4, 500, dtype=dtype), ramp, positions)
    assert products.dtype == dtype
    twice = 2 * exact[:, :1, None]
    assert ((products.double() - twice).abs() <= torch.finfo(dtype).eps / 2 * twice + 1e-4).all()


def test_the_kernels_serve_float32_on_the_cpu() -> None:
    if cpu.MISSING:
        pytest.skip(cpu.MISSING)
    _, x, weights, positions = tensors()
    assert BACKENDS.choose(None, x.float(), positions.float()) == "cpu"
    assert BACKENDS.choose(None, x, positions) == "reference"
    with use_backend("reference"):
        assert BACKENDS.choose(None, x.float(), positions.float()) == "reference"
    with use_backend("triton"):
        gather_points(x, weights, positions)
    with pytest.raises(ValueError, match=r"dtype is torch\.float64"):
        gather_points(x, weights, positions, backend="cpu")
    with pytest.raises(ValueError, match=r"dtype is torch\.float64"):
        OURS.gather_points(x, weights, positions, "cpu")


@pytest.mark.parametrize("name", ["point_similarity", "gather_points"])
def test_opcheck(name: str) -> None:
    """In each layout by each back end; of the gradients, which are of torch's operators, the program once."""
    backends = [backend for backend in available_backends("points") if backend != "cpu" or not cpu.MISSING]
    once = ("channels_last", backends[0]) if name == "point_similarity" else ("contiguous", backends[-1])
    for layout, backend in itertools.product(LAYOUTS[:2], backends):
        given = [laid_out(x, layout).requires_grad_() for x in tensors(points=2, dtype=torch.float32)]
        high, low, weights, positions = given
        inputs, grad = {
            "point_similarity": ((high, low, positions), weights),
            "gather_points": ((low, weights, positions), high),
        }[name]
        check(getattr(OURS, name).default, (*inputs, backend))
        traced = (layout, backend) == once
        check(getattr(OURS, f"{name}_backward").default, (grad, *inputs, backend), traced=traced)


def attend(query: Tensor, key: Tensor, value: Tensor, positions: Tensor) -> Tensor:
    return gather_points(value, point_similarity(query, key, positions).softmax(2), positions)


def attended(**sizes: tuple[int, int]) -> list[Tensor]:
    high, low, _, positions = tensors(dtype=torch.float32, **sizes)
    return [high, low, torch.randn_like(low), positions]


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_without_a_graph_break(dynamic: bool) -> None:
    leaves = [x.requires_grad_() for x in attended()]
    torch._dynamo.reset()
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    torch.testing.assert_close(compiled(*leaves), attend(*leaves))
    found = torch.autograd.grad(compiled(*leaves).sum(), leaves)
    torch.testing.assert_close(found, torch.autograd.grad(attend(*leaves).sum(), leaves))


def test_vmap_joins_the_batch() -> None:
    query, *rest = attended()
    queries = torch.stack([query, 2 * query, -query])
    mapped = torch.vmap(lambda q: attend(q, *rest))(queries)
    torch.testing.assert_close(mapped, torch.stack([attend(q, *rest) for q in queries]))


def test_flop_counter_sees_the_operators() -> None:
    query, key, value, positions = (x.requires_grad_() for x in attended())
    a_multiply_add_a_value = 2 * 2 * 3 * 4 * 4 * 6
    with FlopCounterMode(display=False) as counter:
        attend(query, key, value, positions).sum().backward()
    assert counter.get_total_flops() == a_multiply_add_a_value * (5 + 5 + 13 + 8)


class Attend(nn.Module):
    """Both operators, as a module."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, positions: Tensor) -> Tensor:
        return attend(query, key, value, positions)


def dynamic(*dims: int) -> dict[int, object]:
    return dict.fromkeys(dims, torch.export.Dim.DYNAMIC)


ANY = (*[dynamic(0, 2, 3)] * 3, dynamic(0, 4, 5))
SIZES = [((3, 5), (4, 6)), ((6, 2), (3, 7)), ((1, 1), (5, 4)), ((1, 9), (8, 2)), ((7, 3), (1, 1))]


def check_served(served: Callable[..., Tensor]) -> None:
    for low, high in SIZES:
        given = attended(low=low, high=high)
        torch.testing.assert_close(served(*given), attend(*given), rtol=1e-4, atol=1e-5)


def test_programs_of_torchs_operators_serve_any_size() -> None:
    with in_torch_operators():
        program = torch.export.export(Attend(), tuple(attended()), dynamic_shapes=ANY)
    assert "denseup" not in str(program.graph)
    check_served(program.module(check_guards=False))


def test_onnx_serves_any_size(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "attend.onnx"
    torch.onnx.export(Attend().eval(), tuple(attended()), path, dynamo=True, verbose=False, dynamic_shapes=ANY)
    session = onnxruntime.InferenceSession(path)
    names = [x.name for x in session.get_inputs()]
    check_served(
        lambda *given: torch.from_numpy(session.run(None, dict(zip(names, (x.numpy() for x in given), strict=True)))[0])
    )


@pytest.mark.filterwarnings("ignore")  # that sizes become constants
def test_traced() -> None:
    given = attended()
    traced = torch.jit.trace(Attend(), tuple(given))
    assert "denseup::" not in str(traced.graph)
    torch.testing.assert_close(traced(*given), attend(*given))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_no_images(dtype: torch.dtype) -> None:
    leaves = [x[:0].to(dtype).requires_grad_() for x in attended()]
    out = attend(*leaves)
    assert out.shape == (0, 4, 4, 6)
    for gradient, leaf in zip(torch.autograd.grad(out.sum(), leaves), leaves, strict=True):
        assert gradient.shape == leaf.shape


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        ("similarity", {"query": torch.randn(2, 4, 4, 5)}, ["query has shape [2, 4, 4, 5]", "[2, 4, 4, 6]"]),
        ("similarity", {"query": torch.ones(2, 4, 4, 6).int()}, ["query is torch.int32", "floating"]),
        ("similarity", {"key": torch.randn(2, 6, 3, 5)}, ["query has shape [2, 4, 4, 6]", "[2, 6, 4, 6]"]),
        ("similarity", {"key": torch.randn(2, 4, 0, 5)}, ["key has shape [2, 4, 0, 5]", "≥ 1"]),
        ("similarity", {"positions": torch.zeros(2, 4, 4, 6)}, ["positions is", "[B, P, 2, G, H, W]"]),
        ("similarity", {"positions": torch.zeros(2, 3, 3, 2, 4, 6)}, ["positions has shape", "P, 2, G, H, W"]),
        ("similarity", {"positions": torch.zeros(2, 0, 2, 2, 4, 6)}, ["positions has shape", "≥ 1"]),
        ("similarity", {"positions": torch.zeros(1, 3, 2, 2, 4, 6)}, ["positions has shape", "batch of key"]),
        ("similarity", {"positions": torch.zeros(2, 3, 2, 3, 4, 6)}, ["groups is 3", "key's 4 channels"]),
        ("similarity", {"query": torch.randn(2, 4, 4, 6, device="meta")}, ["query is on 'meta'"]),
        ("similarity", {"backend": "mmcv"}, ["backend 'mmcv' is unknown", "reference"]),
        ("gather", {"weights": torch.zeros(2, 2, 4, 4, 6)}, ["weights has shape", "[2, 2, 3, 4, 6]"]),
        ("gather", {"weights": torch.zeros(2, 2, 3, 4, 6).int()}, ["weights is torch.int32", "[B, G, P, H, W]"]),
        ("gather", {"weights": torch.zeros(2, 2, 3, 4, 6, device="meta")}, ["weights is on 'meta'"]),
        ("gather", {"value": torch.zeros(2, 4, 3)}, ["value is", "[B, C, h, w]"]),
        ("gather", {"value": torch.zeros(3, 4, 3, 5)}, ["positions has shape", "batch of value"]),
        ("gather", {"positions": torch.zeros(2, 3, 2, 2, 4, 6, device="meta")}, ["positions is on 'meta'"]),
    ],
)
def test_errors_name_the_argument(function: str, arguments: dict, words: list[str]) -> None:
    high, low, weights, positions = tensors(dtype=torch.float32)
    maps = {"query": high, "key": low} if function == "similarity" else {"value": low, "weights": weights}
    with pytest.raises(ValueError, match=r".+") as error:
        FORMS[function][0](**maps | {"positions": positions} | arguments)
    assert all(word in str(error.value) for word in words), str(error.value)


MISTAKES: dict[str, Callable[[list[Tensor]], list[Tensor]]] = {
    "a pixel is not where it is": lambda x: [*x[:-1], x[-1] + 1e-3],
    "columns for rows": lambda x: [*x[:-1], x[-1].flip(2)],
    "the points of another group": lambda x: [*x[:-1], x[-1].flip(3)],
    "the weight of another point": lambda x: [x[0], x[1].roll(1, 2), x[2]],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_tolerance_of_the_kernels_is_tight(mistake: str) -> None:
    """What a mistake changes exceeds it a hundred times and more."""
    _, low, weights, positions = tensors(*SHAPES[0])
    expected = gather_points(low, weights, positions)
    wrong = gather_points(*MISTAKES[mistake]([low, weights, positions]))
    assert (wrong - expected).abs().max() > 100 * TOLERANCE * expected.abs().max()


@pytest.mark.skipif(native.library() is None, reason=str(native.why_missing()))
@pytest.mark.parametrize("form", FORMS)
def test_second_derivatives_go_point_by_point(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _, taken, _ = FORMS[form]
    seen: list[int] = []
    name = f"{form}_backward"
    original = getattr(decomposition, name)

    def watched(*args: Tensor) -> tuple[Tensor, ...]:
        seen.append(args[-1].shape[1])
        return original(*args)

    monkeypatch.setattr(gradients.decomposition, name, watched)
    leaves = [tensors()[k].float().requires_grad_() for k in taken]
    first = torch.autograd.grad(ours(*leaves).square().sum(), leaves, create_graph=True)
    torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
    assert seen == [1, 1, 1]

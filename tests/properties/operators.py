"""The public functions of `denseup.ops`: arguments that fit, and the truth in float64.

The truth is the reference on plain maps: `tests/ops` holds it to definitions and derivatives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from properties import spoiling
from properties.tensors import numbers
from torch import Tensor

from denseup import ops

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Function:
    """A public function.

    Args:
        call: the function.
        draw: arguments that fit, maps in float64.
        like: the argument whose dtype the result has.
        cast: arguments that are cast to that dtype first.
        others: strategies of arguments that are spoiled, which are no maps.
        kinds: whether what is not finite is NaN or infinite as in the truth; else it is not finite, as there.
        largest: the largest number on the way to the result, of arguments in float64, or more; where the arithmetic
            of the call does not hold it, the truth says nothing of it.
        cancelling: arguments on the way to whose gradients steps may cancel whatever comes in (`agreement.bounds`), as
            for queries where all keys of a window are equal.
    """

    call: Callable[..., Tensor]
    draw: Callable[[Any], Arguments]
    like: str
    cast: tuple[str, ...] = ()
    others: Mapping[str, st.SearchStrategy[Any]] = field(default_factory=dict)
    kinds: bool = True
    largest: Callable[[Mapping[str, Any]], float] = lambda arguments: 0.0
    cancelling: tuple[str, ...] = ()

    def truth(self, arguments: Mapping[str, Any]) -> Tensor:
        given = {**arguments}
        if "backend" in self.others:
            given["backend"] = "reference"
        with ops.use_backend("reference"):
            return self.call(**given)


batches = st.sampled_from((1, 2, 1, 2, 3, 0))
lengths = st.sampled_from((1, 2, 3, 4, 5, 7))
odd = st.sampled_from((1, 3, 5, 3, 5, 7, 17))
per_group = st.sampled_from((1, 2, 3, 8, 16, 17, 24, 0))
groups = st.sampled_from((1, 1, 2, 3))
ratios = st.sampled_from((1, 2, 2, 3))
backends = st.sampled_from((None, None, "cpu", "reference"))


def size(draw: Any) -> tuple[int, int]:
    return draw(lengths), draw(lengths)


def larger(draw: Any, low: tuple[int, int]) -> tuple[int, int]:
    height, width = (draw(ratios) * n + draw(st.sampled_from((0, 0, 1))) for n in low)
    return height, width


def maps(draw: Any, **shapes: tuple[int, ...]) -> Arguments:
    seed = draw(st.integers(0, 2**16))
    return {name: numbers(shape, seed + k) for k, (name, shape) in enumerate(shapes.items())}


def reassembly(draw: Any) -> Arguments:
    low = size(draw)
    high, b, g, k = larger(draw, low), draw(batches), draw(groups), draw(odd)
    found = maps(draw, de=(b, g * draw(per_group), *low), kernels=(b, g * k**2, *high))
    how = {"normalize": draw(st.sampled_from((None, "softmax"))), "output_size": draw(st.sampled_from((None, high)))}
    return found | {"kernel_size": k, "groups": g, **how, "backend": draw(backends)}


def gated(draw: Any) -> Arguments:
    low = size(draw)
    high, b, g, k = larger(draw, low), draw(batches), draw(groups), draw(odd)
    c = g * draw(per_group)
    found = maps(draw, de=(b, c, *low), logits=(b, g * k**2, *high), en=(b, c, *high), gate=(b, 1, *low))
    return found | {"gate": found["gate"].sigmoid(), "kernel_size": k, "groups": g, "backend": draw(backends)}


def similarity(draw: Any) -> Arguments:
    low = size(draw)
    high, b, g, k = larger(draw, low), draw(batches), draw(groups), draw(odd)
    c = g * draw(per_group)
    found = maps(draw, query=(b, c, *high), key=(b, c, *low))
    return found | {"kernel_size": k, "groups": g, "backend": draw(backends)}


def attention(draw: Any) -> Arguments:
    low = size(draw)
    high, b, n, k = larger(draw, low), draw(batches), draw(groups), draw(st.sampled_from((1, 2, 3, 4, 5, 9, 40)))
    d, c = n * draw(per_group), n * draw(per_group)
    found = maps(draw, query=(b, d, *high), key=(b, d, *low), value=(b, c, *low))
    scale = draw(st.sampled_from((None, 1.0, 0, -0.5, 2)))
    return found | {"kernel_size": k, "heads": n, "scale": scale, "backend": draw(backends)}


def largest_logit(arguments: Mapping[str, Any]) -> float:
    maps = (arguments[name].nan_to_num(0, 0, 0).abs() for name in ("query", "key"))
    query, key = (x.max().item() if x.numel() else 0.0 for x in maps)
    scale = arguments["scale"]
    return query * key * arguments["query"].shape[1] * (1.0 if scale is None else abs(scale))


def downsampling(draw: Any) -> Arguments:
    high, b, g, k, s = size(draw), draw(batches), draw(groups), draw(st.sampled_from((1, 2, 3, 4, 6))), draw(ratios)
    low = [-(-n // s) for n in high]
    found = maps(draw, features=(b, g * draw(per_group), *high), kernels=(b, g * k**2, *low))
    how = {"normalize": draw(st.sampled_from((None, "softmax")))}
    return found | {"kernel_size": k, "scale_factor": s, "groups": g, **how}


def resizing(draw: Any) -> Arguments:
    found = maps(draw, x=(draw(batches), draw(per_group), *size(draw)))
    return found | {"output_size": size(draw)}


def between_pixels(x: Tensor) -> Tensor:
    """Positions in and around a map, at no pixel and no border: there derivatives jump."""
    return (2 * x).round() + 0.3 + 0.05 * x.frac()


def sampling(draw: Any) -> Arguments:
    g = draw(groups)
    b, at = draw(batches), size(draw)
    found = maps(draw, x=(b, g * draw(per_group), *size(draw)), positions=(b, 2 * g, *at))
    how = {"groups": g, "padding": draw(st.sampled_from(("border", "zeros")))}
    return found | how | {"positions": between_pixels(found["positions"])}


def of_points(draw: Any) -> tuple[Arguments, tuple[int, ...]]:
    b, g, p, at = draw(batches), draw(groups), draw(st.sampled_from((1, 2, 4, 9))), size(draw)
    found = maps(draw, positions=(b, p, 2, g, *at))
    return {"positions": between_pixels(found["positions"]), "backend": draw(backends)}, (b, g, p, *at)


def point_similarity(draw: Any) -> Arguments:
    found, (b, g, _, *at) = of_points(draw)
    c = g * draw(per_group)
    return maps(draw, query=(b, c, *at), key=(b, c, *size(draw))) | found


def gathering(draw: Any) -> Arguments:
    found, (b, g, p, *at) = of_points(draw)
    return maps(draw, value=(b, g * draw(per_group), *size(draw)), weights=(b, g, p, *at)) | found


def _others(**strategies: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return strategies


_number, _word, _size = spoiling.numbers, spoiling.words, spoiling.sizes
_of_windows = _others(kernel_size=_number, groups=_number, backend=_word)
FUNCTIONS = {
    "reassemble": Function(
        ops.reassemble, reassembly, "de", ("kernels",), {**_of_windows, "normalize": _word, "output_size": _size}
    ),
    "reassemble_gated": Function(ops.reassemble_gated, gated, "de", ("en",), _of_windows),
    "local_similarity": Function(ops.local_similarity, similarity, "query", ("key",), _of_windows),
    "neighbourhood_attention": Function(
        ops.neighbourhood_attention,
        attention,
        "query",
        ("key", "value"),
        _others(kernel_size=_number, heads=_number, scale=_number, backend=_word),
        kinds=False,  # a weight of e⁻²⁰⁰ times infinity is infinite in float64 alone
        largest=largest_logit,
        cancelling=("query", "key"),
    ),
    "bidownsample": Function(
        ops.bidownsample,
        downsampling,
        "features",
        ("kernels",),
        _others(kernel_size=_number, scale_factor=_number, groups=_number, normalize=_word),
    ),
    "resize_nearest": Function(ops.resize_nearest, resizing, "x", (), _others(output_size=_size)),
    "sample_bilinear": Function(ops.sample_bilinear, sampling, "x", (), _others(groups=_number, padding=_word)),
    "point_similarity": Function(
        ops.point_similarity, point_similarity, "query", (), _others(backend=_word), kinds=False
    ),
    "gather_points": Function(ops.gather_points, gathering, "value", (), _others(backend=_word), kinds=False),
}
NO_MAPS = {"available_backends", "use_backend", "decomposition_table", "in_torch_operators"}
"""Public names of `denseup.ops` that take none."""

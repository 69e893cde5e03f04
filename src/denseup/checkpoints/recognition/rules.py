"""How an operator's options are read from the shapes of its weights.

A rule gives settings that may fit, too many rather than too few: each is built and compared with the file
(`operators`). What it leaves out keeps its default. Shapes are by our keys; a key that is not there is a KeyError, and
says that the weights are another operator's.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

from denseup.upsamplers import (
    A2U,
    CARAFE,
    DLU,
    FADE,
    FRFU,
    JBU,
    LDAAQU,
    NAF,
    SAPA,
    SAPAD,
    Deconv,
    DySample,
    FADELite,
    FreqFusion,
    IndexNet,
    JBUStack,
    PixelShuffle,
    SemiShift,
)
from denseup.weights import Shapes

Options = dict[str, Any]
Rule = Callable[[Shapes, int], Iterable[Options]]
"""(shapes of one stage, its channels) → settings that may fit."""
CELLS = 4
"""Of the output, for each pixel: networks raise by 2."""


def _windows(taps: int, channels: int) -> Iterator[tuple[int, int]]:
    """(kernel_size, groups) that make `taps` kernel values: odd sizes, groups that divide the channels."""
    for size in range(1, math.isqrt(taps) + 1, 2):
        if taps % size**2 == 0 and channels % (taps // size**2) == 0:
            yield size, taps // size**2


def _root(n: int) -> int:
    """Of a square; 0 of another number, which no operator is built with."""
    return math.isqrt(n) if math.isqrt(n) ** 2 == n else 0


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _a2u(shapes: Shapes, channels: int) -> Iterator[Options]:
    own = "down.weight" in shapes
    for kernel_size, groups in _windows(shapes["up.weight"][0] // CELLS, channels):
        options = {"kernel_size": kernel_size, "groups": groups, "shared": shapes["u.weight"][0] == 1}
        if own:
            options["encoder_kernel_size"] = _root(shapes["down.weight"][0] // groups)
        yield {**options, "own_downsampling": own}


def _content_aware(shapes: Shapes, channels: int, cells: int) -> Iterator[Options]:
    """Of CARAFE and DLU."""
    encode = shapes["encode.weight"]
    for kernel_size, groups in _windows(encode[0] // cells, channels):
        options = {"kernel_size": kernel_size, "groups": groups, "encoder_kernel_size": encode[2]}
        yield {**options, "embed_channels": shapes["compress.weight"][0]}


def _semi_shift(shapes: Shapes, channels: int) -> Iterator[Options]:
    """Of FADE and SemiShift."""
    encode = shapes["kernels.encode.weight"]
    options = {"kernel_size": _root(encode[0]), "encoder_kernel_size": encode[2]}
    yield {**options, "embed_channels": shapes["kernels.embed_en.weight"][0]}


def _fade_lite(shapes: Shapes, channels: int) -> Iterator[Options]:
    encode = shapes["kernels.encode.weight"]
    yield {"kernel_size": _root(encode[0]), "encoder_kernel_size": encode[2]}


def _dysample(shapes: Shapes, channels: int) -> Iterator[Options]:
    cells = {"lp": CELLS, "pl": 1}
    for style, cell in cells.items():
        groups = shapes["offset.weight"][0] // (2 * cell)
        yield {"style": style, "groups": groups, "dynamic_scope": "scope.weight" in shapes}


def _indexnet(shapes: Shapes, channels: int) -> Iterator[Options]:
    for kind, nonlinear, context in product(("holistic", "o2o", "m2o"), (True, False), (True, False)):
        yield {"kind": kind, "nonlinear": nonlinear, "context": context}


def _sapa(shapes: Shapes, channels: int) -> Iterator[Options]:
    for query in ("en", "cat", "gate"):
        yield {"embed_channels": shapes["embed_query.weight"][0], "query": query}


def _sapa_d(shapes: Shapes, channels: int) -> Iterator[Options]:
    embed, offsets = shapes["embed_query.weight"][0], shapes["offset.weight"][0]
    for groups, fine in product(_divisors(math.gcd(embed, channels)), (True, False)):
        points = offsets // (2 * groups * (CELLS if fine else 1))
        options = {"points": points, "groups": groups, "embed_channels": embed // groups}
        yield {**options, "fine_offsets": fine, "norm": "norm_en.weight" in shapes}


def _freqfusion(shapes: Shapes, channels: int) -> Iterator[Options]:
    encode, high, resample = shapes["encode.weight"], shapes.get("encode_high.weight"), "resampler.offset_de.weight"
    options: Options = {"kernel_size": _root(encode[0]), "encoder_kernel_size": encode[2]}
    options |= {"embed_channels": shapes["compress_en.weight"][0], "resample": resample in shapes}
    if high is not None:
        options["high_kernel_size"] = _root(high[0])
    if resample in shapes:
        options["resample_groups"] = shapes[resample][0] // (2 * CELLS)
        options["resample_norm"] = "resampler.norm_en.weight" in shapes
    if high is not None:
        yield {**options, "high_pass": True}
        return
    for without in ("refine", "semi_conv"):  # one of them, else there would be a high-pass encoder
        yield {**options, "high_pass": False, without: False}


def _frfu(shapes: Shapes, channels: int) -> Iterator[Options]:
    yield {"groups": shapes["offset.weight"][0] // (2 * CELLS), "kernel_size": _root(shapes["encode.weight"][0])}


def _bilateral(shapes: Shapes, step: str) -> Iterator[Options]:
    """Of JBU and its stack."""
    first = shapes[f"{step}.embed.0.weight"]
    options = {"image_channels": first[1], "embed_channels": first[0]}
    yield {**options, "radius": (_root(shapes[f"{step}.correct.0.weight"][0]) - 1) // 2}


def _lda_aqu(shapes: Shapes, channels: int) -> Iterator[Options]:
    embed, last = shapes["embed_query.weight"][0], shapes["offset.3.weight"]
    options = {"reduction": channels // embed, "groups": embed // shapes["offset.0.weight"][0]}
    options |= {"kernel_size": _root(last[0] // 2), "encoder_kernel_size": last[2], "position_bias": "bias" in shapes}
    yield {**options, "heads": shapes["bias"][0]} if "bias" in shapes else options


def _naf(shapes: Shapes, channels: int) -> Iterator[Options]:
    first = shapes["branches.0.0.weight"]
    blocks = sum(key.startswith("branches.0.") and key.endswith(".norm1.weight") for key in shapes)
    yield {"embed_channels": 2 * first[0], "image_channels": first[1], "blocks": blocks}


RULES: dict[Any, Rule] = {
    A2U: _a2u,
    CARAFE: lambda shapes, channels: _content_aware(shapes, channels, CELLS),
    DLU: lambda shapes, channels: _content_aware(shapes, channels, 1),
    Deconv: lambda shapes, _: [{"kernel_size": shapes["conv.weight"][2]}],
    DySample: _dysample,
    FADE: _semi_shift,
    FADELite: _fade_lite,
    FRFU: _frfu,
    FreqFusion: _freqfusion,
    IndexNet: _indexnet,
    JBU: lambda shapes, _: _bilateral(shapes, "step"),
    JBUStack: lambda shapes, _: _bilateral(shapes, "steps.0"),
    LDAAQU: _lda_aqu,
    NAF: _naf,
    PixelShuffle: lambda shapes, _: [{"encoder_kernel_size": shapes["encode.weight"][2]}],
    SAPA: _sapa,
    SAPAD: _sapa_d,
    SemiShift: _semi_shift,
}
"""Class → rule; any other operator is recognised with its default options, or with those that are given."""

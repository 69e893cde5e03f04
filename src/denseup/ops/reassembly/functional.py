"""Public functions: check the arguments, choose a back end, call the operator."""

from typing import Literal, cast

from torch import Tensor

from denseup.ops.arguments import check_countable, odd_number, one_of, two_lengths, whole_number
from denseup.ops.arithmetic import blend
from denseup.ops.dispatch import REFERENCE
from denseup.ops.geometry import Size, size_of
from denseup.ops.nearest import resize_nearest
from denseup.ops.reassembly import operators
from denseup.ops.reassembly.arguments import check_gate, check_kernels, check_query
from denseup.ops.reassembly.backends import BACKENDS


def reassemble(
    de: Tensor,
    kernels: Tensor,
    kernel_size: int,
    groups: int = 1,
    *,
    normalize: Literal["softmax"] | None = None,
    output_size: Size | None = None,
    backend: str | None = None,
) -> Tensor:
    """Content-aware reassembly: every output pixel is a weighted sum of a K×K window of the low-resolution map.

    out[c, y, x] = Σ_{i,j<K} de[c, ⌊y·h/H⌋ - r + i, ⌊x·w/W⌋ - r + j] · kernels[(g·K + i)·K + j, y, x], r = K // 2,
    g = c // (C / G), zeros outside the map (Wang et al., CARAFE, ICCV 2019, eq. 4, for any pair of sizes).

    Args:
        de: features `[B, C, h, w]`.
        kernels: weights `[B, G·K², H, W]`, group-major; cast to the dtype of `de`.
        kernel_size: K, odd.
        groups: G, a divisor of C.
        normalize: "softmax" normalises the K² weights of each pixel and group first, in at least float32.
        output_size: (H, W), to state what `kernels` must have; None takes what it has.
        backend: a name of `available_backends()`; None chooses.

    Returns:
        `[B, C, H, W]` with the dtype of `de`.

    Raises:
        ValueError: an argument has a wrong shape or value; the message names it.
    """
    kernel_size, groups = odd_number("kernel_size", kernel_size), whole_number("groups", groups)
    check_kernels(de, kernels, kernel_size, groups, "kernels")
    if output_size is not None and two_lengths("output_size", output_size) != tuple(kernels.shape[2:]):
        raise ValueError(f"output_size is {tuple(output_size)}, but kernels is {tuple(kernels.shape[2:])} in size")
    one_of("normalize", normalize, (None, "softmax"))
    chosen = BACKENDS.choose(backend, de, kernel_size, groups)
    if normalize == "softmax":
        return cast(Tensor, operators.softmax_reassemble(de, kernels, None, None, kernel_size, groups, chosen))
    return cast(Tensor, operators.reassemble(de, kernels.to(de.dtype), kernel_size, groups, chosen))


def reassemble_gated(
    de: Tensor,
    logits: Tensor,
    en: Tensor,
    gate: Tensor,
    kernel_size: int,
    groups: int = 1,
    *,
    backend: str | None = None,
) -> Tensor:
    """Reassembly with softmax kernels, blended with the encoder feature by a gate (Lu et al., FADE, ECCV 2022, eq. 5).

    out = gate·en + (1 - gate)·reassemble(de, logits, normalize="softmax"), with the gate of an output pixel that of its
    source pixel (⌊y·h/H⌋, ⌊x·w/W⌋). No intermediate of the output's size is made.

    Args:
        de: decoder feature `[B, C, h, w]`.
        logits: of the kernels, `[B, G·K², H, W]`, group-major.
        en: encoder feature `[B, C, H, W]`; cast to the dtype of `de`.
        gate: `[B, 1, h, w]`, within [0, 1].
        kernel_size: K, odd.
        groups: G, a divisor of C.
        backend: a name of `available_backends()`; None chooses.

    Returns:
        `[B, C, H, W]` with the dtype of `de`.

    Raises:
        ValueError: an argument has a wrong shape or value; the message names it.
    """
    kernel_size, groups = odd_number("kernel_size", kernel_size), whole_number("groups", groups)
    check_kernels(de, logits, kernel_size, groups, "logits")
    check_gate(de, logits, en, gate)
    chosen = BACKENDS.choose(backend, de, kernel_size, groups)
    return cast(Tensor, operators.softmax_reassemble(de, logits, en.to(de.dtype), gate, kernel_size, groups, chosen))


def blend_nearest(low: Tensor, high: Tensor, gate: Tensor) -> Tensor:
    """gate·high + (1 - gate)·low, `low` and `gate` raised by nearest neighbour.

    That is `reassemble_gated` with windows of one pixel, in one pass where a back end has kernels for all of it.

    Args:
        low: `[B, C, h, w]`.
        high: `[B, C, H, W]`.
        gate: `[B, 1, h, w]`.

    Returns:
        `[B, C, H, W]` with the dtype of `high`.
    """
    if BACKENDS.choose(None, low, 1, 1) != REFERENCE:
        alone = high.new_zeros(high.shape[0], 1, *high.shape[2:])  # logits of windows of one pixel
        return reassemble_gated(low, alone, high, gate, 1)
    size = size_of(high)
    return blend(resize_nearest(low, size), high, resize_nearest(gate, size))


def local_similarity(
    query: Tensor, key: Tensor, kernel_size: int, groups: int = 1, *, backend: str | None = None
) -> Tensor:
    """Inner products of every high-resolution pixel with a K×K window of the low-resolution map.

    sim[(g·K + i)·K + j, y, x] = Σ_{c in group g} query[c, y, x] · key[c, ⌊y·h/H⌋ - r + i, ⌊x·w/W⌋ - r + j], zero where
    the window leaves the map (Liu et al., SAPA, NeurIPS 2022). It is the gradient of `reassemble` in the kernels.

    Args:
        query: high-resolution map `[B, C, H, W]`.
        key: low-resolution map `[B, C, h, w]`; cast to the dtype of `query`.
        kernel_size: K, odd.
        groups: G, a divisor of C.
        backend: a name of `available_backends()`; None chooses.

    Returns:
        `[B, G·K², H, W]`, group-major, not normalised.

    Raises:
        ValueError: an argument has a wrong shape or value; the message names it.
    """
    kernel_size, groups = odd_number("kernel_size", kernel_size), whole_number("groups", groups)
    check_query(query, key, kernel_size, groups)
    check_countable("kernel_size", kernel_size, query.shape[0], groups * kernel_size**2, *query.shape[2:])
    chosen = BACKENDS.choose(backend, query, kernel_size, groups)
    return cast(Tensor, operators.similarity(query, key.to(query.dtype), kernel_size, groups, chosen))

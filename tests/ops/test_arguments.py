"""Operators called as `torch.ops.denseup.…` with what does not fit: a plain error or the answer, never a crash."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from operator_calls import CALLS
from torch import Tensor
from torch.nn import functional as F

from denseup import create_upsampler, native
from denseup.ops import (
    bidownsample,
    local_similarity,
    neighbourhood_attention,
    reassemble,
    reassemble_gated,
    resize_nearest,
    sample_bilinear,
)

CALLS = {name: call for name, call in CALLS.items() if "attention" not in name} | {
    "pointwise_backward": ((2, 16, 5, 7), (2, 32, 5, 7), (16, 32, 1, 1), (2, 32, 5, 7), True),
    "encode_content": ((2, 16, 5, 7), (2, 16, 3, 4), (16, 16, 3, 3), (16,)),
    "encode_content_backward": ((2, 16, 5, 7), (2, 16, 5, 7), (2, 16, 3, 4), (16, 16, 3, 3), [True] * 4),
    "pointwise": ((2, 32, 5, 7), (16, 32, 1, 1), (16,)),
}
"""Of as many channels as the C kernels ask for."""
BACKENDS = ["reference"] if native.library() is None else ["cpu", "reference"]


def arguments(name: str, backend: str, dtype: torch.dtype = torch.float32) -> list[Any]:
    torch.manual_seed(0)
    found: list[Any] = []
    for x in CALLS[name]:
        made = torch.rand(x, dtype=torch.float64).to(dtype) * 1.6 - 0.8 if isinstance(x, tuple) else x
        if isinstance(made, Tensor) and made.dim() == 4:
            made = made.contiguous(memory_format=torch.channels_last)
        found.append(backend if x == "reference" else made)
    return found


def call(name: str, given: list[Any]) -> tuple[Tensor, ...]:
    """The results; of what writes to an argument also what it wrote."""
    given = [x.clone() if isinstance(x, Tensor) and x.device.type == "cpu" else x for x in given]
    out = getattr(torch.ops.denseup, name)(*given)
    return (out,) if isinstance(out, Tensor) else tuple(out)


def longer(x: Tensor, dim: int) -> Tensor:
    return torch.cat([x, x.narrow(dim, 0, 1)], dim)


SPOILED: dict[str, Callable[[Tensor], Tensor]] = {
    "a channel more": lambda x: longer(x, 1) if x.dim() > 1 else longer(x, 0),
    "a channel less": lambda x: x[:, 1:] if x.dim() > 1 else x[1:],
    "an image more": lambda x: longer(x, 0),
    "one image": lambda x: x[:1],
    "no channel": lambda x: x[:, :0] if x.dim() > 1 else x[:0],
    "no height": lambda x: x[:, :, :0] if x.dim() > 1 else x[:0],
    "no width": lambda x: x[..., :0],
    "three dimensions": lambda x: x[0] if x.dim() > 1 else x[None],
    "five dimensions": lambda x: x[None],
    "integers": lambda x: x.int(),
}


def maps() -> Iterator[object]:
    for backend in BACKENDS:
        for name, given in CALLS.items():
            for place, x in enumerate(given):
                if isinstance(x, tuple):
                    yield pytest.param(backend, name, place, id=f"{backend} {name} {place}")


@pytest.mark.parametrize(("backend", "name", "place"), maps())
def test_what_does_not_fit(backend: str, name: str, place: int) -> None:
    """Where a single map may be of another size, its operator answers; all else is refused."""
    good = arguments(name, backend)
    expected = call(name, good)
    for what, spoil in SPOILED.items():
        given = list(good)
        given[place] = spoil(good[place])
        try:
            found = call(name, given)
        except (ValueError, RuntimeError, NotImplementedError):
            continue
        assert what in ("a channel more", "a channel less", "an image more", "one image", "no channel"), what
        assert [x.shape for x in found] != [x.shape for x in expected] or (name, place) in ANY_NUMBER, what


ANY_NUMBER = {("sum_of_cells", 0), ("depthwise", 1), ("depthwise_backward", 2)}
"""Maps that nothing else need fit, or kernels that may be those of one image."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CALLS)
def test_no_images(name: str, backend: str) -> None:
    given = [
        x[:0] if isinstance(x, Tensor) and x.dim() >= 4 and x.shape[2:] not in ((1, 1), (3, 3)) else x
        for x in arguments(name, backend)
    ]
    weights = [x for x in given if isinstance(x, Tensor) and x.numel()]
    for x in call(name, given):
        assert x.shape[0] == 0 or (x.shape[0] == weights[0].shape[0] and not x.any())


IN_SINGLE = {name for name in CALLS if "point_" in name or "_points" in name}
"""Whose C kernels have float32 alone: the public functions widen what they are given."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_strides_and_dtypes(name: str, dtype: torch.dtype) -> None:
    """Maps with gaps between their pixels give what dense ones do; a back end refuses what it does not have."""
    for backend in BACKENDS:
        dense = arguments(name, backend, dtype)
        gaps = [x.repeat_interleave(2, -1)[..., ::2] if isinstance(x, Tensor) else x for x in dense]
        served = (torch.float32,) if name in IN_SINGLE else (torch.float32, torch.bfloat16)
        if backend == "cpu" and backend in dense and dtype not in served:
            with pytest.raises(ValueError, match="backend 'cpu' cannot serve this call: dtype is"):
                call(name, dense)
            continue
        for ours, theirs in zip(call(name, gaps), call(name, dense), strict=True):
            tolerance = 1e-5 if dtype.itemsize >= 4 else 2e-2
            torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["fused_reassemble", "fused_reassemble_backward", "local_similarity"])
def test_mixed_dtypes(name: str, place: int) -> None:
    """Kernels and gate may be of another dtype than the features, whose dtype the result has."""
    for backend in BACKENDS:
        given = arguments(name, backend)
        if not isinstance(given[place], Tensor):
            continue
        given[place] = given[place].bfloat16()
        try:
            found = call(name, given)
        except (ValueError, RuntimeError) as error:
            assert "dtype" in str(error) or "expected torch." in str(error)  # noqa: PT017
        else:
            assert all(x.isfinite().all() for x in found)


def test_maps_on_two_devices() -> None:
    de, kernels, en, gate = (torch.randn(1, n, s, s) for n, s in ((4, 3), (9, 6), (4, 6), (1, 3)))
    for name, attempt in {
        "kernels": lambda: reassemble(de, kernels.to("meta"), 3),
        "en": lambda: reassemble_gated(de, kernels, en.to("meta"), gate, 3),
        "gate": lambda: reassemble_gated(de, kernels, en, gate.to("meta"), 3),
        "query": lambda: local_similarity(en.to("meta"), de, 3),
        "positions": lambda: sample_bilinear(de, torch.zeros(1, 2, 6, 6, device="meta")),
    }.items():
        with pytest.raises(ValueError, match=f"{name} is on 'meta', expected 'cpu'"):
            attempt()
    with pytest.raises(ValueError, match="kernels is on 'meta', expected 'cpu'"):
        bidownsample(en, kernels[..., :3, :3].to("meta"), 3)


def test_few_channels_are_convolved_as_they_are() -> None:
    high, low, weight, bias = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 4, 4), torch.randn(5, 3, 3, 3), torch.randn(5)
    expected = F.conv2d(high, weight, bias, padding=1)
    expected = expected + F.interpolate(F.conv2d(low, weight, bias, padding=1), size=(8, 8))
    torch.testing.assert_close(torch.ops.denseup.encode_content(high, low, weight, bias), expected)
    flat = weight[:, :, :1, :1].contiguous()
    torch.testing.assert_close(torch.ops.denseup.pointwise(high, flat, bias), F.conv2d(high, flat, bias))


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, "3", None, np.float64(3)], ids=repr)
def test_numbers_by_name(wrong: Any) -> None:
    de, kernels, en = torch.randn(1, 4, 3, 3), torch.randn(1, 9, 6, 6), torch.randn(1, 4, 6, 6)
    calls = {
        "kernel_size": [
            lambda: reassemble(de, kernels, wrong),
            lambda: local_similarity(en, de, wrong),
            lambda: neighbourhood_attention(en, de, de, wrong),
            lambda: bidownsample(en, de, wrong),
        ],
        "groups": [
            lambda: reassemble(de, kernels, 3, wrong),
            lambda: local_similarity(en, de, 3, wrong),
            lambda: sample_bilinear(de, torch.zeros(1, 2, 6, 6), wrong),
        ],
        "heads": [lambda: neighbourhood_attention(en, de, de, 3, wrong)],
        "scale_factor": [lambda: bidownsample(en, kernels[..., :3, :3], 3, wrong)],
        "height of output_size": [lambda: resize_nearest(de, (wrong, 3))],
    }
    for name, tries in calls.items():
        for attempt in tries:
            with pytest.raises(ValueError, match=f"{name} is "):
                attempt()


def test_numpys_integers() -> None:
    de, kernels = torch.randn(1, 4, 3, 3), torch.randn(1, 18, 6, 6)
    three, two = np.int64(3), np.int32(2)
    assert torch.equal(reassemble(de, kernels, three, two), reassemble(de, kernels, 3, 2))
    assert torch.equal(resize_nearest(de, (np.int64(5), two * 2)), resize_nearest(de, (5, 4)))
    en = torch.randn(1, 4, 6, 6)
    assert torch.equal(local_similarity(en, de, three, two), local_similarity(en, de, 3, 2))
    assert torch.equal(neighbourhood_attention(en, de, de, three, two), neighbourhood_attention(en, de, de, 3, 2))


@pytest.mark.parametrize("number", [2**31 + 1, 2**40 + 1, 2**62 + 1])
def test_results_that_no_memory_holds(number: int) -> None:
    """Numbers that an int64 holds, but not the bytes of what they ask for."""
    de, en, kernels = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 6, 6), torch.randn(1, 9, 1, 1)
    for name, attempt in {
        "kernel_size": lambda: local_similarity(en, de, number),
        "output_size": lambda: resize_nearest(de, (number, number)),
        "Bilinear: output_size": lambda: create_upsampler("bilinear", de_channels=4)(de, output_size=(number, number)),
        "NAF: output_size": lambda: create_upsampler("naf", de_channels=4)(
            de, en, image=en[:, :3], output_size=(number, number)
        ),
    }.items():
        with pytest.raises(ValueError, match=rf"^{name} is .*, for which the result has .* more than any memory holds"):
            attempt()
    assert torch.equal(neighbourhood_attention(en, de, de, number), neighbourhood_attention(en, de, de, 11))
    assert torch.equal(bidownsample(en, kernels, 3, number), bidownsample(en, kernels, 3, 6))

"""Sums of half-precision numbers are float32 inside every operator, so that long ones do not come to a halt.

Of ones, a bfloat16 sum stays at 256, where 1 is less than half a unit in the last place, and a float16 one at 2048;
above 65504 a float16 one would be infinite. The numbers here are exact in both formats, whatever the order.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from denseup import native
from denseup.ops import (
    gather_points,
    local_similarity,
    neighbourhood_attention,
    point_similarity,
    reassemble,
    use_backend,
)
from denseup.ops.depthwise.functional import convolve_channels
from denseup.ops.encoding import encode_content

LONG = 4096
DTYPES = [torch.bfloat16, torch.float16]
BACKENDS = [
    pytest.param("cpu", marks=pytest.mark.skipif(native.library() is None, reason=str(native.why_missing()))),
    pytest.param("triton", marks=pytest.mark.slow),  # its interpreter takes minutes
    pytest.param("reference"),
]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "triton" and not torch.cuda.is_available():
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    return request.param


def ones(*shape: int, dtype: torch.dtype, value: float = 1.0) -> Tensor:
    full = torch.full(shape, value, dtype=dtype)
    return (full.contiguous(memory_format=torch.channels_last) if full.dim() == 4 else full).requires_grad_()


def gradients(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(out, inputs, torch.ones_like(out))


def is_all(x: Tensor, value: float) -> bool:
    return bool((x == value).all())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_similarities_sum_over_channels(dtype: torch.dtype, backend: str) -> None:
    query, key = (ones(1, LONG, 2, 2, dtype=dtype) for _ in range(2))
    try:
        out = local_similarity(query, key, 1, backend=backend)
    except ValueError as error:
        pytest.skip(str(error))
    assert is_all(out, LONG)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradients_of_kernels_sum_over_channels(dtype: torch.dtype, backend: str) -> None:
    de, kernels = ones(1, LONG, 2, 2, dtype=dtype), ones(1, 1, 4, 4, dtype=dtype)
    try:
        out = reassemble(de, kernels, 1, backend=backend)
    except ValueError as error:
        pytest.skip(str(error))
    of_map, of_kernels = gradients(out, de, kernels)
    assert is_all(of_map, 4)  # each pixel goes to four
    assert is_all(of_kernels, LONG)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradients_of_maps_sum_over_pixels(dtype: torch.dtype, backend: str) -> None:
    """All pixels of the output read the one of the input."""
    de, kernels = ones(1, 16, 1, 1, dtype=dtype), ones(1, 1, 32, 32, dtype=dtype)
    try:
        out = reassemble(de, kernels, 1, output_size=(32, 32), backend=backend)
    except ValueError as error:
        pytest.skip(str(error))
    assert is_all(gradients(out, de)[0], 1024)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_attention_sums_over_channels(dtype: torch.dtype, backend: str) -> None:
    """Two keys of equal similarity: their shares are halves, though the products have thousands of channels."""
    query, key = (ones(1, 512, 2, 2, dtype=dtype) for _ in range(2))  # as many as Triton's kernel takes
    value = ones(1, 16, 2, 2, dtype=dtype)
    try:
        out = neighbourhood_attention(query, key, value, 3, scale=1.0, backend=backend)
    except ValueError as error:
        pytest.skip(str(error))
    assert is_all(out, 1)
    assert is_all(gradients(out, value)[0].sum((2, 3)).float(), 4)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_points_sum_over_channels(name: str, dtype: torch.dtype) -> None:
    query, key = (ones(1, LONG, 2, 2, dtype=dtype) for _ in range(2))
    positions = torch.ones(1, 1, 2, 1, 2, 2)
    assert is_all(point_similarity(query, key, positions, backend=_able(name)), LONG)
    weights = ones(1, 1, 1, 2, 2, dtype=dtype)
    out = gather_points(query, weights, positions, backend=_able(name))
    assert is_all(gradients(out, weights)[0], LONG)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_convolutions_sum_over_channels_and_pixels(dtype: torch.dtype) -> None:
    x, weight = ones(1, 512, 4, 4, dtype=dtype), ones(8, 512, 1, 1, dtype=dtype)
    assert is_all(torch.ops.denseup.pointwise(x, weight, torch.zeros(8, dtype=dtype)), 512)
    x = ones(1, 64, 4, 4, dtype=dtype)
    convolution = nn.Conv2d(64, 8, 3, padding=1, dtype=dtype)
    convolution.weight.data.fill_(1)
    convolution.bias.data.zero_()
    assert is_all(encode_content(convolution, x, x)[..., 1:-1, 1:-1], 2 * 576)
    x, weight = ones(1, 8, 64, 64, dtype=dtype), ones(1, 8, 1, 1, dtype=dtype)
    assert is_all(gradients(convolve_channels(x, weight, 1, 0), weight)[0], LONG)


def _able(name: str) -> Any:
    return None if name == "cpu" and native.library() is None else name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sums_in_half_precision_would_come_to_a_halt(dtype: torch.dtype) -> None:
    """What these tests are to find."""
    total = torch.zeros((), dtype=dtype)
    for _ in range(LONG):
        total = total + torch.ones((), dtype=dtype)
    assert total == {torch.bfloat16: 256, torch.float16: 2048}[dtype]
    with use_backend("reference"):
        assert is_all(local_similarity(*(ones(1, LONG, 1, 1, dtype=dtype) for _ in range(2)), 1), LONG)

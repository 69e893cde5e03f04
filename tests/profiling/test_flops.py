"""Counts of single operators against the numbers that a hand gets."""

import pytest
import torch
from torch import nn

from denseup.ops import bidownsample, local_similarity, reassemble
from denseup.ops.sampling import sample_bilinear
from denseup.profiling import count_macs, total_macs
from denseup.profiling.flops import ATEN, convolution_with_bias, each_output_value

X = torch.empty(2, 8, 6, 7, device="meta")


def on_meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta", requires_grad=True)


@pytest.mark.parametrize(
    ("module", "macs"),
    [
        (nn.Conv2d(8, 5, 3, padding=1), 2 * 6 * 7 * 5 * 8 * 9),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), 2 * 6 * 7 * 8 * 9),
        (nn.Conv2d(8, 4, 2, 2), 2 * 3 * 3 * 4 * 8 * 4),
        (nn.ConvTranspose2d(8, 4, 4, 2, 1), 2 * 6 * 7 * 8 * 4 * 16),
    ],
)
def test_convolutions(module: nn.Module, macs: int) -> None:
    assert total_macs(lambda: module.to("meta")(X)) == macs


def test_biases_and_products_count_where_asked() -> None:
    conv = nn.Conv2d(8, 5, 1, device="meta")
    plain = 2 * 6 * 7 * 5 * 8
    assert total_macs(lambda: conv(X), {ATEN.convolution: convolution_with_bias}) == plain + 2 * 6 * 7 * 5
    products = {ATEN.mul: each_output_value(1), ATEN.lerp: each_output_value(2)}
    assert total_macs(lambda: X * X[:, :1], products) == X.numel()
    assert total_macs(lambda: torch.lerp(X, X, X), products) == 2 * X.numel()
    assert total_macs(lambda: 0.25 * X, products) == 0
    assert total_macs(lambda: X * torch.empty((), device="meta"), products) == 0


def test_own_operators_forward_and_backward() -> None:
    """Each gradient is another contraction of the same size."""
    de, kernels, query = on_meta(2, 8, 6, 7), on_meta(2, 2 * 25, 12, 14), on_meta(2, 8, 12, 14)
    high = 2 * 12 * 14
    for call in (lambda: reassemble(de, kernels, 5, 2), lambda: local_similarity(query, de, 5, 2)):
        assert total_macs(call) == 25 * 8 * high
        assert total_macs(lambda call=call: call().sum().backward()) == 3 * 25 * 8 * high
    low = on_meta(2, 36, 6, 7)
    assert total_macs(lambda: bidownsample(query, low, 6)) == 36 * 8 * 2 * 6 * 7
    assert total_macs(lambda: sample_bilinear(de, on_meta(2, 4, 12, 14), 2)) == 4 * 8 * high


def test_counts_are_told_by_module() -> None:
    network = nn.Sequential(nn.Conv2d(8, 4, 1), nn.Conv2d(4, 2, 1)).to("meta")
    counts = count_macs(lambda: network(X))
    by_module = {name: sum(by_op.values()) for name, by_op in counts.items()}
    pixels = 2 * 6 * 7
    assert by_module["Sequential.0"] == 32 * pixels
    assert by_module["Global"] == (32 + 8) * pixels
    assert total_macs(lambda: X + 1) == 0

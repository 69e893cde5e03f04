"""What exporters take the operators apart into, against the operators: groups, odd ratios and half precision too."""

import pytest
import torch
from torch import Tensor

from denseup.ops import bidownsample, local_similarity, reassemble, reassemble_gated
from denseup.ops.downsampling import decomposition as of_downsampling
from denseup.ops.reassembly import decomposition as of_reassembly

TOLERANCES = {torch.float64: 1e-12, torch.bfloat16: 2e-2}
SIZES = [((4, 5), (8, 10)), ((5, 3), (7, 8))]


def random(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("low", "high"), SIZES)
def test_parity(low: tuple[int, int], high: tuple[int, int], groups: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    de, en, gate = random(2, 8, *low, dtype=dtype), random(2, 8, *high, dtype=dtype), random(2, 1, *low, dtype=dtype)
    logits = random(2, groups * 9, *high, dtype=dtype)
    common = (3, groups, "reference")
    pairs = {
        "reassemble": (
            of_reassembly.reassemble(de, logits, *common),
            reassemble(de, logits, 3, groups, backend="reference"),
        ),
        "similarity": (
            of_reassembly.similarity(en, de, *common),
            local_similarity(en, de, 3, groups, backend="reference"),
        ),
        "gated": (
            of_reassembly.softmax_reassemble(de, logits, en, gate.sigmoid(), *common),
            reassemble_gated(de, logits, en, gate.sigmoid(), 3, groups, backend="reference"),
        ),
    }
    for name, (ours, theirs) in pairs.items():
        assert ours.dtype == theirs.dtype == dtype, name
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("kernel_size", "size"), [(6, (8, 10)), (5, (7, 9)), (2, (7, 9))])
def test_bidownsample(kernel_size: int, size: tuple[int, int], groups: int) -> None:
    torch.manual_seed(0)
    features = random(2, 4, *size, dtype=torch.float64)
    kernels = random(2, groups * kernel_size**2, -(-size[0] // 2), -(-size[1] // 2), dtype=torch.float64)
    ours = of_downsampling.downsample(features, kernels, kernel_size, 2, groups)
    torch.testing.assert_close(ours, bidownsample(features, kernels, kernel_size, 2, groups), rtol=1e-12, atol=1e-12)

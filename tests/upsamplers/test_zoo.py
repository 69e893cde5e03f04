"""What single operators promise beyond the contract and beyond their authors' vectors."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from denseup.checkpoints import load_official
from denseup.ops import local_similarity, reassemble
from denseup.ops.geometry import source_index
from denseup.ops.nearest import resize_nearest
from denseup.upsamplers import (
    A2U,
    SAPA,
    Deconv,
    DySample,
    IndexNet,
    MaxUnpool,
    PixelShuffle,
)

SIZES = [((4, 5), (8, 10)), ((4, 5), (7, 9)), ((3, 4), (9, 12)), ((4, 6), (6, 9)), ((3, 4), (10, 11))]


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize("size", [(8, 10), (7, 9)])
def test_max_unpooling_at_twice_the_size_is_torchs(size: tuple[int, int]) -> None:
    module, en = MaxUnpool(4), random(2, 4, *size)
    pooled, state = module.downsample(en)
    expected, indices = F.max_pool2d(en, 2, ceil_mode=True, return_indices=True)
    assert torch.equal(pooled, expected)
    de = random(*pooled.shape)
    up = F.max_unpool2d(de, indices, 2, output_size=size)
    assert torch.equal(module(de, en, state=state), up)
    assert torch.equal(module(de, en), up)


@pytest.mark.parametrize(
    ("low", "high"), [*SIZES, ((3, 4), (8, 11)), ((3, 4), (7, 10)), ((5, 1), (5, 1)), ((1, 2), (5, 3))]
)
def test_max_unpooling_puts_each_value_on_the_maximum_of_its_cell(low: tuple[int, int], high: tuple[int, int]) -> None:
    module, de, en = MaxUnpool(3), random(1, 3, *low), random(1, 3, *high)
    expected = torch.zeros_like(en)
    rows, columns = source_index(low[0], high[0]), source_index(low[1], high[1])
    for channel in range(3):
        for row in range(low[0]):
            for column in range(low[1]):
                cell = (rows[:, None] == row) & (columns == column)
                best = torch.where(cell, en[0, channel], -torch.inf).argmax()
                expected[0, channel].view(-1)[best] = de[0, channel, row, column]
    assert torch.equal(module(de, en, state=module.downsample(en)[1]), expected)
    assert torch.equal(module(de, en), expected)


@pytest.mark.parametrize(("low", "high"), [*SIZES, ((3, 4), (8, 11))])
def test_max_unpooling_has_one_meaning_however_it_is_called(low: tuple[int, int], high: tuple[int, int]) -> None:
    """A graph that serves any size takes the general way: cells of any size, NaNs of any cell."""
    module, maps = MaxUnpool(3), {"de": random(2, 3, *low), "en": random(2, 3, *high)}
    make = make_fx(lambda *maps: module(*maps), tracing_mode="symbolic")
    graph = make(*(torch.zeros_like(x) for x in maps.values()))
    for name, value in (("de", 0.0), ("en", torch.nan), ("de", torch.nan), ("de", torch.inf), ("en", -torch.inf)):
        maps[name][0, 1, 1:3, 1:3] = value
        torch.testing.assert_close(module(**maps), graph(*maps.values()), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", [IndexNet, partial(IndexNet, kind="o2o")])
@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_indexed_pooling_is_a_weighted_mean_of_each_block(kind: type[IndexNet], size: tuple[int, int]) -> None:
    """On a constant map nothing is lost, at the border of an odd size neither."""
    module = kind(4).double().eval()
    pooled, _ = module.downsample(torch.full((1, 4, *size), 3.0, dtype=torch.float64))
    torch.testing.assert_close(pooled, torch.full_like(pooled, 3.0))


def test_indexnet_without_a_state_applies_its_sigmoid_twice() -> None:
    module, de, en = IndexNet(4).double().eval(), random(1, 4, 3, 4), random(1, 4, 6, 8)
    _, indices = module.index(en)
    nearest = resize_nearest(de, (6, 8))
    torch.testing.assert_close(module(de, en), torch.sigmoid(indices) * nearest)
    _, state = module.downsample(en)
    torch.testing.assert_close(module(de, en, state=state), indices * nearest)


def split_groups(module: A2U) -> list[A2U]:
    """One module of one group for each group of `module`: rows of the predictors belong to groups, groups first."""
    parts = []
    for group in range(module.groups):
        part = A2U(module.de_channels, kernel_size=module.kernel_size).double()
        state = module.state_dict()
        for key in ("up.weight", "up.bias", "down.weight", "down.bias"):
            state[key] = state[key].chunk(module.groups)[group]
        part.load_state_dict(state)
        parts.append(part)
    return parts


def test_a2u_keeps_its_groups_apart() -> None:
    """Each group has kernels of its own. The authors' code writes the kernels with the groups innermost but reads them
    groups first, so that for more than one group a tap of one group lands in another."""
    torch.manual_seed(0)
    module = A2U(32, groups=2).double()
    en, de = random(2, 32, 8, 6), random(2, 32, 4, 3)
    pooled, state = module.downsample(en)
    up = module(de, en, state=state)
    for group, part in enumerate(split_groups(module)):
        channels = slice(16 * group, 16 * group + 16)
        part_pooled, part_state = part.downsample(en)
        torch.testing.assert_close(pooled[:, channels], part_pooled[:, channels])
        torch.testing.assert_close(up[:, channels], part(de, en, state=part_state)[:, channels])


@pytest.mark.parametrize("options", [{"encoder_kernel_size": 5}, {"shared": False}, {"kernel_size": 1}, {"groups": 2}])
@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_a2u_options_pool_and_raise(options: dict, size: tuple[int, int]) -> None:
    module, en = A2U(16, **options).double(), random(1, 16, *size)
    pooled, state = module.downsample(en)
    assert pooled.shape == (1, 16, (size[0] + 1) // 2, (size[1] + 1) // 2)
    torch.testing.assert_close(module(pooled, en, state=state), module(pooled, en))


def test_a2u_without_its_own_downsampling_pools_by_the_maximum() -> None:
    module, en = A2U(32, own_downsampling=False), random(1, 32, 8, 6, dtype=torch.float32)
    pooled, state = module.downsample(en)
    assert torch.equal(pooled, F.max_pool2d(en, 2))
    assert state is None
    assert not any(key.startswith("down") for key in module.state_dict())


def test_similarity_outside_the_map_is_zero_and_takes_its_share() -> None:
    """With keys of zero every weight is 1/25, inside the map or not: a corner keeps 9/25 of a constant map."""
    module = SAPA(4).double()
    torch.nn.init.zeros_(module.embed_key.weight)
    out = module(torch.ones(1, 4, 6, 6, dtype=torch.float64), random(1, 4, 12, 12))
    assert out[0, 0, 0, 0].item() == pytest.approx(9 / 25)
    assert out[0, 0, 0, 6].item() == pytest.approx(15 / 25)
    assert out[0, 0, 6, 6].item() == pytest.approx(1)


def test_sapas_concatenated_query_is_that_of_the_concatenation() -> None:
    module, de, en = SAPA(6, 4, query="cat").double(), random(1, 6, 3, 4), random(1, 4, 7, 8)
    both = torch.cat([module.norm_en(en.movedim(1, -1)), resize_nearest(de, (7, 8)).movedim(1, -1)], -1)
    key = module.embed_key(module.norm_de(de.movedim(1, -1))).movedim(-1, 1)
    kernels = local_similarity(module.embed_query(both).movedim(-1, 1), key, 5)
    torch.testing.assert_close(module(de, en), reassemble(de, kernels, 5, normalize="softmax"))


@pytest.mark.parametrize("kind", [DySample, partial(DySample, style="pl")])
@pytest.mark.parametrize(("low", "high"), SIZES)
def test_dysample_without_offsets_is_bilinear_interpolation(
    kind: type[DySample], low: tuple[int, int], high: tuple[int, int]
) -> None:
    module, de = kind(8).double(), random(1, 8, *low)
    torch.nn.init.zeros_(module.offset.weight)
    expected = F.interpolate(de, size=high, mode="bilinear", align_corners=False)
    torch.testing.assert_close(module(de, output_size=high), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dysample_reads_exact_positions_in_half_precision(dtype: torch.dtype) -> None:
    """The authors' positions have the dtype of the features: in bfloat16 they are off by most of a pixel from column
    128 on, and the result by some 40 %. Ours stay within the rounding of the offsets and of the result."""
    torch.manual_seed(0)
    module = DySample(8)
    torch.nn.init.normal_(module.offset.weight, std=0.3)
    module, de = module.to(dtype), random(1, 8, 6, 250, dtype=dtype)
    exact = module.double()(de.double())
    out = module.to(dtype)(de)
    assert out.dtype == dtype
    assert (out.double() - exact).abs().mean() <= torch.finfo(dtype).eps * exact.abs().mean()


def test_dysamples_initial_positions_are_no_state() -> None:
    module = DySample(16)
    published = {"init_pos": torch.zeros(1, 32, 1, 1), "offset.weight": torch.zeros(32, 16, 1, 1)}
    report = load_official(module, published)
    assert report.constants == ["init_pos"]
    assert report.unexpected == []
    assert report.missing == ["offset.bias"]
    assert "1 constants: init_pos" in str(report)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_transposed_convolution_starts_as_bilinear_interpolation(factor: int) -> None:
    de = random(1, 3, 6, 7, dtype=torch.float32)
    expected = F.interpolate(de, scale_factor=factor, mode="bilinear", align_corners=False)
    inner = (..., slice(factor, -factor), slice(factor, -factor))  # the map ends in zeros here, there in a copy
    torch.testing.assert_close(Deconv(3, scale_factor=factor)(de)[inner], expected[inner])


@pytest.mark.parametrize("kernel_size", [2, 3, 4, 5, 7])
def test_transposed_convolution_gives_the_exact_size_for_any_kernel(kernel_size: int) -> None:
    assert Deconv(3, kernel_size=kernel_size)(random(1, 3, 5, 6, dtype=torch.float32)).shape == (1, 3, 10, 12)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Deconv(4, scale_factor=3, kernel_size=2), "kernel_size is 2, expected at least scale_factor, 3"),
        (lambda: PixelShuffle(4, encoder_kernel_size=2), "encoder_kernel_size is 2, expected an odd number"),
        (lambda: A2U(6, groups=4), "groups is 4, expected a divisor of 6 and 6 channels"),
        (lambda: A2U(4, kernel_size=2), "kernel_size is 2, expected an odd number"),
        (lambda: DySample(6), "groups is 4, expected a divisor of de_channels, 6"),
        (lambda: DySample(6, style="pl", groups=2), "de_channels is 6, expected a multiple of scale_factor², 4"),
        (lambda: DySample(8, style="pp"), "style is 'pp', valid: 'lp', 'pl'"),
    ],
)
def test_constructor_errors_name_the_argument(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()

"""IndexNet: learned indices for both pooling and upsampling. Lu et al., ICCV 2019, arXiv:1908.09895 (PAMI 2020).

Every 2×2 block of the encoder feature gets four index values y = sigmoid(block(en)). Softmax over the four weights the
pooling, and the raw sigmoids weight the upsampling of the decoder feature:

    masked = softmax(y)·en;   pooled = 4·avg_pool(masked);   up = y·nearest(de)

The masked map is also what the decoder sees of the encoder from then on (en'). In a network that does not pool by this
operator (segmentation), the authors' plug-in form is up = sigmoid(y)·nearest(de): sigmoid twice, which is kept; en' is
then en.

Equals the authors' `hlindex` on even sizes (its licence was MIT at one time and non-commercial at another; nothing is
taken from it). Ours differs in: any size (an odd map is continued by its last row and column) and any ratio; sigmoid
and softmax in at least float32.

Names of the authors → ours: inp → en_channels, use_nonlinear → nonlinear, use_context → context; `indexnet` and
`indexnet1` … `indexnet4` → branches.
"""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import transforms
from denseup.ops.arguments import one_of, true_or_false
from denseup.ops.depthwise import convolve_channels
from denseup.ops.geometry import Size, layout, pad_to_even, pixel_shuffle, size_of, upper_left
from denseup.ops.nearest import resize_nearest
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, quieten

_ONE_MAP_EACH = (
    "it predicts one index map for each channel of en and applies it to the same channel of de; indexnet does not"
)

KINDS = ("holistic", "o2o", "m2o")


class IndexState(NamedTuple):
    """What the pooling hands to the upsampling."""

    masked: Tensor
    """The encoder feature weighted by its indices, `[B, C, H, W]`."""
    indices: Tensor
    """Indices of the upsampling in (0, 1), `[B, C or 1, H, W]`."""


@register_upsampler("indexnet")
@register_upsampler("indexnet_o2o", kind="o2o")
@register_upsampler("indexnet_m2o", kind="m2o")
class IndexNet(Upsampler):
    """Index networks: one index map for all channels ("HIN"), or one for each ("DIN").

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`; the size is always that of the guide.
        nonlinear: two layers with batch normalisation and ReLU6 between instead of one.
        context: look at 4×4 pixels instead of the 2×2 of the block.
        kind: "holistic" for one index map; else each channel has a map, made from this channel ("o2o", depthwise
            one-to-one) or from all of them ("m2o", many-to-one), and the channels of de and en must be equal.

    Raises:
        ValueError: unknown kind, or channels that differ where they must be equal.
    """

    guided = True
    paired = True
    state_type = IndexState
    changes_en = True
    works_channels_last = True
    official_keys: ClassVar[dict[str, str | None]] = {
        f"{prefix}{key}": ours
        for prefix in ("", "index_net.")
        for key, ours in {
            "indexnet.weight": "branches.0.0.weight",
            "indexnet": "branches.0",
            **{f"indexnet{i + 1}": f"branches.{i}" for i in range(4)},
        }.items()
    }

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        nonlinear: bool = True,
        context: bool = True,
        kind: Literal["holistic", "o2o", "m2o"] = "holistic",
        start: Start = "published",
    ) -> None:
        one_of("kind", kind, KINDS)
        if kind != "holistic":
            self.equal_channels_only = _ONE_MAP_EACH
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        nonlinear, context = true_or_false("nonlinear", nonlinear), true_or_false("context", context)
        c, each = self.en_channels, 1 if kind == "holistic" else 4
        hidden, out, groups = (2 * c, 4, 1) if kind == "holistic" else (c, c, c if kind == "o2o" else 1)
        blocks = (_index_block(c, hidden, out, groups, nonlinear, context) for _ in range(each))
        self.branches = nn.ModuleList(blocks)
        self.apply_start()

    def start_neutral(self) -> None:
        """Indices near a half: average pooling, and half of nearest-neighbour interpolation (0.62 of it as a plug-in).

        Its convolutions have no bias that could raise them.
        """
        for branch in self.branches:
            *_, last = branch.children()
            quieten(last)

    def index(self, en: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the pooling and of the upsampling, each `[B, C or 1, H, W]`; H and W even."""
        y = self._of_blocks(en)
        pooling, upsampling = (_side_by_side(values).to(en.dtype) for values in (_softmax(y), y))
        return pooling, upsampling

    def _of_blocks(self, en: Tensor) -> list[Tensor]:
        """The four indices of every 2×2 block, row by row, in at least float32: each `[B, C or 1, H/2, W/2]`."""
        logits = [branch(en) for branch in self.branches]
        if len(logits) == 1:
            logits = list(logits[0].split(1, 1))
        return [torch.sigmoid(x.to(torch.promote_types(x.dtype, torch.float32))) for x in logits]

    def downsample(self, en: Tensor) -> tuple[Tensor, IndexState]:
        """Indexed pooling: `[B, C, H, W]` → `[B, C, ⌈H/2⌉, ⌈W/2⌉]` and the state."""
        self.check_encoder(en)
        size = size_of(en)
        en = pad_to_even(en)
        pooling, upsampling = self.index(en)
        masked = pooling * en
        state = IndexState(upper_left(masked, size), upper_left(upsampling, size))
        return 4 * F.avg_pool2d(masked, 2), state

    def upsample(
        self, de: Tensor, en: Tensor | None, size: Size, state: IndexState | None
    ) -> tuple[Tensor, Tensor | None]:
        """Indexed upsampling, `[B, C, h, w]` → `[B, C, *size]`, and the masked encoder feature if there is a state."""
        if state is None:
            assert en is not None
            weights = [torch.sigmoid(y.to(en.dtype)).to(de.dtype) for y in self._of_blocks(pad_to_even(en))]
            compiled = torch.compiler.is_compiling() or transforms.is_taken_apart()  # which take any size
            if not compiled and size == (2 * de.shape[2], 2 * de.shape[3]):
                return _side_by_side([weight * de for weight in weights]), en
            indices = upper_left(_side_by_side(weights), size)
        else:
            indices, en = state.indices, state.masked
        return indices.to(de.dtype) * resize_nearest(de, size), en


def _softmax(parts: list[Tensor]) -> list[Tensor]:
    """Of the maps `[B, C, h, w]` over one another, pixel by pixel, in their layout."""
    if _have_plain_layout(parts):
        return list(torch.stack(parts).softmax(0).unbind(0))
    weights = torch.stack([part.permute(0, 2, 3, 1) for part in parts]).softmax(0)
    return list(weights.permute(0, 1, 4, 2, 3).unbind(0))


def _side_by_side(parts: list[Tensor]) -> Tensor:
    """The four maps `[B, C, h, w]` of the places in the blocks as one `[B, C, 2h, 2w]`, in their layout."""
    if _have_plain_layout(parts):
        return pixel_shuffle(torch.stack(parts, 2).flatten(1, 2), 2)
    last = [part.permute(0, 2, 3, 1) for part in parts]  # [B, h, w, C]: whole pixels are moved
    rows = [torch.cat(last[k : k + 2], 3) for k in (0, 2)]  # [B, h, w, 2·C], left and right
    batch, height, width, channels = last[0].shape
    return torch.stack(rows, 2).reshape(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


def _have_plain_layout(parts: list[Tensor]) -> bool:
    """Whether nothing is gained by moving whole pixels: not channels-last, or in a graph, whose maker decides that."""
    return transforms.make_a_graph() or layout(parts[0]) is not torch.channels_last


class _EachChannel(nn.Conv2d):
    """A depthwise convolution without bias, which torch computes channel by channel where maps are channels-last."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != self.weight.dtype:
            return super().forward(x)
        (stride, _), padding = self.stride, self.padding[0]
        assert isinstance(padding, int)
        return convolve_channels(x, self.weight.transpose(0, 1), stride, padding)


def _index_block(
    channels: int, hidden: int, out_channels: int, groups: int, nonlinear: bool, context: bool
) -> nn.Sequential:
    """Index logits at half the size: `[B, C, H, W]` → `[B, out_channels, H/2, W/2]`."""
    kernel_size, padding = (4, 1) if context else (2, 0)
    first = hidden if nonlinear else out_channels
    convolution = nn.Conv2d if groups == 1 else _EachChannel
    block = nn.Sequential(convolution(channels, first, kernel_size, 2, padding, groups=groups, bias=False))
    if nonlinear:
        last = convolution(first, out_channels, 1, groups=groups, bias=False)
        block.extend([nn.BatchNorm2d(first), nn.ReLU6(), last])
    return block

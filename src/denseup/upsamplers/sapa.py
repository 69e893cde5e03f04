"""SAPA: Similarity-Aware Point Affiliation. Liu et al., NeurIPS 2022, arXiv:2209.12866.

Every high-resolution point asks the K×K low-resolution points around it how similar they are to it, and takes from
each in proportion:

    kernels = softmax over K×K of ⟨query(LN(en)), key(LN(de))⟩;   out = reassemble(de, kernels)

with the raw `de`. There is no scaling by 1/√d, and a neighbour outside the map has similarity 0, so it still takes its
share of the softmax and borders lose mass: both as the authors have it. Two variants let the query look at the decoder
feature too: "cat" projects both features together, "gate" mixes a projection of each. Both read the raw `de`; only the
gate itself reads the normalised one.

Equals the authors' code (no licence is stated there; nothing is taken from it), whose "encoder_only" is the plain form.
Ours adds any size and any ratio. Not implemented: a later form of theirs with group normalisation and 1×1 convolutions.

Names of the authors → ours: dim_y → en_channels, dim_x → de_channels, up_kernel_size → kernel_size, embedding_dim →
embed_channels; norm_y, norm_x → norm_en, norm_de; q and qy → embed_query, qx → embed_query_de, k → embed_key. Their
call is (en, de), ours (de, en). Their embedding has 64 channels, the published segmentation numbers use 32.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from denseup.ops import local_similarity, reassemble, resize_nearest
from denseup.ops.arguments import one_of
from denseup.ops.convolutions import is_plain_linear
from denseup.ops.geometry import Size
from denseup.ops.normalization import LayerNorm
from denseup.ops.pointwise import project, project_by
from denseup.ops.reassembly import blend_nearest
from denseup.upsamplers.arguments import odd_option, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, quieten

QUERIES = ("en", "cat", "gate")


@register_upsampler("sapa")
@register_upsampler("sapa_cat", query="cat")
@register_upsampler("sapa_gate", query="gate")
class SAPA(Upsampler):
    """Reassembly with kernels from the similarity of encoder and decoder points.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`.
        kernel_size: K of the neighbourhood, odd.
        embed_channels: channels in which similarity is measured.
        query: what asks: "en" alone ("SAPA-B"), "cat" of both features, or the "gate" between them ("SAPA-G").

    Raises:
        ValueError: unknown query, or an even kernel_size.
    """

    guided = True
    works_channels_last = True
    official_keys = {
        "norm_y": "norm_en",
        "norm_x": "norm_de",
        "q": "embed_query",
        "qy": "embed_query",
        "qx": "embed_query_de",
        "k": "embed_key",
    }

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        kernel_size: int = 5,
        embed_channels: int = 64,
        query: Literal["en", "cat", "gate"] = "en",
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        self.kernel_size = odd_option("kernel_size", kernel_size)
        embed_channels = whole_option("embed_channels", embed_channels)
        self.norm_en, self.norm_de = LayerNorm(self.en_channels), LayerNorm(self.de_channels)
        one_of("query", query, QUERIES)
        self.query_from = query
        asking = self.en_channels + (self.de_channels if query == "cat" else 0)
        self.embed_query = nn.Linear(asking, embed_channels)
        if query == "gate":
            self.embed_query_de = nn.Linear(self.de_channels, embed_channels)
            self.gate = nn.Linear(self.de_channels, 1)
        self.embed_key = nn.Linear(self.de_channels, embed_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Truncated normal weights of deviation 0.02 and zero biases for the projections."""
        for module in self.children():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.apply_start()

    def start_neutral(self) -> None:
        """Queries near 0, so that every neighbour is as similar as the next: the mean over the window."""
        for key, module in self.named_children():
            if key.startswith("embed_query"):
                quieten(module)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C_de, h, w]`, `[B, C_en, *size]` → `[B, C_de, *size]`."""
        assert en is not None
        low = _channels_last(de)
        normed = self.norm_de(low)
        query = self.query(self.norm_en(_channels_last(en)), low, normed)
        key = project(self.embed_key, normed)
        kernels = local_similarity(query, key, self.kernel_size)
        return reassemble(de, kernels, self.kernel_size, normalize="softmax")

    def query(self, en: Tensor, de: Tensor, normed_de: Tensor) -> Tensor:
        """Queries `[B, embed, H, W]` from normalised `en`, raw and normalised `de`, all three channels last."""
        if self.query_from == "cat":
            return self._query_of_both(en, de)
        high = project(self.embed_query, en)
        return high if self.query_from == "en" else self._gated(high, de, normed_de)

    def _query_of_both(self, en: Tensor, de: Tensor) -> Tensor:
        """Of (en, de). The projection is linear: `de` is projected before it is raised, a quarter of the work at ×2."""
        if not is_plain_linear(self.embed_query):
            raised = _channels_last(resize_nearest(de.permute(0, 3, 1, 2), (en.shape[1], en.shape[2])))
            return project(self.embed_query, torch.cat([en, raised], 3))
        of_en, of_de = torch.split(self.embed_query.weight, [self.en_channels, self.de_channels], 1)
        high, low = project_by(en, of_en, self.embed_query.bias), project_by(de, of_de)
        return high + resize_nearest(low, (high.shape[2], high.shape[3]))

    def _gated(self, high: Tensor, de: Tensor, normed_de: Tensor) -> Tensor:
        """gate·(projection of `en`) + (1 - gate)·nearest(projection of `de`)."""
        low, gate = project(self.embed_query_de, de), torch.sigmoid(project(self.gate, normed_de))
        return blend_nearest(low, high, gate)


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)

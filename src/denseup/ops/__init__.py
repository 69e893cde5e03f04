"""Reassembly, local similarity and their kin, which dynamic upsamplers are made of, and their back ends."""

import denseup.ops.reassembly.flops
import denseup.ops.reassembly.library_composed  # noqa: F401  registers what forward mode and `torch.func` need
from denseup.ops.dispatch import available_backends, use_backend
from denseup.ops.downsampling.operators import bidownsample
from denseup.ops.exporting import decomposition_table
from denseup.ops.nearest.operators import resize_nearest
from denseup.ops.reassembly.functional import local_similarity, reassemble, reassemble_gated
from denseup.ops.sampling.operators import sample_bilinear

__all__ = [
    "available_backends",
    "bidownsample",
    "decomposition_table",
    "local_similarity",
    "reassemble",
    "reassemble_gated",
    "resize_nearest",
    "sample_bilinear",
    "use_backend",
]

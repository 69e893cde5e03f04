"""Reassembly, local similarity and their kin, which dynamic upsamplers are made of, and their back ends."""

import denseup.ops.flop_formulas
import denseup.ops.library_composed  # noqa: F401  registers what forward mode and `torch.func` need
from denseup.ops.backends import available_backends, use_backend
from denseup.ops.downsampling import bidownsample
from denseup.ops.exporting import decomposition_table
from denseup.ops.functional import local_similarity, reassemble, reassemble_gated
from denseup.ops.nearest import resize_nearest
from denseup.ops.sampling import sample_bilinear

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

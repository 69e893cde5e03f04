"""Reassembly, local similarity and their kin, which dynamic upsamplers are made of, and their back ends.

A folder an operator: what it is (`__init__.py`, `functional.py`), how torch knows it (`operators.py`), its back ends.
What all share stands beside the folders: the choice of a back end in `dispatch.py`, the way to torch in
`registration.py`.
"""

from denseup.ops import depthwise, encoding, pointwise  # noqa: F401  so that every operator is registered
from denseup.ops.attention import neighbourhood_attention
from denseup.ops.dispatch import available_backends, use_backend
from denseup.ops.downsampling import bidownsample
from denseup.ops.exporting import decomposition_table, in_torch_operators
from denseup.ops.nearest import resize_nearest
from denseup.ops.points import gather_points, point_similarity
from denseup.ops.reassembly import local_similarity, reassemble, reassemble_gated
from denseup.ops.sampling import sample_bilinear

__all__ = [
    "available_backends",
    "bidownsample",
    "decomposition_table",
    "gather_points",
    "in_torch_operators",
    "local_similarity",
    "neighbourhood_attention",
    "point_similarity",
    "reassemble",
    "reassemble_gated",
    "resize_nearest",
    "sample_bilinear",
    "use_backend",
]

"""What every operator of `torch.ops.denseup` can be called with, in float64."""

from typing import Any

low, high, odd = (2, 4, 3, 4), (2, 4, 6, 8), (2, 4, 5, 7)
kernels, gate = (2, 18, 5, 7), (2, 1, 3, 4)
value, attended = (2, 6, 3, 4), (2, 6, 5, 7)
placed, weighed = (2, 2, 2, 2, 5, 7), (2, 2, 2, 5, 7)
WRITES = "denseup::pointwise_backward"  # which writes to an argument
# What they are called with: shapes stand for maps, and None for a map that is not there.
CALLS: dict[str, tuple[Any, ...]] = {
    "reassemble": (low, kernels, 3, 2, "reference"),
    "reassemble_adjoint": (odd, kernels, 3, 2, 3, 4, "reference"),
    "local_similarity": (odd, low, 3, 2, "reference"),
    "fused_reassemble": (low, kernels, odd, gate, 3, 2, "reference"),
    "fused_reassemble_backward": (odd, low, kernels, odd, gate, 3, 2, "reference"),
    "neighbourhood_attention": (odd, low, value, 3, 2, 0.7, "reference"),
    "neighbourhood_attention_backward": (attended, odd, low, value, 3, 2, 0.7, "reference"),
    "encode_content": (odd, low, (3, 4, 3, 3), (3,)),
    "encode_content_backward": ((2, 3, 5, 7), odd, low, (3, 4, 3, 3), [True] * 4),
    "pointwise": (odd, (3, 4, 1, 1), (3,)),
    "bidownsample": (odd, (2, 18, 3, 4), 3, 2, 2),
    "bidownsample_adjoint": (low, (2, 18, 3, 4), 3, 2, 2, 5, 7),
    "bidownsample_similarity": (low, odd, 3, 2, 2),
    "sample_bilinear": (low, (2, 5, 7, 2)),
    "sample_bilinear_backward": (odd, low, (2, 5, 7, 2)),
    "sample_positions": (low, (2, 4, 5, 7), 2, "zeros"),
    "sample_positions_backward": (odd, low, (2, 4, 5, 7), 2, "zeros"),
    "depthwise": (odd, (1, 4, 3, 3), 2, 1),
    "depthwise_backward": ((2, 4, 3, 4), odd, (1, 4, 3, 3), 2, 1, [True, True]),
    "point_similarity": (odd, low, placed, "reference"),
    "point_similarity_backward": (weighed, odd, low, placed, "reference"),
    "gather_points": (low, weighed, placed, "reference"),
    "gather_points_backward": (odd, low, weighed, placed, "reference"),
    "sum_of_cells": (odd, 3, 4),
}

"""Attention over points: similarity with a map, and sums over it, at P positions of each output pixel.

What deformable attention is made of, as `denseup.ops.reassembly` is for windows. Beyond the map all is 0.
"""

from denseup.ops.points.functional import gather_points, point_similarity

__all__ = ["gather_points", "point_similarity"]

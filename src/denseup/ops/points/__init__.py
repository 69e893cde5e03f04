"""Attention over points: similarity with a map, and sums over it, at P positions of each output pixel.

    similarity[g, p, y, x] = Σ_{c of group g} query[c, y, x] · key[c, at the point];
    sum[c, y, x] = Σ_p weights[g of c, p, y, x] · value[c, at the point]

where the map is read by bilinear interpolation, and beyond it all is 0. What deformable attention is made of, as
`denseup.ops.reassembly` is for windows, and like those the two are gradients of one sum, Σ weight · ⟨high, map at the
point⟩: in its weights the similarity, in its high-resolution map the sums; that in the map and in the positions is part
of the gradient operator that each has.
"""

from denseup.ops.points.functional import gather_points, point_similarity

__all__ = ["gather_points", "point_similarity"]

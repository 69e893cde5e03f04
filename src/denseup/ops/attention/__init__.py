"""Neighbourhood attention: every pixel of a map attends to a K×K window of a map that is no larger.

    out[c, y, x] = Σ_t softmax_t(scale · Σ_{d of head n} query[d, y, x] · key[d, y_t, x_t]) · value[c, y_t, x_t]

with n the head of channel c, and (y_t, x_t) the t-th pixel of the window of (y, x), which is moved inwards where it
would leave the map. These are local similarity and reassembly with other windows than in `ops.reassembly`, in one: the
weights of an output pixel exist only while it is worked on.
"""

from denseup.ops.attention.functional import neighbourhood_attention

__all__ = ["neighbourhood_attention"]

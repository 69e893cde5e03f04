"""Reassembly and its kin: weighted sums of the K×K windows of a low-resolution map.

    reassemble:          out[c, y, x] = Σ_t de[c, y_t, x_t] · kernels[g·K² + t, y, x]
    local similarity:    sim[g·K² + t, y, x] = Σ_{c in group g} query[c, y, x] · key[c, y_t, x_t]
    softmax_reassemble:  gate·en + (1 - gate)·reassemble(de, softmax(logits)), with or without the gate

with (y_t, x_t) the t-th pixel of the window around the source pixel of (y, x). Reassembly, its adjoint and local
similarity are each other's gradients.
"""

from denseup.ops.reassembly.functional import blend_nearest, local_similarity, reassemble, reassemble_gated

__all__ = ["blend_nearest", "local_similarity", "reassemble", "reassemble_gated"]

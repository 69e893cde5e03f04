"""Reassembly and local similarity: the two operators that dynamic upsamplers are made of, and their back ends."""

from denseup.ops.backends import available_backends, use_backend
from denseup.ops.functional import local_similarity, reassemble
from denseup.ops.geometry import resize_nearest

__all__ = ["available_backends", "local_similarity", "reassemble", "resize_nearest", "use_backend"]

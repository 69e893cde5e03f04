"""Content encoding: the 3×3 convolution that makes kernel logits of embedded features."""

"""The Mix Transformers: their variants, the keys of the original files in ours, and the variant that a file holds."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from denseup.weights import Rules, Shapes

VARIANTS: dict[str, dict[str, Any]] = {
    "b0": {"hidden_sizes": [32, 64, 160, 256], "depths": [2, 2, 2, 2]},
    "b1": {"hidden_sizes": [64, 128, 320, 512], "depths": [2, 2, 2, 2]},
    "b2": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 6, 3]},
    "b3": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 18, 3]},
    "b4": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 8, 27, 3]},
    "b5": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 6, 40, 3]},
}
"""Widths and depths of the Mix Transformers; heads 1-2-5-8, reductions 8-4-2-1 and MLP ratio 4 are common to all."""

_IN_BLOCK = r"block(?P<n>\d)\.(\d+)\."
_TO_BLOCK = r"model.stages.{n-1}.blocks.\2."
_REDUCTION = _TO_BLOCK + "attention.sequence_reduction."
BACKBONE: Rules = (
    (r"patch_embed(?P<n>\d)\.proj\.", r"model.stages.{n-1}.patch_embeddings.proj."),
    (r"patch_embed(?P<n>\d)\.norm\.", r"model.stages.{n-1}.patch_embeddings.layer_norm."),
    (_IN_BLOCK + r"norm1\.", _TO_BLOCK + "layernorm_before."),
    (_IN_BLOCK + r"norm2\.", _TO_BLOCK + "layernorm_after."),
    (_IN_BLOCK + r"attn\.q\.", _TO_BLOCK + "attention.q_proj."),
    (_IN_BLOCK + r"attn\.kv\.(\w+)", _TO_BLOCK + r"attention.k_proj.\3 " + _TO_BLOCK + r"attention.v_proj.\3"),
    (_IN_BLOCK + r"attn\.proj\.", _TO_BLOCK + "attention.o_proj."),
    (_IN_BLOCK + r"attn\.sr\.", _REDUCTION + "sequence_reduction."),
    (_IN_BLOCK + r"attn\.norm\.", _REDUCTION + "layer_norm."),
    (_IN_BLOCK + r"mlp\.", _TO_BLOCK + "mlp."),
    (r"norm(?P<n>\d)\.", r"model.stages.{n-1}.layer_norm."),
)
"""Original key → that of `MixTransformer`."""
STAGES = range(1, 5)


def sizes_in(shapes: Shapes) -> dict[str, list[int]] | None:
    """`hidden_sizes` and `depths` of the Mix Transformer with these keys and shapes; None if it is none."""
    first = [shapes.get(f"patch_embed{stage}.proj.weight", ()) for stage in STAGES]
    blocks = [(int(found[1]), int(found[2])) for key in shapes if (found := re.match(_IN_BLOCK, key))]
    depths = [max((block + 1 for stage, block in blocks if stage == one), default=0) for one in STAGES]
    if not all(len(shape) == 4 for shape in first) or not all(depths):
        return None
    return {"hidden_sizes": [shape[0] for shape in first], "depths": depths}


def variant_of(sizes: Mapping[str, Sequence[int]]) -> str | None:
    """ "b0" … "b5", of these `hidden_sizes` and `depths`; None of others."""
    fitting = (name for name, known in VARIANTS.items() if all(list(sizes[key]) == known[key] for key in known))
    return next(fitting, None)


def named(sizes: Mapping[str, Sequence[int]]) -> str:
    """The Mix Transformer of these `hidden_sizes` and `depths`, in words."""
    variant = variant_of(sizes)
    return f"Mix Transformer {variant or 'of ' + ', '.join(f'{key} {list(sizes[key])}' for key in sizes)}"

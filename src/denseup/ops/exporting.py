"""For exporters that are given a graph which holds the operators already."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from denseup.ops.downsampling import operators as downsampling  # noqa: F401  the operators must exist
from denseup.ops.encoding import operators as encoding
from denseup.ops.reassembly import decomposition as decompositions
from denseup.ops.reassembly import operators as library  # noqa: F401  the operators must exist
from denseup.ops.sampling import operators as sampling


def decomposition_table() -> dict[Any, Callable[..., Tensor]]:
    """What the operators are made of, in torch's own: for `torch.export.ExportedProgram.run_decompositions`.

        table = {**torch.export.default_decompositions(), **decomposition_table()}
        program = program.run_decompositions(table)

    A module given to `torch.onnx.export(…, dynamo=True)` needs none of this. Export with contiguous inputs: where a
    result of ours is channels-last torch may add a copy to the layout it had, `prims.copy_strided`, unknown to ONNX.
    """
    operators = torch.ops.denseup
    return {
        operators.reassemble.default: decompositions.reassemble,
        operators.local_similarity.default: decompositions.similarity,
        operators.fused_reassemble.default: decompositions.fused,
        operators.encode_content.default: encoding.composed,
        operators.bidownsample.default: decompositions.bidownsample,
        operators.sample_bilinear.default: sampling.composed,
    }

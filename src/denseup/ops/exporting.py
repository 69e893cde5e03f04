"""For exporters: graphs without operators of ours, from the start or made so afterwards."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from denseup.ops.registration import OPERATORS
from denseup.ops.transforms import in_torch_operators

__all__ = ["decomposition_table", "in_torch_operators"]


def decomposition_table() -> dict[Any, Callable[..., Tensor]]:
    """What the operators are made of, in torch's own: for `torch.export.ExportedProgram.run_decompositions`.

        table = {**torch.export.default_decompositions(), **decomposition_table()}
        program = program.run_decompositions(table)

    A module given to `torch.onnx.export(…, dynamo=True)`, or exported within `in_torch_operators()`, needs none of
    this. Export with contiguous inputs: where a result of ours is channels-last torch may add a copy to the layout it
    had, `prims.copy_strided`, unknown to ONNX.
    """
    return {operator.overload: operator.exported for operator in OPERATORS.values() if operator.exported is not None}

"""TorchScript, for LibTorch and older programs of PyTorch.

`torch.jit.trace` keeps the sizes of its example as numbers, so the network is not traced by it: the program's graph,
where sizes are computed, is written as Python and compiled by `torch.jit.script`.
"""

import copy
import io
import json
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from denseup.tasks.serving import Serving

SUFFIX = ".ts"
NEEDS: tuple[str, ...] = ()
METADATA = "denseup.json"
"""Entry of the archive: `torch.jit.load(path, _extra_files={"denseup.json": ""})` gives it."""
IN_TORCHSCRIPT: dict[Any, Any] = {
    torch.ops.aten.sym_size.int: torch.ops.aten.size,
    torch.sym_max: max,
    torch.sym_min: min,
}
"""What has another name there, because a size is a number."""


def write(program: ExportedProgram, path: Path, serving: Serving, metadata: Mapping[str, str]) -> None:
    """The compiled module, and `metadata` as an extra file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and says so at each step
        scripted = torch.jit.script(plain_module(program))
        content = io.BytesIO()  # torch's own writer of files does not say what a disk has against them
        torch.jit.save(scripted, content, _extra_files={METADATA: json.dumps(metadata)})
    path.write_bytes(content.getvalue())


def read(path: Path) -> Callable[..., Tensor]:
    """As its users load it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: Callable[..., Tensor] = torch.jit.load(path, map_location="cpu")
    return module


def plain_module(program: ExportedProgram) -> fx.GraphModule:
    """The program as a module whose code is tensors in, a tensor out: nothing of torch.export is left in it."""
    module = program.module(check_guards=False)
    graph = copy.deepcopy(module.graph)
    graph.set_codegen(fx.graph.CodeGen())
    for node in list(graph.nodes):
        _write_out(node, graph)
        if node.op == "output":
            ((result,),) = node.args
            node.args = (result,)
        elif node.target in IN_TORCHSCRIPT:
            node.target = IN_TORCHSCRIPT[node.target]
        elif isinstance(node.target, torch._ops.OpOverload):
            node.target = node.target.overloadpacket
    return fx.GraphModule(module, graph)


def _write_out(node: fx.Node, graph: fx.Graph) -> None:
    """NaN and infinity among the arguments of a node as `float("nan")`: TorchScript knows no such names."""

    def written(value: Any) -> Any:
        if not isinstance(value, float) or math.isfinite(value):
            return value
        with graph.inserting_before(node):
            return graph.call_function(float, (str(value),))

    node.args = fx.node.map_aggregate(node.args, written)

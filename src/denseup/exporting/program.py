"""A task's network as one graph of torch's own operators, for any batch, height and width: what all formats are of."""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from denseup.ops import in_torch_operators
from denseup.tasks import DenseTask

Size = tuple[int, int, int]
"""Batch, height, width."""
EXAMPLE: Size = (2, 67, 93)
"""Of the trace: odd, for what is true of an even size may not be true of every one."""
UNKNOWN_SHARE = 0.5


class Served(nn.Module):
    """`DenseTask.serve` as a module."""

    def __init__(self, task: DenseTask) -> None:
        super().__init__()
        self.task = task

    def forward(self, *inputs: Tensor) -> Tensor:
        """The task's ports."""
        return self.task.serve(*inputs)


def example_inputs(task: DenseTask, size: Size) -> tuple[Tensor, ...]:
    """Inputs of a size, by the ports of a task: random values in [0, 1], smooth at large and noisy at small."""
    batch, height, width = size
    generator = torch.Generator().manual_seed(batch + height + width)
    found = []
    for port in task.serving.inputs.values():
        assert port.channels is not None, "an input has a number of channels"
        coarse = torch.rand(batch, port.channels, 5, 5, generator=generator)
        smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
        noise = torch.rand(batch, port.channels, height, width, generator=generator)
        found.append(0.7 * smooth + 0.3 * noise)
    return tuple(found)


def traced(task: DenseTask) -> ExportedProgram:
    """The program of a task in evaluation mode on the CPU; its inputs have the names of the task's ports.

    torch guards a program by all that it found true of the example's sizes, also where nothing depends on it but the
    memory layouts of a trace. Nothing in `DenseTask.serve`, the networks and the operators goes by a size, so these
    guards are taken out, and each file is compared with the network at other sizes.

    Raises:
        ValueError: the network holds something that can't be traced, or that other programs don't know.
    """
    names = list(task.serving.inputs)
    any_size = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    with torch.no_grad(), in_torch_operators():
        try:
            program = torch.export.export(
                _named(Served(task).eval(), names),
                example_inputs(task, EXAMPLE),
                dynamic_shapes=(any_size,) * len(names),
            )
        except Exception as error:
            raise ValueError(f"the network can't be traced for any size: {type(error).__name__}: {error}") from error
    foreign = sorted({str(node.target) for node in program.graph.nodes if str(node.target).startswith("denseup")})
    if foreign:
        raise ValueError(f"the traced network holds operators that only denseup knows: {', '.join(foreign)}")
    program._guards_code = []
    return program


def _named(served: Served, names: Sequence[str]) -> nn.Module:
    """The same with `names` as the names of its arguments, from which torch takes those of the program's inputs."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    forward = served.forward

    def call(*inputs: Tensor) -> Tensor:
        return forward(*inputs)

    call.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
    served.forward = call  # type: ignore[method-assign]
    return served

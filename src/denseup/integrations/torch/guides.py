"""The encoder feature of a step: the map that its result is first joined with, as it was had before the step."""

import inspect
from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor, nn

from denseup.integrations.torch.paths import Path, Reference, path_to
from denseup.integrations.torch.recording import Call, Node, Use, size_of
from denseup.integrations.torch.tracing import Trace
from denseup.ops.geometry import Size

JOINS = {
    *("cat", "concat", "concatenate", "stack", "hstack"),
    *("add", "add_", "__add__", "__radd__", "__iadd__", "sub", "sub_", "__sub__", "__rsub__", "__isub__"),
    *("mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply", "subtract"),
    *("where", "lerp", "addcmul", "maximum", "minimum", "max", "min"),
}
"""Functions of torch that bring maps of one size together."""


def references(trace: Trace, use: Use, anywhere: bool) -> Iterator[tuple[Reference, int]]:
    """References to guides of a step with their channels, the best first.

    Args:
        anywhere: after the maps that the result is joined with, any of its size that was there, the latest first.
    """
    for node in joined(trace, use):
        yield from available(trace, use, node)
    if anywhere:
        nodes = (node for node in reversed(list(trace.nodes.values())) if serves(node, use))
        for node in sorted(nodes, key=lambda node: -node.time):
            yield from available(trace, use, node)


def joined(trace: Trace, use: Use) -> Iterator[Node]:
    """Maps that were there before the step, of what its result meets, or of what that was made from."""
    size = size_of(use.result.tensor)
    assert size is not None
    reached = {use.result}
    for event in trace.events:
        if event.time > use.time and not reached.isdisjoint(event.inputs):
            if event.name in JOINS:
                others = [node for node in event.inputs if node not in reached and same_place(node.tensor, size)]
                yield from ancestors(others, use, size)
            reached |= {node for node in event.outputs if same_place(node.tensor, size)}


def ancestors(nodes: list[Node], use: Use, size: Size) -> Iterator[Node]:
    """`nodes` and what they were made from at the same size, the nearest first; those that serve."""
    seen = set(nodes)
    while nodes:
        yield from (node for node in nodes if serves(node, use))
        nodes = [p for node in nodes for p in node.parents if p not in seen and same_place(p.tensor, size)]
        nodes = list(dict.fromkeys(nodes))
        seen.update(nodes)


def serves(node: Node, use: Use) -> bool:
    """Whether it can guide the step: a map of the result's size and batch, of the image, there and as it is."""
    x, like = node.tensor, use.result.tensor
    return (
        x.dim() == 4
        and x.shape[0] == like.shape[0]
        and x.shape[2:] == like.shape[2:]
        and x.shape[1] > 0
        and x.is_floating_point()
        and node.time < use.result.time
        and node.from_input
        and node.detail
        and use.versions.get(id(x)) == node.version
    )


def available(trace: Trace, use: Use, node: Node) -> Iterator[tuple[Reference, int]]:
    """References to a value: arguments of the modules at work, the innermost first, then outputs of others."""
    x = node.tensor
    later = trace.nodes[id(x)].version != node.version
    for call in reversed(use.stack):
        for path in argument_paths(call, x):
            yield Reference(call.name, path, True, call.name, later), x.shape[1]
    for call in reversed(trace.calls):
        found = path_to(x, call.output)
        if found is not None and call.end is not None and call.end < use.time and latest(trace, use, call):
            scope = [c for c in use.stack if c.start < call.start][-1]
            yield Reference(call.name, found, False, scope.name, later), x.shape[1]


def latest(trace: Trace, use: Use, call: Call) -> bool:
    """Whether a module was not called once more before the step: what it returned last is then this."""
    calls = [other for other in trace.calls if other.module is call.module and other.end and other.end < use.time]
    return calls[-1] is call


def argument_paths(call: Call, x: Tensor) -> Iterator[Path]:
    """Position, name and the way on, where `x` is an argument of the call."""
    names = parameter_names(call.module)
    for index, value in enumerate(call.args):
        path = path_to(x, value)
        if path is not None:
            yield (index, names[index] if index < len(names) else f"argument {index}", *path)
    for name, value in call.kwargs.items():
        path = path_to(x, value)
        if path is not None:
            yield (names.index(name) if name in names else -1, name, *path)


def parameter_names(module: nn.Module) -> list[str]:
    """Of the positional parameters of its forward."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in inspect.signature(module.forward).parameters.values() if p.kind in kinds]


def same_place(x: Tensor, size: Size) -> bool:
    """Whether a tensor has the places of a map of this size: a map, a map with channels last, or tokens."""
    shape = tuple(x.shape)
    return size in pairwise(shape[1:]) or (x.dim() == 3 and size[0] * size[1] in shape[1:])


def image_of(trace: Trace, use: Use) -> Reference | None:
    """The image: the first argument of the model that is a map at least as large as the result."""
    root, (height, width) = use.stack[0], use.result.tensor.shape[2:]
    for x in (*root.args, *root.kwargs.values()):
        a_map = isinstance(x, Tensor) and x.dim() == 4 and x.is_floating_point()
        if a_map and x.shape[2] >= height and x.shape[3] >= width:
            return Reference(root.name, next(argument_paths(root, x)), True, root.name)
    return None

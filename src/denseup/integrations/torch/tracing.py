"""An example's way through a model: its calls of modules and torch functions, and the values between them."""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from denseup.integrations.torch.paths import tensors
from denseup.integrations.torch.raising import Raising
from denseup.integrations.torch.recording import Call, Event, Node, Use, raises, version
from denseup.integrations.torch.sites import lines_within, passes_on
from denseup.upsamplers.base import Upsampler

RAISING: dict[Callable[..., Any], str] = {
    F.interpolate: "F.interpolate",
    F.conv_transpose1d: "F.conv_transpose1d",
    F.conv_transpose2d: "F.conv_transpose2d",
    F.conv_transpose3d: "F.conv_transpose3d",
    F.pixel_shuffle: "F.pixel_shuffle",
    F.max_unpool2d: "F.max_unpool2d",
}
"""Functions of torch that change sizes upwards, by what the report calls them."""


class Trace(TorchFunctionMode):
    """What an example met in `model`, in order.

    Attributes:
        calls, events, uses: each in the order of their ends.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.names = {id(module): name for name, module in reversed(list(model.named_modules(remove_duplicate=False)))}
        self.constants = {id(x) for x in (*model.parameters(), *model.buffers())}
        self.parameters = {id(x) for x in model.parameters()}
        self.calls: list[Call] = []
        self.events: list[Event] = []
        self.uses: list[Use] = []
        self.stack: list[Call] = []
        self.nodes: dict[int, Node] = {}
        self.visits: dict[tuple[int, Any], int] = {}
        self.clock = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every call of a function of torch comes here."""
        kwargs = kwargs or {}
        inputs = tuple(self.node(x) for x in tensors((args, kwargs)))
        out = func(*args, **kwargs)
        name = getattr(func, "__name__", str(func))
        results = args[:1] if name == "__setitem__" else tensors(out)
        outputs = tuple(self.made(x, inputs, name) for x in results if not self.unchanged(x))
        if outputs:
            self.events.append(Event(self.tick(), name, inputs, outputs))
        if (
            func in RAISING
            and outputs
            and not any(isinstance(call.module, (Upsampler, Raising)) for call in self.stack)
        ):
            self.uses.append(self.use(RAISING[func], inputs[0], outputs[0], args, kwargs))
        return out

    def use(self, function: str, source: Node, result: Node, args: Any, kwargs: dict[str, Any]) -> Use:
        """What there is to know of a call that just ended."""
        innermost = self.stack[-1].module
        module = innermost if passes_on(innermost) or isinstance(innermost, nn.modules.conv._ConvTransposeNd) else None
        stack = [call for call in self.stack if not passes_on(call.module)] or self.stack
        lines = lines_within(stack[-1].module)
        site = None
        if lines is not None:
            visit = (id(stack[-1]), lines)
            site = (lines, self.visits.setdefault(visit, 0))
            self.visits[visit] += function == "F.interpolate"
        versions = {key: version(node.tensor) for key, node in self.nodes.items() if node.tensor.dim() == 4}
        return Use(function, tuple(stack), module, site, source, result, dict(kwargs), self.clock, versions)

    def tick(self) -> int:
        """The next moment."""
        self.clock += 1
        return self.clock

    def node(self, x: Tensor) -> Node:
        """The present value of a tensor; one that nobody saw being made is a constant."""
        known = self.nodes.get(id(x))
        if known is None:
            known = Node(x, version(x), self.clock, learned=id(x) in self.parameters)
            self.nodes[id(x)] = known
        return known

    def unchanged(self, x: Tensor) -> bool:
        """Whether a function returned a tensor that was there, as it was."""
        known = self.nodes.get(id(x))
        return known is not None and known.version == version(x)

    def made(self, x: Tensor, parents: tuple[Node, ...], maker: str) -> Node:
        """A new value."""
        node = Node(
            x,
            version(x),
            self.clock + 1,
            parents,
            from_input=any(p.from_input for p in parents),
            learned=any(p.learned for p in parents),
            detail=any(p.detail and not (p.learned and raises(maker, p.tensor, x)) for p in parents),
            maker=maker,
        )
        for parent in parents:
            parent.children.append(node)
        self.nodes[id(x)] = node
        return node

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hook: a module begins."""
        call = Call(module, self.names[id(module)], args, kwargs, self.tick())
        if not self.stack:
            for x in tensors((args, kwargs)):
                self.nodes[id(x)] = Node(x, version(x), self.clock, from_input=True, detail=True)
        self.stack.append(call)

    def leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Hook: a module ends. What it made out of the mode's sight (scripted code) is made from its arguments."""
        call = self.stack.pop()
        call.output, call.end = output, self.tick()
        known = tuple(self.node(x) for x in tensors((args, kwargs)))
        for x in tensors(output):
            if id(x) not in self.nodes and id(x) not in self.constants:
                self.made(x, known, "").learned = True
        self.calls.append(call)


def trace(model: nn.Module, example: Any) -> Trace:
    """Run `model` on `example` in evaluation mode, without gradients, and leave no trace of it in the model.

    Args:
        example: a tuple of arguments, a mapping of keyword arguments, or the one argument.
    """
    record = Trace(model)
    with undisturbed(model), contextlib.ExitStack() as hooks, torch.no_grad():
        for module in unscripted(model):
            hooks.callback(module.register_forward_pre_hook(record.enter, with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(record.leave, with_kwargs=True).remove)
        with record:
            call_with(model, example)
    return record


def call_with(model: nn.Module, example: Any) -> Any:
    """The model's output for an example."""
    if isinstance(example, Mapping):
        return model(**example)
    return model(*example) if type(example) is tuple else model(example)


def unscripted(model: nn.Module) -> Iterator[nn.Module]:
    """The modules that run Python."""
    return (module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule))


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; modes and random states are as before afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    devices = {x.device for x in model.parameters() if x.device.type == "cuda"}
    state = random.getstate()
    try:
        for module, _ in modes:
            module.training = False
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(state)
        for module, mode in modes:
            module.training = mode

"""Which steps an upsampler takes over, and in words why it does not take the others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from denseup.integrations.torch.guides import same_place
from denseup.integrations.torch.paths import Reference
from denseup.integrations.torch.recording import Node, Use, size_of
from denseup.integrations.torch.report import Step
from denseup.integrations.torch.sites import passes_on
from denseup.integrations.torch.tracing import Trace

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
POOLING = ("adaptive_", "mean", "amax")


@dataclass(eq=False)
class Group:
    """All uses of one step: of one module, or of one place in a module's code."""

    uses: list[Use]
    module: nn.Module | None
    """The `nn.Upsample` or `nn.ConvTranspose2d` that is replaced as a whole."""
    step: Step
    guide: Reference | None = None
    guide_channels: int | None = None

    @property
    def first(self) -> Use:
        """Any one, where all are alike."""
        return self.uses[0]


def grouped(trace: Trace) -> list[Group]:
    """The steps of a trace, in the order of their first use."""
    groups: dict[Any, Group] = {}
    whole = {id(use.module) for use in trace.uses if use.module is not None and replaceable(trace, use)}
    for use in trace.uses:
        alone = use.module if id(use.module) in whole else None
        key = id(alone) if alone is not None else (id(use.owner.module), use.function, use.site)
        if key in groups:
            groups[key].uses.append(use)
            groups[key].step.uses += 1
        else:
            groups[key] = Group([use], alone, described(trace, use, alone))
    return list(groups.values())


def replaceable(trace: Trace, use: Use) -> bool:
    """Whether a module of torch's is one step: it has weights, or it stands in one place and is called there once."""
    module = use.module
    assert module is not None
    if not passes_on(module):
        return True
    uses = [other for other in trace.uses if other.module is module]
    once = len({id(other.owner) for other in uses}) == len(uses)
    one_place = len({id(other.owner.module) for other in uses}) == 1
    return once and one_place and len(places(trace.model, module)) == 1


def places(model: nn.Module, module: nn.Module) -> list[tuple[nn.Module, str]]:
    """Parents and names under which a module is registered."""
    return [(parent, name) for parent in model.modules() for name, child in parent._modules.items() if child is module]


def described(trace: Trace, use: Use, module: nn.Module | None) -> Step:
    """What a step is."""
    function = use.function
    if use.module is not None:
        function = f"nn.{type(use.module).__name__}"
    lines = () if module is not None or use.site is None else use.site[0]
    return Step(
        module=trace.names[id(module if module is not None else use.owner.module)],
        function=function,
        mode=use.settings.get("mode", "") if use.function == "F.interpolate" else "",
        lines=lines,
        channels=use.source.tensor.shape[1] if use.source.tensor.dim() > 1 else 0,
        source=tuple(use.source.tensor.shape[2:]),
        size=tuple(use.result.tensor.shape[2:]),
    )


def objections(trace: Trace, group: Group, logits: bool) -> Iterator[str]:
    """Why no upsampler could or should do a step."""
    if any(use.source.tensor.dim() == 4 and pooled(use) for use in group.uses):
        yield "its map is pooled to a fixed size: a summary of the whole image, with no edges to restore"
    yield from (text for use in group.uses for text in about_the_map(use))
    yield from (text for use in group.uses for text in about_the_function(use))
    channels = sorted({use.source.tensor.shape[1] for use in group.uses})
    if len(channels) > 1:
        yield f"it is called with maps of {' and '.join(map(str, channels))} channels, and an upsampler has one number"
    if not logits and not any(learned_after(use.result) for use in group.uses):
        yield "nothing learned comes after it (logits=True takes it too)"
    yield from about_the_place(trace, group)


def about_the_map(use: Use) -> Iterator[str]:
    """What is raised has to be a feature."""
    x, out = use.source.tensor, use.result.tensor
    if x.dim() != 4:
        yield f"its map has {x.dim() - 2} dimensions, upsamplers take two"
        return
    if not x.is_floating_point():
        yield f"its map is {x.dtype}: no feature"
    if not use.source.from_input:
        yield "what it raises does not depend on the input, such as position embeddings"
    elif not use.source.learned:
        yield "what it raises is the input, or nothing learned of it"
    if x.shape[2:] == out.shape[2:]:
        yield "its result is of the same size"
    elif any(a > b for a, b in zip(x.shape[2:], out.shape[2:], strict=True)):
        yield "it makes maps smaller"


def about_the_function(use: Use) -> Iterator[str]:
    """What is called has to be replaceable by what only raises."""
    if use.function == "F.pixel_shuffle":
        yield "the convolution before it makes what is shuffled: only both together could be replaced"
    elif use.function == "F.max_unpool2d":
        yield "it goes by the indices of its pooling; the operator max_unpool does that by itself"
    elif use.settings.get("antialias"):
        yield "antialias=True asks for a certain filter"
    elif use.function.startswith("F.conv_transpose"):
        yield from about_the_transposed(use.module, use)


def about_the_transposed(module: nn.Module | None, use: Use) -> Iterator[str]:
    """A transposed convolution is a step of its own if it gives its stride times the size."""
    if not isinstance(module, nn.ConvTranspose2d):
        yield "its weights are not those of an nn.ConvTranspose2d"
    elif type(module).forward is not nn.ConvTranspose2d.forward:
        yield f"{type(module).__name__} has a forward of its own"
    elif max(module.dilation) > 1:
        yield f"its dilation is {module.dilation}"
    elif min(module.stride) < 2:
        yield f"its stride is {module.stride}: it is a convolution"
    elif tuple(use.result.tensor.shape[2:]) != strided(use.source.tensor, module.stride):
        yield "its result is not its stride times its map: it is more than a raising"


def strided(x: Tensor, stride: tuple[int, ...]) -> tuple[int, ...]:
    """The stride times the size."""
    return tuple(s * n for s, n in zip(stride, x.shape[2:], strict=True))


def about_the_place(trace: Trace, group: Group) -> Iterator[str]:
    """The step has to be within reach, and what is put there too."""
    owner, module = group.first.owner.module, group.module
    if module is trace.model:
        yield "it is the model itself: put an upsampler in its place"
    elif module is not None:
        if module._forward_hooks or module._forward_pre_hooks:
            yield "the module has hooks, which would be lost"
    elif group.first.site is None:
        yield "the way from its module's forward to it is not to be seen"
    elif "forward" in vars(owner):
        yield "its module's forward is set on the object, not in its class"
    elif holder(group.first) is None:
        yield "it stands in containers only, which would call an upsampler registered there as a part of theirs"


def holder(use: Use) -> nn.Module | None:
    """The innermost module around a step that is no container: there the upsampler is registered."""
    return next((c.module for c in reversed(use.stack) if not isinstance(c.module, CONTAINERS)), None)


def pooled(use: Use) -> bool:
    """Whether the map comes, at its size, from pooling that fixes the size."""
    size = size_of(use.source.tensor)
    assert size is not None
    nodes, seen = [use.source], {use.source}
    while nodes:
        if any(node.maker.startswith(POOLING) and any(shrinks(p, node) for p in node.parents) for node in nodes):
            return True
        nodes = [p for n in nodes for p in n.parents if p not in seen and p.from_input and same_place(p.tensor, size)]
        seen.update(nodes)
    return False


def shrinks(before: Node, after: Node) -> bool:
    """Whether a map has become smaller."""
    a, b = size_of(before.tensor), size_of(after.tensor)
    return a is not None and (b is None or a[0] > b[0] or a[1] > b[1])


def learned_after(node: Node) -> bool:
    """Whether a parameter has a say in what becomes of a value."""
    nodes, seen = [node], {node}
    while nodes:
        children = [child for n in nodes for child in n.children if child not in seen]
        if any(p.learned and not p.from_input for child in children for p in child.parents):
            return True
        nodes = list(dict.fromkeys(children))
        seen.update(nodes)
    return False


def notes(group: Group, factor: int) -> Iterator[str]:
    """What will differ from before, beside the operator."""
    use, module = group.first, group.module
    (h, w), (height, width) = use.source.tensor.shape[2:], use.result.tensor.shape[2:]
    if use.settings.get("align_corners"):
        yield "align_corners=True was, half-pixel centres are"
    if isinstance(module, nn.ConvTranspose2d):
        changed = module.in_channels != module.out_channels
        yield "its learned weights are gone" + (f", a 1×1 convolution gives {module.out_channels} channels" * changed)
    if (height, width) != (h * factor, w * factor):
        yield f"the sizes are no ×{factor} here, of which it is built"


def factor_of(use: Use) -> int:
    """The whole factor nearest to the example's."""
    (h, w), (height, width) = use.source.tensor.shape[2:], use.result.tensor.shape[2:]
    return max(1, round(max(height / h, width / w)))


def scripted(model: nn.Module) -> Iterator[Step]:
    """Parts that torch.jit compiled and that raise: their code cannot be changed."""
    names: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and not any(name.startswith(f"{outer}.") for outer in names):
            names.append(name)
            graph = str(getattr(module, "inlined_graph", ""))
            for function in ("upsample", "interpolate", "conv_transpose", "pixel_shuffle"):
                if function in graph:
                    yield Step(name, function, "", (), 0, (), (), reason="torch.jit compiled it: its code is fixed")
                    break

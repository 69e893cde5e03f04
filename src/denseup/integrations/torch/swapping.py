"""Plans carried out in a model, and taken back."""

from collections.abc import Callable, Iterator
from itertools import count

import torch
from torch import nn

from denseup.integrations.torch.deciding import holder, places
from denseup.integrations.torch.paths import Reference
from denseup.integrations.torch.planning import Plan
from denseup.integrations.torch.raising import (
    Begin,
    Forget,
    Hook,
    KeepArgument,
    KeepOutput,
    Kept,
    Raising,
    RaisingTransposed,
    RaisingUpsample,
)
from denseup.integrations.torch.rerouting import Rerouted, routes_of, unroute
from denseup.integrations.torch.tracing import Trace

IN_PLACE = (RaisingUpsample, RaisingTransposed)
PRE_HOOKS = ("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs")
HOOKS = ("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called")


class Snapshot:
    """Which modules a model consists of, of which classes and with which hooks; not their weights."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = [
            (module, type(module), vars(module).get("routes"), {t: dict(vars(module)[t]) for t in self.tables})
            for module in model.modules()
        ]

    tables = ("_modules", *PRE_HOOKS, *HOOKS)

    def restore(self) -> None:
        """Make the model what it was."""
        for module, kind, routes, tables in self.modules:
            if isinstance(module, Rerouted):
                unroute(module)
            if issubclass(kind, Rerouted):
                routes_of(module, routes)
            for name, table in tables.items():
                vars(module)[name].clear()
                vars(module)[name].update(table)


def carry_out(trace: Trace, plans: list[Plan]) -> list[Raising]:
    """Put the upsamplers in."""
    raisings = []
    for plan in plans:
        if plan.upsampler is not None:
            raising = _made(trace.model, plan)
            if plan.group.module is None:
                _by_route(plan, raising)
            else:
                for parent, name in places(trace.model, plan.group.module):
                    parent._modules[name] = raising
            raisings.append(raising)
    return raisings


def _made(model: nn.Module, plan: Plan) -> Raising:
    """What will stand in the step's place, on its device, in its dtype and mode."""
    module, use = plan.group.module, plan.group.first
    guide, image = (None if ref is None else _kept(model, ref) for ref in (plan.guide, plan.image))
    parts = (plan.upsampler, plan.group.step, guide, image)
    if isinstance(module, nn.ConvTranspose2d):
        raising: Raising = RaisingTransposed(module, *parts)
    elif isinstance(module, nn.Upsample):
        raising = RaisingUpsample(module, *parts)
    else:
        raising = Raising(*parts)  # type: ignore[arg-type]
    x = use.source.tensor
    raising.copies = any(use.versions[id(x)] != x._version for use in plan.group.uses if not x.is_inference())
    weights = [p for owner in (use.owner.module, model) for p in owner.parameters() if p.is_floating_point()]
    raising.to(device=x.device, dtype=weights[0].dtype if weights else x.dtype)
    return raising.train(use.owner.module.training)


def _kept(model: nn.Module, reference: Reference) -> Kept:
    """Hooks that keep a map for a step."""
    kept = Kept(reference)
    source, scope = model.get_submodule(reference.module), model.get_submodule(reference.scope)
    if reference.argument:
        source.register_forward_pre_hook(KeepArgument(kept), with_kwargs=True)
    else:
        scope.register_forward_pre_hook(Begin(kept))
        source.register_forward_hook(KeepOutput(kept))
    scope.register_forward_hook(Forget(kept), always_call=True)
    return kept


def _by_route(plan: Plan, raising: Raising) -> None:
    """Registered with the module around the call, which is sent here."""
    use = plan.group.first
    parent = holder(use)
    assert parent is not None
    assert use.site is not None
    name = next(name for name in _names() if not hasattr(parent, name))
    parent.add_module(name, raising)
    routes_of(use.owner.module).raisings[use.site] = raising


def _names() -> Iterator[str]:
    yield "upsampling"
    yield from (f"upsampling_{number}" for number in count(1))


def take_out(model: nn.Module) -> None:
    """Take all upsamplers out that stand in the place of steps; a transposed convolution gets new weights."""
    raisings = {module for module in model.modules() if isinstance(module, Raising)}
    originals = {raising: _original(raising) for raising in raisings if isinstance(raising, IN_PLACE)}
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):
            if child in originals:
                module._modules[name] = originals[child]
            elif isinstance(child, Raising):
                del module._modules[name]
        for tables in (PRE_HOOKS, HOOKS):
            for key, hook in list(vars(module)[tables[0]].items()):
                if isinstance(hook, Hook) and _serves(hook.kept, raisings):
                    for table in tables:
                        vars(module)[table].pop(key, None)
        if isinstance(module, Rerouted):
            unroute(module)


def _serves(kept: Kept, raisings: set[Raising]) -> bool:
    return any(kept in (raising.guide, raising.image) for raising in raisings)


def _original(raising: RaisingUpsample | RaisingTransposed) -> nn.Module:
    original, weight = raising.original().train(raising.training), next(raising.parameters(), None)
    return original if weight is None else original.to(weight.device, weight.dtype)


def count_calls(raisings: list[Raising], run: Callable[[], object]) -> list[int]:
    """How often each is called in `run`."""
    counts = dict.fromkeys(raisings, 0)

    def called(module: nn.Module, *_: object) -> None:
        counts[module] += 1  # type: ignore[index]

    handles = [raising.register_forward_hook(called) for raising in raisings]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return list(counts.values())

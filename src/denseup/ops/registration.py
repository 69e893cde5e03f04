"""The one place where an operator of ours becomes known to torch: `torch.ops.denseup.…`.

Each gets a fake kernel for compilers, a gradient for autograd, a vmap rule, a FLOP formula, and a composed form in
torch's own operators. That one serves where torch can't look into the operator. `torch.library` knows only one kind of
derivative, the gradient that autograd asks for: in forward mode a tangent is dropped without a word, and the transforms
of `torch.func` refuse the operator. So where either is at work the composed form is differentiated in its place, as
often and in whatever mode one likes. Exporters that know no operators of ours are given it too.

Operators are not registered with torch as decompositions: where sizes are symbols it would ask those, not the fake
kernels, for the layout of results, and inductor refuses to call operators that have one.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch._library.autograd import make_autograd_impl
from torch._library.custom_ops import CustomOpDef
from torch.utils.flop_counter import register_flop_formula

from denseup.ops import transforms

_LIBRARY = torch.library.Library("denseup", "FRAGMENT")  # type: ignore[no-untyped-call]
_DEVICES = ("CPU", "CUDA", "XLA", "MPS", "XPU", "HPU", "Meta", "Lazy", "PrivateUse1", "PrivateUse2", "PrivateUse3")


class Gradient(NamedTuple):
    """How autograd differentiates an operator, as `torch.library.register_autograd` wants it."""

    save: Callable[..., None]
    """(ctx, inputs, output): keep what the gradient needs."""
    backward: Callable[..., Any]
    """(ctx, *grads) → gradients of the inputs."""


class Operator:
    """A registered operator, called like a function."""

    def __init__(
        self, overload: Any, implementation: Callable[..., Any], exported: Callable[..., Any] | None, writes: bool
    ) -> None:
        self.overload, self.implementation, self.exported, self.writes = overload, implementation, exported, writes

    def __call__(self, *args: Any) -> Any:
        """Call it; or what it is made of, where a graph of torch's own operators is being made."""
        if self.exported is not None and transforms.is_taken_apart():
            return self.exported(*args)
        return self.computed(*args)

    def computed(self, *args: Any) -> Any:
        """Call it, as gradients do, past torch's dispatcher where nothing there waits for it: that takes as long as
        the smaller kernels."""
        alone = not (torch.is_grad_enabled() or self.writes or torch.compiler.is_compiling())
        if alone and transforms.nothing_looks_on(*args):
            return self.implementation(*args)
        return self.overload(*args)


OPERATORS: dict[str, Operator] = {}
"""By name: every operator of `torch.ops.denseup`."""


def register(
    name: str,
    implementation: Callable[..., Any],
    *,
    check: Callable[..., None],
    fake: Callable[..., Any],
    composed: Callable[..., Any] | None,
    exported: Callable[..., Any] | None = None,
    gradient: Gradient | None = None,
    flops: Callable[..., int] | None = None,
    each_image_alone: bool = False,
    writes_to: str | None = None,
) -> Operator:
    """Make `torch.ops.denseup.<name>`; all but `flops` take the operator's arguments.

    Args:
        name: in `torch.ops.denseup`.
        implementation: computes it; its annotations are the operator's schema.
        check: raises ValueError for arguments that do not fit. Operators can be called by name, and kernels check
            nothing.
        fake: results without values, in the layout that those of `implementation` have.
        composed: the same in torch's differentiable operators; None: there is no such form.
        exported: the same for exporters, if they are to get another form than `composed`.
        gradient: for autograd; None: it has no gradient.
        flops: as `torch.utils.flop_counter.register_flop_formula` wants it.
        each_image_alone: no image has a part in another's result, so that vmap may join its dimension to the batch.
        writes_to: an argument that is written to.
    """
    writes = (writes_to,) if writes_to else ()
    checked = _checked(check, implementation)
    operator = torch.library.custom_op(f"denseup::{name}", checked, mutates_args=writes)
    operator.register_fake(fake)
    if gradient is not None:
        operator.register_autograd(gradient.backward, setup_context=gradient.save)
    _register_composed(operator, _refused(name, writes_to) if composed is None else _checked(check, composed))
    if each_image_alone:
        operator.register_vmap(_fold_batch(operator))
    if flops is not None:
        register_flop_formula(getattr(torch.ops.denseup, name))(flops)
    OPERATORS[name] = Operator(operator._opoverload, checked, exported or composed, bool(writes))
    return OPERATORS[name]


def _checked(check: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def checked(*args: Any) -> Any:
        check(*args)
        return function(*args)

    return checked


def _refused(name: str, argument: str | None) -> Callable[..., Any]:
    def refused(*args: Any) -> Any:
        raise RuntimeError(f"denseup::{name} writes to its argument `{argument}`: torch.func and forward mode cannot")

    return refused


def _register_composed(operator: CustomOpDef, composed: Callable[..., Any]) -> None:
    """Differentiate `composed` where the operator itself cannot be.

    It is registered for the devices one by one: torch holds the rule that knows gradients only for all of them, and
    takes the nearer one.
    """
    ordinary = make_autograd_impl(operator._opoverload, operator)

    def rule(keyset: Any, *args: Any) -> Any:
        if transforms.are_active():
            return composed(*args)
        return ordinary(keyset, *args)

    for device in _DEVICES:
        _LIBRARY.impl(operator._name, rule, f"Autograd{device}", with_keyset=True)  # type: ignore[no-untyped-call]


def _fold_batch(operator: Callable[..., Any]) -> Callable[..., Any]:
    """The vmap rule of an operator that mixes no images: the mapped dimension joins the batch."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        def join(x: Any, dim: int | None) -> Any:
            if not torch.is_tensor(x):
                return x
            x = x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            return x.flatten(0, 1)

        out = operator(*(join(x, dim) for x, dim in zip(args, in_dims, strict=True)))

        def split(x: Any) -> Any:
            return x.reshape(info.batch_size, x.shape[0] // info.batch_size, *x.shape[1:])

        if torch.is_tensor(out):
            return split(out), 0
        of_maps = [x.dim() > 1 for x in out]  # what stands for "none" has one dimension
        return tuple(split(x) if there else x for x, there in zip(out, of_maps, strict=True)), tuple(
            0 if there else None for there in of_maps
        )

    return rule

"""The up-sampling steps of any PyTorch model, found by running an example and done by one of denseup's operators.

    from denseup.integrations.torch import replace_upsampling, replacements

    model = replace_upsampling(model, "fade", torch.randn(1, 3, 224, 224))
    print(replacements(model))

`docs/integrations/torch.md` says what is taken, what is left, and why.
"""

import logging
import warnings
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

from denseup.integrations.torch.deciding import scripted
from denseup.integrations.torch.planning import Guides, Wish, check_feasible, planned
from denseup.integrations.torch.raising import Raising
from denseup.integrations.torch.report import Report, Step
from denseup.integrations.torch.swapping import Snapshot, carry_out, count_calls, take_out
from denseup.integrations.torch.tracing import Trace, call_with, trace, undisturbed

__all__ = ["Report", "Step", "find_upsampling", "replace_upsampling", "replacements", "restore_upsampling"]

M = TypeVar("M", bound=nn.Module)
log = logging.getLogger(__name__)
_reports: WeakKeyDictionary[nn.Module, Report] = WeakKeyDictionary()
"""Of models in which nothing was replaced too; copies and pickles have the one that their upsamplers carry."""


def replace_upsampling(
    model: M,
    upsampler: str,
    example_input: Any,
    *,
    logits: bool = False,
    guides: Guides = "joined",
    otherwise: str | None = None,
    **options: Any,
) -> M:
    """Let an upsampler do a model's up-sampling steps: `F.interpolate`, `nn.Upsample` and `nn.ConvTranspose2d`.

    It is run twice, in evaluation mode; all else stays as it was. `replacements(model)` tells what became of each step.

    Args:
        model: changed in place, and returned.
        upsampler: a registered name. A guided one gets the map that a step's result is first joined with.
        example_input: a tuple of arguments, a mapping of keyword arguments, or the one argument.
        logits: take steps too that nothing learned follows, such as those that bring logits to the image's size.
        guides: "joined", or "any": else the latest map of the result's size, at last the image.
        otherwise: name of an unguided upsampler for steps without a guide; None leaves them.
        options: of the upsampler (`kernel_size=3`, `start="neutral"`).

    Raises:
        ValueError: unknown name or option, or an upsampler that can do none of the steps.
        RuntimeError: an upsampler is not reached. After any error the model is as it was before the call.
    """
    wish = Wish(upsampler, options, logits, guides, otherwise)
    _check(model)
    before = Snapshot(model)
    try:
        report = _replace(model, wish, example_input)
    except BaseException:
        before.restore()
        raise
    _reports[model] = report
    log.info("%s:\n%s", type(model).__name__, report)
    if not report.replaced:
        warnings.warn(f"replace_upsampling found nothing to replace in {type(model).__name__}:\n{report}", stacklevel=2)
    return model


def find_upsampling(
    model: nn.Module,
    example_input: Any,
    upsampler: str = "fade",
    *,
    logits: bool = False,
    guides: Guides = "joined",
    otherwise: str | None = None,
    **options: Any,
) -> Report:
    """What `replace_upsampling` with the same arguments would do; the model stays as it is.

    Steps that an upsampler does already are not listed.
    """
    wish = Wish(upsampler, options, logits, guides, otherwise)
    _check(model)
    with torch.random.fork_rng([]):
        plans = planned(_run(model, example_input), wish)
    return Report([*(plan.group.step for plan in plans), *scripted(model)])


def replacements(model: nn.Module) -> Report:
    """What the last `replace_upsampling` did to each step of a model, or of the one it was copied or loaded from."""
    reports = (module.report for module in model.modules() if isinstance(module, Raising))
    return next(reports, _reports.get(model, Report([])))


def restore_upsampling(model: M) -> M:
    """Give a model its own steps back. Transposed convolutions begin anew: their weights were not kept."""
    take_out(model)
    _reports.pop(model, None)
    return model


def _check(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is {type(model).__name__}, expected an nn.Module")
    if hasattr(model, "_orig_mod"):
        raise ValueError("model is compiled: replace the upsampling first, then call torch.compile")
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError("model is compiled by torch.jit, whose code cannot be changed: replace the upsampling before")


def _run(model: nn.Module, example: Any) -> Trace:
    try:
        return trace(model, example)
    except Exception as error:
        error.add_note(f"replace_upsampling ran {type(model).__name__} on its example_input to find the steps.")
        raise


def _replace(model: nn.Module, wish: Wish, example: Any) -> Report:
    take_out(model)
    found = _run(model, example)
    plans = planned(found, wish)
    check_feasible(plans, wish)
    report = Report([*(plan.group.step for plan in plans), *scripted(model)])
    raisings = carry_out(found, plans)
    for raising in raisings:
        raising.report = report
    _verify(model, raisings, example)
    return report


def _verify(model: nn.Module, raisings: list[Raising], example: Any) -> None:
    """The example runs, through every upsampler; how often may depend on what a detector finds."""
    with undisturbed(model):
        counts = count_calls(raisings, lambda: call_with(model, example))
    for raising, count in zip(raisings, counts, strict=True):
        if not count:
            raise RuntimeError(f"{raising.step.where} was called, but its upsampler is not")

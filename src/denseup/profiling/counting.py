"""Parameters and GFLOPs of every upsampler in a network: the published way of counting, and the plain one.

Everything is counted on the meta device: nothing is computed, and a whole table takes seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops.geometry import Size
from denseup.profiling import published_costs as published
from denseup.profiling.flops import total_macs
from denseup.upsamplers import Upsampler, UpsamplerFactory


@dataclass(frozen=True)
class Subject:
    """A network to put upsamplers into.

    Args:
        task: decides which published row an upsampler is compared with.
        build: upsampler factory → network.
        in_channels: of the network's input.
    """

    task: str
    build: Callable[[UpsamplerFactory], nn.Module]
    in_channels: int


@dataclass(frozen=True)
class StageCall:
    """One call that a network makes to one of its upsamplers; on the meta device, so only the shapes count."""

    upsampler: Upsampler
    de: Tensor
    en: Tensor | None
    output_size: Size | None
    image: Tensor | None

    def __call__(self) -> Tensor:
        """Upsample as a plug-in: without the state of a down-sampling."""
        out: Tensor = self.upsampler(self.de, self.en, image=self.image, output_size=self.output_size)
        return out


@torch.no_grad()
def count_costs(subject: Subject, factories: Mapping[str, UpsamplerFactory], input_size: int) -> list[dict[str, Any]]:
    """One row for each upsampler, with the columns of `denseup.profiling.table.COLUMNS` that are counted.

    Args:
        subject: the network.
        factories: upsampler name → factory; must have "bilinear", which the others are compared with.
        input_size: of the square input of the plain count.

    Raises:
        ValueError: "bilinear" is missing.
    """
    if "bilinear" not in factories:
        raise ValueError(f"upsamplers are {', '.join(factories)}, expected 'bilinear' among them, to compare with")
    base = _on_meta(subject, factories["bilinear"])
    base_params, (base_macs, _) = _parameters(base), _pass(subject, base, input_size)
    base_cost = published.base_cost(subject.task, base)
    rows = []
    for name, factory in factories.items():
        network = base if name == "bilinear" else _on_meta(subject, factory)
        macs, calls = _pass(subject, network, input_size)
        if input_size != published.INPUT_SIZE and name != "bilinear":
            _, calls = _pass(subject, network, published.INPUT_SIZE)
        params = _parameters(network)
        rows.append(
            {
                "task": subject.task,
                "upsampler": name,
                **_published_columns(subject, name, network, calls, base_cost),
                "params": params,
                "params_added": params - base_params,
                "gflops": macs / published.GIGA,
                "gflops_added": (macs - base_macs) / published.GIGA,
            }
        )
    return rows


def stage_calls(network: nn.Module, image: Tensor) -> list[StageCall]:
    """The calls that a network makes to its upsamplers for `image`, in order."""
    calls: list[StageCall] = []

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        assert isinstance(module, Upsampler)
        de, *rest = args
        en = rest[0] if rest else kwargs.get("en")
        calls.append(StageCall(module, de, en, kwargs.get("output_size"), kwargs.get("image")))

    upsamplers = (module for module in network.modules() if isinstance(module, Upsampler))
    hooks = [module.register_forward_pre_hook(record, with_kwargs=True) for module in upsamplers]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def added_macs(task: str, upsampler: str, calls: list[StageCall]) -> int:
    """Multiply-adds of the stages' upsamplers in the published way of counting."""
    return sum(
        total_macs(call, published.addition_formulas(task, upsampler, call.de.shape[2] * call.de.shape[3]))
        for call in calls
    )


def _published_columns(
    subject: Subject, name: str, network: nn.Module, calls: list[StageCall], base_cost: tuple[int, float] | None
) -> dict[str, Any]:
    """Our count in the published way, the published one and whether they agree; "not published" in other networks.

    `calls` are those at the published size; of bilinear they are not asked.
    """
    row = published.published_cost(subject.task, name) if base_cost else None
    params: int | None
    gflops: float | None
    if name == "bilinear":
        params, gflops = base_cost or (None, None)
    else:
        upsamplers = nn.ModuleList(module for module in network.modules() if isinstance(module, Upsampler))
        params = published.added_parameters(subject.task, name, upsamplers)
        gflops = added_macs(subject.task, name, calls) / published.GIGA
    printed_params, printed_gflops = (row.params, row.gflops) if row else (None, None)
    return {
        "counted_params": params,
        "published_params": printed_params,
        "params_status": published.compare(params or 0, printed_params),
        "counted_gflops": gflops,
        "published_gflops": printed_gflops,
        "gflops_status": published.compare(gflops or 0, printed_gflops),
        "note": row.note if row else "",
    }


def _on_meta(subject: Subject, factory: UpsamplerFactory) -> nn.Module:
    with torch.device("meta"):
        return subject.build(factory).eval()


def _image(subject: Subject, size: int) -> Tensor:
    return torch.empty(1, subject.in_channels, size, size, device="meta")


def _pass(subject: Subject, network: nn.Module, size: int) -> tuple[int, list[StageCall]]:
    """Multiply-adds of the network for a square image, and the calls to its upsamplers on the way."""
    image, calls = _image(subject, size), list[StageCall]()
    return total_macs(lambda: calls.extend(stage_calls(network, image))), calls


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())

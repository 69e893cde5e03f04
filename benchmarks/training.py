"""A whole training step, forward, loss, backward and Adam, with every upsampler in the networks of both tasks.

Matting needs torch and denseup only, segmentation also transformers.
"""

import argparse
import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from benchmarks.cases import Case, Entrant, Settings, Work
from benchmarks.checking import TOLERANCE, check_upsampler, with_backend
from benchmarks.fade import UnfoldFADE, UnfusedFADE
from benchmarks.networks import CROPS, NETWORKS, Batch, Setting
from benchmarks.options import DTYPES, dtypes, names, numbers, parser
from benchmarks.running import MakeCase, run
from benchmarks.targets import STEP
from denseup.upsamplers import Upsampler, UpsamplerFactory, list_upsamplers, upsampler_factory

FORMULATIONS: dict[str, UpsamplerFactory] = {"fade, unfold": UnfoldFADE, "fade, unfused": UnfusedFADE}
QUICK_UPSAMPLERS = ["bilinear", "carafe", "fade"]
LEARNING_RATE = 1e-4


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    options = _parser().parse_args(arguments)
    return run("training", options, lambda how: _cases(options, how))


def _parser() -> argparse.ArgumentParser:
    options = parser("training", __doc__)
    options.add_argument("--dtype", default="", help=f"of torch.autocast, comma-separated: {', '.join(DTYPES)}")
    options.add_argument("--sizes", type=partial(numbers, count=2), help="crop and batch of all networks, as 160x2")
    options.add_argument(
        "--upsamplers", default="", help=f"comma-separated (default: all registered); also {'; '.join(FORMULATIONS)}"
    )
    options.add_argument("--formulations", action="store_true", help="FADE by unfolding and unfused too (GPU: always)")
    options.add_argument("--backends", default="", help="the one back end to use (default: denseup's choice)")
    return options


def _cases(options: argparse.Namespace, how: Settings) -> Iterator[tuple[str, MakeCase]]:
    kind = "cuda" if how.device.type == "cuda" else "cpu"
    for task, preset in NETWORKS:
        if options.quick and preset != "small":
            continue
        crop, batch = options.sizes or ((32, 2) if options.quick else CROPS[kind][task, preset])
        for dtype in dtypes(options, ["bfloat16"] if kind == "cuda" else ["float32"]):
            setting = Setting(task, preset, crop, batch, how.device, dtype)
            yield setting.label, partial(training_case, setting, _factories(options, kind), options.backends or None)


def _factories(options: argparse.Namespace, kind: str) -> dict[str, UpsamplerFactory]:
    """Upsamplers by name, bilinear first; each with the options that its class has by default."""
    chosen = names(options.upsamplers) or (QUICK_UPSAMPLERS if options.quick else list_upsamplers())
    ordered = ["bilinear", *(name for name in chosen if name != "bilinear")]
    factories = {name: upsampler_factory(name) for name in ordered}
    return factories | (FORMULATIONS if options.formulations or (kind == "cuda" and not options.quick) else {})


def training_case(setting: Setting, factories: Mapping[str, UpsamplerFactory], backend: str | None = None) -> Case:
    """A step of one network with each upsampler, on one batch; `backend` serves all reassembly if it is given."""
    batch = setting.samples()
    entrants = [_entrant(name, factory, setting, batch, backend) for name, factory in factories.items()]
    return Case(setting.label, entrants, "bilinear", TOLERANCE)


def _entrant(name: str, factory: UpsamplerFactory, setting: Setting, batch: Batch, backend: str | None) -> Entrant:
    def prepare() -> Work:
        network = setting.network(factory)
        step = partial(_step, setting, network, torch.optim.Adam(network.parameters(), LEARNING_RATE), batch, backend)
        return Work({STEP: step}, partial(_check, network, setting.device, backend))

    return Entrant(name, prepare)


def _check(network: nn.Module, device: torch.device, backend: str | None) -> tuple[float, str]:
    """Every upsampler of the network in float32, against itself in float64 with the reference back end.

    The layers around them are torch's, the same in every row; through all of them together float32 differs from float64
    by kinks and by hundreds of roundings, in which a small fault would drown.
    """
    found = [copy.deepcopy(module) for module in network.modules() if isinstance(module, Upsampler)]
    return max(check_upsampler(module, device, backend) for module in found)


def _step(
    setting: Setting, network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, backend: str | None
) -> None:
    optimizer.zero_grad(set_to_none=True)
    with_backend(backend, lambda: setting.loss(network, batch)).backward()
    optimizer.step()


if __name__ == "__main__":
    sys.exit(main())

"""Time and peak memory of a network with each upsampler, measured side by side."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops.arguments import whole_number
from denseup.profiling.counting import Subject
from denseup.profiling.measuring import Timing, peak_memory, time_side_by_side
from denseup.upsamplers import UpsamplerFactory

MILLI, MEBI = 1e-3, 2**20


@dataclass(frozen=True)
class LatencySettings:
    """What is measured, and how often.

    Args:
        input_size: of the square input.
        batch_size: images at once.
        warmup, repeats: rounds before, and rounds that count.
        channels_last: memory layout of network and input, as the tasks train them.
        device: "cpu", "cuda", or "auto" for the GPU where there is one.

    Raises:
        ValueError: a number that is no whole one, or too small.
    """

    input_size: int = 256
    batch_size: int = 1
    warmup: int = 1
    repeats: int = 5
    channels_last: bool = True
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("input_size", 1), ("batch_size", 1), ("warmup", 0), ("repeats", 0)):
            whole_number(f"latency.{name}", getattr(self, name), least)

    def torch_device(self) -> torch.device:
        """The device that "auto" stands for, or the one named."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)


def measure_latency(
    subject: Subject, factories: Mapping[str, UpsamplerFactory], settings: LatencySettings
) -> dict[str, dict[str, float]]:
    """Measured columns of each upsampler (`denseup.profiling.table.COLUMNS`).

    Forward is inference without gradients; forward and backward is with gradients of all parameters. Both have
    normalisation by running statistics, so that a single image can be measured. Ratios are to bilinear.
    """
    networks = {name: subject.build(factory) for name, factory in factories.items()}
    columns: dict[str, dict[str, float]] = {name: {} for name in networks}
    for kind, make in (("forward", _forward), ("forward_backward", _forward_backward)):
        timings, peaks = _measure(networks, subject.in_channels, settings, make)
        for name, timing in timings.items():
            columns[name] |= _columns(kind, timing, peaks[name])
            columns[name][f"{kind}_ratio"] = timing.ratio_to(timings["bilinear"])
    return columns


def measure_inference(
    networks: Mapping[str, nn.Module], in_channels: int, settings: LatencySettings
) -> dict[str, dict[str, float]]:
    """Of each network: forward_ms (median, and quartiles _q1 and _q3) and forward_peak_mib, as `measure_latency`."""
    timings, peaks = _measure(networks, in_channels, settings, _forward)
    return {name: _columns("forward", timing, peaks[name]) for name, timing in timings.items()}


def _measure(
    networks: Mapping[str, nn.Module],
    in_channels: int,
    settings: LatencySettings,
    make: Callable[[nn.Module, Tensor], Callable[[], Any]],
) -> tuple[dict[str, Timing], dict[str, int]]:
    """Times, and bytes at the worst moment."""
    device, layout = settings.torch_device(), _layout(settings)
    size = (settings.batch_size, in_channels, settings.input_size, settings.input_size)
    image = torch.rand(size, device=device).contiguous(memory_format=layout)
    calls = {}
    for name, network in networks.items():
        placed = network.eval().to(device).to(memory_format=layout)  # type: ignore[call-overload]
        calls[name] = make(placed, image)
    timings = time_side_by_side(calls, repeats=settings.repeats, warmup=settings.warmup, device=device)
    return timings, {name: peak_memory(call, device) for name, call in calls.items()}


def _columns(kind: str, timing: Timing, peak: int) -> dict[str, float]:
    low, high = timing.quartiles
    return {
        f"{kind}_ms": timing.median / MILLI,
        f"{kind}_ms_q1": low / MILLI,
        f"{kind}_ms_q3": high / MILLI,
        f"{kind}_peak_mib": peak / MEBI,
    }


def _layout(settings: LatencySettings) -> torch.memory_format:
    return torch.channels_last if settings.channels_last else torch.contiguous_format


def _forward(network: nn.Module, image: Tensor) -> Callable[[], Any]:
    @torch.no_grad()
    def call() -> Tensor:
        out: Tensor = network(image)
        return out

    return call


def _forward_backward(network: nn.Module, image: Tensor) -> Callable[[], Any]:
    def call() -> None:
        network(image).sum().backward()
        network.zero_grad(set_to_none=True)

    return call

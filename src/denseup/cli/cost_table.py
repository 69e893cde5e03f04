"""The cost table of `src.complexity`: counted and measured, printed and written."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch import nn

from denseup.cli.build import build_network, configured_upsampler, taken
from denseup.cli.config import plain
from denseup.engine import RunFolder
from denseup.engine.folder import write_atomic
from denseup.environment import commit, hardware, versions
from denseup.ops.arguments import whole_number
from denseup.profiling import LatencySettings, Subject, count_costs, measure_latency
from denseup.profiling import table as tables
from denseup.tasks import find_task
from denseup.upsamplers import UpsamplerFactory, list_upsamplers

MINIMUM_WIDTH = 160
"""Of the printed tables, in characters; a narrower terminal would break every line of them."""


def run(cfg: DictConfig, folder: RunFolder, console: Console | None = None) -> list[dict[str, Any]]:
    """Count and measure what `cfg` asks for, print it, and write complexity.csv and complexity.json into `folder`."""
    console = console or Console()
    console.width = max(console.width, MINIMUM_WIDTH)
    latency = LatencySettings(**plain(cfg.latency))
    for name in ("input_size", "num_classes"):
        whole_number(name, cfg[name])
    factories = {name: configured_upsampler(name) for name in _names(cfg.upsamplers)}
    counted = {name: count_costs(_subject(cfg, name), factories, cfg.input_size) for name in cfg.tasks}
    rows = []
    for task, task_rows in counted.items():
        if latency.repeats:
            console.print(f"measuring {len(factories)} upsamplers in the {task} network …")
            measured = measure_latency(_subject(cfg, task), factories, latency)
            task_rows = [row | measured[row["upsampler"]] for row in task_rows]
        _print(console, task, task_rows, cfg.input_size, latency)
        rows += task_rows
    device = latency.torch_device()
    about = {"config": plain(cfg), "hardware": hardware(device), "versions": versions(), "commit": commit()}
    write_atomic(folder.path / "complexity.csv", tables.to_csv(rows))
    write_atomic(folder.path / "complexity.json", tables.to_json(rows, about))
    console.print(f"written: {folder.path}/complexity.{{csv,json}}", highlight=False, soft_wrap=True, markup=False)
    return rows


def _names(chosen: Sequence[str]) -> list[str]:
    """The upsamplers chosen, bilinear before them: every cost is told against it."""
    return ["bilinear", *(name for name in chosen or list_upsamplers() if name != "bilinear")]


def _subject(cfg: DictConfig, task: str) -> Subject:
    kind = find_task(task)
    options = taken(kind.network_options, cfg)

    def build(factory: UpsamplerFactory) -> nn.Module:
        return build_network(cfg.networks[task], kind.in_channels, factory, **options)

    return Subject(task, build, kind.in_channels)


def _print(console: Console, task: str, rows: list[dict[str, Any]], size: int, latency: LatencySettings) -> None:
    console.print(f"\n{task}: cost beside the published table (bilinear: base network; others: what they add to it)")
    console.print(_table(tables.PUBLISHED_HEADER, tables.published_rows(rows)))
    for row in rows:
        if row["note"]:
            console.print(f"{row['upsampler']}: {row['note']}", highlight=False, markup=False)
    header, title = tables.WHOLE_HEADER, f"\n{task}: whole network, counted at {size}×{size}"
    if latency.repeats:
        device = latency.torch_device()
        at = f"{latency.batch_size}×{latency.input_size}×{latency.input_size}"
        rounds = f"{latency.repeats} rounds after {latency.warmup} of warm-up"
        threads = f", {hardware(device)['threads']} threads" if device.type == "cpu" else ""
        title += f"; measured at {at} on {device}{threads}, {rounds}"
        header = header + tables.MEASURED_HEADER
    console.print(title, highlight=False)
    console.print(_table(header, tables.whole_rows(rows)))


def _table(header: list[str], rows: list[list[str]]) -> Table:
    table = Table()
    for name in header:
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        table.add_row(*row)
    return table

"""The tables of the operators' pages, written from the code, conf/upsampler and files of figures.

`python -m docs.operators.tables` puts each between its marks, `<!-- table: NAME OPERATOR … -->` and `<!-- end -->`;
tests/docs/test_operators.py holds that it would change nothing. No figure in them is typed by hand: costs.csv is the
complexity.csv of `python -m src.complexity task=matting,segmentation latency.repeats=0`.
"""

import csv
import inspect
import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from denseup.reporting.published_accuracy import published_value
from denseup.upsamplers import Upsampler, create_upsampler
from denseup.upsamplers.registry import UPSAMPLERS
from docs.results.tables import every_name, number, published_gain, rows, table

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PAGES = (*sorted(HERE.glob("*.md")), HERE.parent / "reproducing.md")
TIMES = ROOT / "benchmarks/results/2026-11-29_upsamplers_cpu.json"
CHANNELS = (64, 256)
BLOCK = re.compile(r"(<!-- table: (\w+) ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
OVERVIEW = {
    "interpolation.md": ("nearest", "bilinear", "bicubic"),
    "deconv_pixel_shuffle.md": ("deconv", "pixel_shuffle"),
    "max_unpool.md": ("max_unpool",),
    "carafe.md": ("carafe",),
    "indexnet.md": ("indexnet", "indexnet_o2o", "indexnet_m2o"),
    "a2u.md": ("a2u",),
    "fade.md": ("fade",),
    "fade_lite.md": ("fade_lite", "semishift"),
    "sapa.md": ("sapa", "sapa_cat", "sapa_gate"),
    "dysample.md": ("dysample", "dysample_scope", "dysample_pl", "dysample_pl_scope"),
    "sapa_d.md": ("sapa_d",),
    "freqfusion.md": ("freqfusion", "freqfusion_resample"),
    "dlu.md": ("dlu",),
    "lda_aqu.md": ("lda_aqu",),
    "frfu.md": ("frfu",),
    "jbu.md": ("jbu", "jbu_stack"),
    "naf.md": ("naf",),
}
"""Page → registered names."""


@cache
def built(name: str, channels: int = 64) -> Upsampler:
    """The operator, with the options of its code."""
    return create_upsampler(name, de_channels=channels)


def options(name: str) -> dict[str, Any]:
    """Options of the command line with their defaults: conf/upsampler/NAME.yaml."""
    found = yaml.safe_load((ROOT / f"conf/upsampler/{name}.yaml").read_text())
    return {key: value for key, value in found.items() if key != "name"}


def described(cls: type) -> dict[str, str]:
    """What the docstring of a class says of each of its arguments."""
    text = inspect.getdoc(cls) or ""
    section = re.search(r"^Args:\n((?:    .*\n?)+)", text, re.MULTILINE)
    entries = re.split(r"\n(?=    \w)", section[1].rstrip()) if section else []
    pairs = (entry.strip().split(": ", 1) for entry in entries)
    return {key: " ".join(value.split()) for key, value in pairs}


def option_table(names: Sequence[str]) -> str:
    """Options, defaults, and what they are; a preset's are those that it leaves open."""
    first = names[0]
    says = described(type(built(first)))
    lines = [[f"`{key}`", f"`{_yaml(value)}`", says[key]] for key, value in options(first).items()]
    return texts(["option", "default", "is"], lines)


def name_table(names: Sequence[str]) -> str:
    """Registered names, their class and what they need."""
    lines = []
    for name in names:
        upsampler = built(name)
        fixed = ", ".join(f"`{key}={_yaml(value)}`" for key, value in UPSAMPLERS.preset(name).items())
        needs = "`de` and `en`, as many channels" if upsampler.equal_channels_only else "`de` and `en`"
        sizes = "whole factors" if upsampler.exact_factor_only else "any"
        pools = "yes" if upsampler.paired else "no"
        seen = needs if upsampler.guided else "`de` and the image" if upsampler.needs_image else "`de`"
        lines.append([f"`{name}`", f"`denseup.{type(upsampler).__name__}`", fixed, seen, sizes, pools])
    return texts(["name", "class", "fixes", "looks at", "sizes", "pools its encoder stage"], lines)


def texts(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of words: every column flush left."""
    return table(header, lines).replace("---:", ":---")


def cost_table(names: Sequence[str]) -> str:
    """Parameters and GFLOPs of one operator, and in the published networks; measured times."""
    header = ["name", *(f"parameters, C = {channels}" for channels in CHANNELS)]
    header += ["matting: + parameters", "+ GFLOPs", "segmentation: + parameters", "+ GFLOPs"]
    header += ["time, × bilinear", "with gradients"]
    lines = []
    for name in names:
        line = [f"`{name}`", *(f"{parameters(name, channels):,}" for channels in CHANNELS)]
        for task in ("matting", "segmentation"):
            row = costs()[task, name]
            line += [f"{int(row['counted_params']):,}", f"{float(row['counted_gflops']):.2f}"]
        lines.append([*line, *times(name)])
    return table(header, lines)


def evidence_table(names: Sequence[str]) -> str:
    """What was measured, and what is published."""
    header = ["name", "CamVid: Δ mIoU", "Δ bIoU", "composites: Δ SAD", "demo scenes: Δ mIoU", "Δ bIoU"]
    header += ["demo matting: Δ SAD", "published: Δ mIoU", "Δ bIoU", "Δ SAD"]
    return table(header, [[f"`{name}`", *evidence(name)] for name in names])


def overview_table(names: Sequence[str]) -> str:
    """Every operator: page, guide, costs, evidence."""
    assert names == ["all"]
    header = ["operator", "guided", "parameters, C = 256", "+ GFLOPs, segmentation", "time, × bilinear"]
    header += ["CamVid: Δ mIoU", "composites: Δ SAD", "published: Δ mIoU", "Δ SAD"]
    lines = []
    for page, members in OVERVIEW.items():
        for name in members:
            found = evidence(name)
            seen = [f"[`{name}`]({page})", _guide(built(name)), f"{parameters(name, 256):,}"]
            counted = f"{float(costs()['segmentation', name]['counted_gflops']):.2f}" if name != "bilinear" else "0.00"
            lines.append([*seen, counted, times(name)[0], found[0], found[2], found[6], found[8]])
    return table(header, lines)


def _guide(upsampler: Upsampler) -> str:
    return "image" if upsampler.needs_image else "yes" if upsampler.guided else ""


def evidence(name: str) -> list[str]:
    """Differences to bilinear: CamVid mIoU, bIoU, composites SAD, demo mIoU, bIoU, SAD, published mIoU, bIoU, SAD."""
    (camvid, composites), scenes = every_name(), rows("../example/segmentation.csv")
    found = [number(camvid.get(name), f"{metric}_delta", 1, "+") for metric in ("miou", "biou")]
    found.append(number(composites.get(name), "sad_delta", 2, "+"))
    found += [number(scenes.get(name), f"{metric}_delta", 1, "+") for metric in ("miou", "biou")]
    found.append(number(rows("../example/matting.csv").get(name), "sad_delta", 2, "+"))
    found += [published_gain("segmentation", name, metric, 2) for metric in ("miou", "biou")]
    return [*found, published_gain("matting", name, "sad", 2)]


def published_table(names: Sequence[str]) -> str:
    """The accuracy that is printed in the papers, of one task."""
    (task,) = names
    metrics = {"matting": ("sad", "mse", "grad", "conn"), "segmentation": ("miou", "biou")}[task]
    known = [name for name in UPSAMPLERS.names() if published_value(task, name, metrics[0])]
    lines = [[f"`{name}`", *(published_value(task, name, metric) or "" for metric in metrics)] for name in known]
    return table(["name", *metrics], lines)


STEPS = {"matting": 180_000, "segmentation": 160_000}
SAMPLES = 16
SUSTAINED = 20e12
"""Operations a second that the hours of a GPU are told for."""
DIFFERS = {
    ("matting", "fade"): "SAD and Grad are those of the training's Python metrics",
    ("matting", "indexnet_m2o"): "which of IndexNet's forms it was is not said",
    ("segmentation", "fade"): "the best of ten evaluations; the last was 44.25",
}


def reproduce_table(names: Sequence[str]) -> str:
    """What each published row takes: the command, the work, the hours, and what is known to differ."""
    (task,) = names
    experiment = {"matting": "composition1k", "segmentation": "ade20k"}[task]
    metric = {"matting": "sad", "segmentation": "miou"}[task]
    lines = []
    for name in (name for name in UPSAMPLERS.names() if published_value(task, name, metric)):
        step = 6e9 * float(costs()[task, name]["gflops"]) * SAMPLES  # multiply and add, forward and twice back
        hours = step * STEPS[task] / SUSTAINED / 3600
        command = f"`experiment={experiment} upsampler={name}`"
        lines.append([command, f"{step / 1e12:.2f}", f"{hours:.1f}", DIFFERS.get((task, name), "")])
    return table(["`python -m src.train` …", "10¹² operations a step", "GPU hours", "known to differ"], lines)


def parameters(name: str, channels: int) -> int:
    """Of one operator whose features have so many channels."""
    return sum(parameter.numel() for parameter in built(name, channels).parameters())


@cache
def costs() -> dict[tuple[str, str], dict[str, str]]:
    """Task and name → the row of costs.csv; of bilinear, what it adds is nothing."""
    with (HERE / "costs.csv").open(newline="") as lines:
        found = {(row["task"], row["upsampler"]): row for row in csv.DictReader(lines)}
    nothing = {"counted_params": "0", "counted_gflops": "0"}
    return {key: row | nothing if key[1] == "bilinear" else row for key, row in found.items()}


@cache
def ratios() -> dict[tuple[str, str], float]:
    """Name and kind → time over that of bilinear interpolation, channels-last, as measured."""
    measured = json.loads(TIMES.read_text())["rows"]
    return {(row["entrant"], row["kind"]): row["ratio"] for row in measured if row["case"].endswith("channels_last")}


def times(name: str) -> list[str]:
    """Forward, and forward with backward."""
    return [f"{ratios()[name, kind]:.3g}" for kind in ("forward", "forward+backward")]


def _yaml(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


TABLES: dict[str, Callable[[Sequence[str]], str]] = {
    "options": option_table,
    "names": name_table,
    "cost": cost_table,
    "evidence": evidence_table,
    "overview": overview_table,
    "published": published_table,
    "reproduce": reproduce_table,
}


def filled(text: str) -> str:
    """A page with today's tables between its marks."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]](found[3].split())}{found[4]}", text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text()))

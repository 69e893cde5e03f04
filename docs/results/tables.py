"""The tables of README.md and docs/results/README.md, written from the CSV files of the reports beside this file.

`python docs/results/tables.py` puts each between its marks, `<!-- table: NAME -->` and `<!-- end -->`;
tests/test_results.py holds that it would change nothing.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from denseup.reporting.published_accuracy import published_value

HERE = Path(__file__).parent
PAGES = (HERE.parent.parent / "README.md", HERE / "README.md")
THIN = ("pole", "sign_symbol", "pedestrian", "bicyclist")
"""CamVid's classes that are mostly boundary."""
BLOCK = re.compile(r"(?<=<!-- table: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)

Row = Mapping[str, str]


def rows(file: str) -> dict[str, Row]:
    """Label → row of a report's CSV file."""
    with (HERE / file).open(newline="") as lines:
        return {row["upsampler"]: row for row in csv.DictReader(lines)}


def number(row: Row | None, key: str, digits: int, sign: str = "") -> str:
    """A mean and the half width of its interval; bold where a difference stays after Holm's correction."""
    if row is None or not row.get(f"{key}_mean"):
        return ""
    mean, half = float(row[f"{key}_mean"]), row[f"{key}_half_width"]
    text = f"{mean:{sign}.{digits}f}" + (f" ± {float(half):.{digits}f}" if half else "")
    p = row.get(key.replace("_delta", "_p_holm"), "") if key.endswith("_delta") else ""
    several = int(row.get("runs") or 2) > 1  # one seed speaks of its images alone
    return f"**{text}**" if several and p and float(p) <= 0.05 else text


def rank(row: Row, key: str) -> str:
    """A place, and the interval of its bootstrap."""
    return f"{row[f'{key}_rank']} ({row[f'{key}_rank_low']}–{row[f'{key}_rank_high']})"


def best_first(table: Mapping[str, Row], key: str, sign: int = -1) -> list[str]:
    """Labels by the difference in a metric, the reference where it is zero."""
    return sorted(table, key=lambda label: sign * float(table[label].get(f"{key}_delta_mean") or 0))


def published_gain(task: str, label: str, metric: str, digits: int) -> str:
    """What was published over bilinear, "" where nothing was."""
    values = [published_value(task, name.split(" (")[0], metric) for name in (label, "bilinear")]
    if label == "bilinear" or None in values:
        return ""
    mine, theirs = (float(value) for value in values if value is not None)
    return f"{mine - theirs:+.{digits}f}"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """As Markdown, the first column flush left."""
    whole = [header, [":---", *["---:"] * (len(header) - 1)], *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in whole)


ON_CAMVID = ("upsampler", "seeds", "mIoU, %", "Δ bilinear", "bIoU, %", "Δ bilinear", "rank by mIoU", "GFLOPs")


def camvid() -> str:
    """Every upsampler on CamVid, beside the published gains."""
    found = rows("camvid/segmentation.csv")
    header = [*ON_CAMVID, "published Δ mIoU", "published Δ bIoU"]
    lines = []
    for label in best_first(found, "miou"):
        line = on_camvid(label, found[label])
        lines.append([*line, *(published_gain("segmentation", label, metric, 2) for metric in ("miou", "biou"))])
    return table(header, lines)


def names() -> str:
    """The other names of the registry on CamVid, compared with bilinear runs of their own."""
    found = rows("names/segmentation.csv")
    return table(ON_CAMVID, (on_camvid(label, found[label]) for label in best_first(found, "miou")))


def on_camvid(label: str, row: Row) -> list[str]:
    """What both tables of CamVid have of an upsampler."""
    line = [label, row["runs"]]
    for metric in ("miou", "biou"):
        line += [number(row, f"{metric}_averaged", 1), number(row, f"{metric}_delta", 2, "+")]
    return [*line, rank(row, "miou"), f"{float(row['gflops']):.2f}"]


def classes() -> str:
    """Difference in IoU to bilinear class by class, the thin ones first."""
    with (HERE / "camvid/segmentation_classes.csv").open(newline="") as lines:
        found = [row for row in csv.DictReader(lines) if row["metric"] == "iou"]
    by_label: dict[str, dict[str, Row]] = {}
    for row in found:
        by_label.setdefault(row["upsampler"], {})[row["class"]] = row
    names = sorted(next(iter(by_label.values())), key=lambda name: name not in THIN)
    order = [label for label in best_first(rows("camvid/segmentation.csv"), "miou") if label != "bilinear"]
    body = [[label, *(number(by_label[label][name], "delta", 1, "+") for name in names)] for label in order]
    return table(["upsampler", *(name.replace("_", " ") for name in names)], body)


def demo() -> str:
    """The demo sweep on both tasks."""
    matting, segmentation = rows("../example/matting.csv"), rows("../example/segmentation.csv")
    header = ["upsampler", "SAD ↓, 10³", "Δ bilinear", "MSE, Δ bilinear", "GFLOPs", "ms"]
    header += ["mIoU ↑, %", "Δ bilinear", "bIoU, Δ bilinear", "GFLOPs", "ms"]
    lines = []
    for label in segmentation:
        cells = [number(matting[label], "sad_averaged", 2), number(matting[label], "sad_delta", 2, "+")]
        cells += [number(matting[label], "mse_delta", 4, "+"), *costs(matting[label])]
        cells += [number(segmentation[label], "miou_averaged", 1), number(segmentation[label], "miou_delta", 1, "+")]
        cells += [number(segmentation[label], "biou_delta", 1, "+"), *costs(segmentation[label])]
        lines.append([label, *cells])
    return table(header, lines)


PHOTOGRAPHS = {"small": "photographs/trimap1/matting.csv", "large": "photographs/trimap2/matting.csv"}
"""Unknown region → the file of its report."""


def matting() -> str:
    """Matting on the composites of the demo, which the networks were trained for, and on photographs."""
    composites = rows("matting/matting.csv")
    photographs = {region: rows(file) for region, file in PHOTOGRAPHS.items()}
    header = ["upsampler", "seeds", "composites: SAD ↓, 10³", "Δ bilinear"]
    for region in photographs:
        header += [f"photographs, {region} unknown region: SAD ↓, 10³", "Δ bilinear", "rank"]
    header += ["GFLOPs", "published Δ SAD"]
    lines = []
    for label in best_first(composites, "sad", sign=1):
        row = composites[label]
        line = [label, row["runs"], number(row, "sad_averaged", 2), number(row, "sad_delta", 2, "+")]
        for found in photographs.values():
            measured = found[label]
            line += [number(measured, "sad_test", 1), number(measured, "sad_delta", 1, "+"), rank(measured, "sad")]
        lines.append([*line, f"{float(row['gflops']):.2f}", published_gain("matting", label, "sad", 1)])
    return table(header, lines)


def transfer() -> str:
    """The differences to bilinear in both tasks side by side, in the order of segmentation."""
    segmentation, composites = rows("camvid/segmentation.csv"), rows("matting/matting.csv")
    photographs = [rows(file) for file in PHOTOGRAPHS.values()]
    header = ["upsampler", "CamVid: Δ mIoU ↑", "Δ bIoU ↑", "composites: Δ SAD ↓", "Δ Grad ↓"]
    header += [f"photographs, {region}: Δ SAD ↓" for region in PHOTOGRAPHS]
    lines = []
    for label in best_first(segmentation, "miou"):
        if label in composites and label != "bilinear":
            line = [label, *(number(segmentation[label], f"{metric}_delta", 1, "+") for metric in ("miou", "biou"))]
            line += [number(composites[label], f"{metric}_delta", 2, "+") for metric in ("sad", "grad")]
            lines.append([*line, *(number(found[label], "sad_delta", 1, "+") for found in photographs)])
    return table(header, lines)


def both_waves() -> tuple[dict[str, Row], dict[str, Row]]:
    """Every upsampler on CamVid and on composites, each compared with the bilinear of its own runs."""
    segmentation, composites = rows("camvid/segmentation.csv"), rows("matting/matting.csv")
    segmentation |= without_bilinear(rows("second_wave/camvid/segmentation.csv"))
    return segmentation, composites | without_bilinear(rows("second_wave/matting/matting.csv"))


def every_name() -> tuple[dict[str, Row], dict[str, Row]]:
    """The same, with the other names of the registry on CamVid."""
    segmentation, composites = both_waves()
    return segmentation | without_bilinear(rows("names/segmentation.csv")), composites


def second_wave() -> str:
    """Both waves in one table, by the difference in mIoU."""
    segmentation, composites = both_waves()
    header = ["upsampler", "CamVid: seeds", "Δ mIoU ↑", "Δ bIoU ↑", "GFLOPs"]
    header += ["composites: seeds", "Δ SAD ↓", "Δ Grad ↓", "GFLOPs"]
    lines = []
    for label in best_first(segmentation, "miou"):
        line = [label, *compared(segmentation[label], ("miou", "biou"), 1)]
        lines.append([*line, *(compared(composites[label], ("sad", "grad"), 2) if label in composites else [""] * 4)])
    return table(header, lines)


def lengths() -> str:
    """Gain in mIoU over bilinear of the same length, by the number of steps, for both starts."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    with (HERE / "lengths/segmentation_length.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            name, _, start = row["upsampler"].rstrip(")").partition(" (start=")
            gain = {f"gain_delta_{part}": row[f"gain_{part}"] for part in ("mean", "half_width")}
            gain |= {"gain_p_holm": row["p_holm"], "runs": row["gain_n"]}
            found.setdefault((name, start), {})[int(row["steps"])] = number(gain, "gain_delta", 1, "+")
    steps = sorted({length for by_steps in found.values() for length in by_steps})
    header = ["upsampler", "start", *(f"{length:,} steps: Δ mIoU" for length in steps)]
    return table(header, ([*key, *(by_steps.get(length, "") for length in steps)] for key, by_steps in found.items()))


def without_bilinear(table: Mapping[str, Row]) -> dict[str, Row]:
    """The upsamplers that were compared with it."""
    return {label: row for label, row in table.items() if label != "bilinear"}


def compared(row: Row, metrics: Sequence[str], digits: int) -> list[str]:
    """Seeds, differences to bilinear, and GFLOPs."""
    deltas = [number(row, f"{metric}_delta", digits, "+") for metric in metrics]
    return [row["runs"], *deltas, f"{float(row['gflops']):.1f}"]


def costs(row: Row) -> list[str]:
    """GFLOPs of the network, and milliseconds of its inference where they were measured."""
    return [f"{float(row['gflops']):.1f}", f"{float(row['forward_ms']):.0f}" if row["forward_ms"] else ""]


TABLES: dict[str, Callable[[], str]] = {
    "demo": demo,
    "camvid": camvid,
    "names": names,
    "classes": classes,
    "matting": matting,
    "transfer": transfer,
    "second_wave": second_wave,
    "lengths": lengths,
}


def filled(text: str) -> str:
    """A page with today's tables between its marks."""
    return BLOCK.sub(lambda found: f"{found[1]}{found[2]}{TABLES[found[1]]()}", text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text()))

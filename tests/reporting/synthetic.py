"""Run folders as src.train writes them, with made-up numbers, for tests of the report."""

import copy
import csv
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from configuring import TINY, configure
from omegaconf import OmegaConf

from denseup.cli.places import CONF
from denseup.engine import RunFolder
from denseup.engine.folder import config_hash
from denseup.engine.per_image import write_images as write_image_files

UPSAMPLERS = ("bilinear", "carafe", "indexnet", "a2u", "fade", "fade_lite")
GAINS = {"bilinear": 0.0, "carafe": 0.2, "indexnet": 0.35, "a2u": 0.45, "fade": 1.0, "fade_lite": 0.85}
CLASSES = ("background", "person", "animal", "plant")
STEPS, EVERY = 500, 100
SHAPES = {
    # metric: value of bilinear, effect of a gain of 1, noise of a seed
    "matting": {
        "sad": (4.1, -0.45, 0.05),
        "mse": (0.012, -0.003, 4e-4),
        "grad": (4.4, -0.7, 0.1),
        "conn": (3.9, -0.5, 0.06),
    },
    "segmentation": {
        "miou": (0.62, 0.03, 4e-3),
        "macc": (0.74, 0.02, 5e-3),
        "aacc": (0.88, 0.01, 2e-3),
        "biou": (0.41, 0.05, 6e-3),
    },
}


def base_config(task: str, *overrides: str) -> dict[str, Any]:
    """Whole config of a run of bilinear with seed 0."""
    return copy.deepcopy(_composed(task, *overrides))


@cache
def _composed(task: str, *overrides: str) -> dict[str, Any]:
    cfg = configure(f"task={task}", "upsampler=bilinear", "logger=csv", "sweep.name=synthetic", *TINY[task], *overrides)
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def run_config(base: dict[str, Any], upsampler: str, seed: int) -> dict[str, Any]:
    """The same for another upsampler and seed."""
    options = OmegaConf.to_container(OmegaConf.load(CONF / "upsampler" / f"{upsampler}.yaml"))
    return {**base, "upsampler": options, "seed": seed, "data": {**base["data"], "seed": seed}}


def write_run(root: Path, config: dict[str, Any], images: int = 0, **changes: Any) -> Path:
    """One finished run; `changes` replace entries of its result.json. The name of its folder comes from its config.

    Of `images` it has what each adds to the metrics.
    """
    task, name, seed = config["task"]["name"], config["upsampler"]["name"], config["seed"]
    folder = RunFolder(root / f"{task}_{name}_seed{seed}_{config_hash(config)[:8]}")
    folder.make()
    folder.write_config(OmegaConf.to_yaml(OmegaConf.create(config)))
    rng = np.random.default_rng([seed, UPSAMPLERS.index(name), len(task)])
    history = [_metrics(task, name, step, rng) for step in range(EVERY, STEPS + 1, EVERY)]
    _write_history(folder.path / "metrics.csv", history)
    monitor, choose = ("sad", min) if task == "matting" else ("miou", max)
    best = choose(history, key=lambda values: values[monitor])
    result = {
        "status": "finished",
        "task": task,
        "upsampler": name,
        "seed": seed,
        "config_hash": config_hash(config),
        "versions": {"torch": "2.13.0"},
        "steps": STEPS,
        "monitor": monitor,
        "mode": "min" if task == "matting" else "max",
        "metrics": {"best": best, "last": history[-1]},
        "checkpoint": "checkpoints/best.ckpt",
        **(_classes(best["miou"], rng) if task == "segmentation" else {}),
    }
    folder.write_result(result | changes)
    if images:
        write_images(folder, (result | changes)["metrics"], images, rng)
    return folder.path


def write_images(folder: RunFolder, metrics: dict[str, Any], number: int, rng: np.random.Generator) -> None:
    """per_image.csv, and for segmentation the counts, that give the metrics; an image is alike in all runs."""
    alike = np.random.default_rng(0).normal(size=number)
    rows, counts = [], {}
    for kind, values in metrics.items():
        named = [{"evaluation": kind, "step": values["step"], "name": f"image {i}"} for i in range(number)]
        for key, value in values.items():
            if key != "step":
                spread = alike + 0.3 * rng.normal(size=number)
                column = value * (1 + 0.1 * (spread - spread.mean()))
                named = [{**row, key: cell} for row, cell in zip(named, map(float, column), strict=True)]
                whole = np.full((number, len(CLASSES)), 10**8)
                parts = np.repeat(np.rint(column * 10**8)[:, None], len(CLASSES), 1)
                counts[kind] = counts.get(kind, {}) | {key: torch.from_numpy(np.stack([parts, whole], 1).astype(int))}
        rows += named
    of_classes = "miou" in rows[0]
    if of_classes:
        rows = [{**row, "miou": row["miou"] ** 2} for row in rows]  # an image's own, no part of the set's
    write_image_files(folder, rows, counts if of_classes else {})


def write_sweep(
    root: Path,
    tasks: Iterable[str] = ("matting", "segmentation"),
    upsamplers: Iterable[str] = UPSAMPLERS,
    seeds: Iterable[int] = (0, 1, 2),
    overrides: Iterable[str] = (),
    images: int = 0,
) -> Path:
    """Finished runs of every combination."""
    for task in tasks:
        base = base_config(task, *overrides)
        for name in upsamplers:
            for seed in seeds:
                write_run(root, run_config(base, name, seed), images)
    return root


def _metrics(task: str, name: str, step: int, rng: np.random.Generator) -> dict[str, float]:
    left = np.exp(-3.5 * step / STEPS)
    values = {"step": step}
    for metric, (base, effect, noise) in SHAPES[task].items():
        worse = 1.0 if effect < 0 else -0.5
        gain = GAINS[name] * (0.6 if task == "segmentation" and name == "indexnet" else 1.0)
        values[metric] = float(base * (1 + worse * left) + effect * gain + noise * rng.normal())
    return values


def _classes(miou: float, rng: np.random.Generator) -> dict[str, Any]:
    offsets = np.array([0.3, -0.05, -0.1, -0.15]) + rng.normal(0, 0.01, 4)
    iou = (miou + offsets - offsets.mean()).tolist()
    values = {"iou": iou, "acc": iou, "biou": iou}
    return {"class_names": list(CLASSES), "per_class": {"best": values, "last": values}}


def _write_history(file: Path, history: list[dict[str, float]]) -> None:
    rows = [{"step": v["step"] - 1, **{f"val/{k}": value for k, value in v.items() if k != "step"}} for v in history]
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, ["epoch", "step", "train/loss", *(key for key in rows[0] if key != "step")])
        writer.writeheader()
        for row in rows:
            writer.writerow({"epoch": 0, "step": row["step"], "train/loss": 0.5})
            writer.writerow({"epoch": 0, **row})

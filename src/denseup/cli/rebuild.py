"""The networks of finished runs, built again from their configs: counted, measured, and shown at work."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch.nn import functional as F

from denseup.cli.config import EXAMPLES
from denseup.cli.loading import load, rebuilt_data, rebuilt_task
from denseup.cli.official import OF_AUTHORS
from denseup.cli.places import OFFICIAL
from denseup.data.datamodules import DenseData
from denseup.engine import RunFolder
from denseup.environment import hardware
from denseup.evaluation import EvaluationSettings, Way
from denseup.profiling import LatencySettings, measure_inference, total_macs
from denseup.reporting import COUNT_SIZE, Example, Group, Measurements, Run, conditions
from denseup.reporting.loading import TEST
from denseup.tasks import DenseTask
from denseup.tasks.base import to_uint8


def count(run: Run) -> tuple[int, float]:
    """Parameters and GFLOPs of a run's network, built from its config on the meta device: nothing is computed."""
    with torch.device("meta"):
        task = rebuilt_task(run.config)
        network = task.network.eval()
        image = torch.empty(1, task.in_channels, COUNT_SIZE, COUNT_SIZE)
    with torch.no_grad():
        macs = total_macs(lambda: network(image))
    return sum(p.numel() for p in network.parameters()), macs / 1e9


def measure(group: Group) -> Measurements | None:
    """Latency and memory of inference with the networks of a group, built from their configs, side by side."""
    networks, in_channels = {}, 0
    for label, by_seed in group.members.items():
        try:
            task = rebuilt_task(next(iter(by_seed.values())).config)
        except Exception:  # the note of what could not be counted says why
            continue
        networks[label], in_channels = task.network, task.in_channels
    if not networks:
        return None
    settings = LatencySettings()
    measured = measure_inference(networks, in_channels, settings)
    rows = {
        (group.task, label): {"params": sum(p.numel() for p in networks[label].parameters()), **row}
        for label, row in measured.items()
    }
    return Measurements(rows, conditions(asdict(settings), hardware(settings.torch_device())))


def predict(group: Group, examples: int = EXAMPLES) -> tuple[list[Example], list[str]]:
    """The first images of the evaluation that is told, as runs of one seed predict them, and notes on missing ones.

    The weights are those of the evaluation that is told.
    """
    seed = min(seed for by_seed in group.members.values() for seed in by_seed)
    predictions: dict[str, list[Any]] = {}
    missing: dict[str, list[str]] = {}
    for label, by_seed in group.members.items():
        chosen = by_seed.get(seed)
        try:
            if chosen is None or chosen.checkpoint is None:
                raise ValueError(f"no checkpoint of seed {seed}")
            predictions[label] = _predictions(chosen, group.evaluation, examples)
        except Exception as error:  # whatever is wrong with one checkpoint must not cost the report
            missing.setdefault(str(error), []).append(label)
    notes = [f"No predictions of {', '.join(labels)}: {why}." for why, labels in missing.items()]
    if not predictions:
        return [], notes
    config = group.members[next(iter(predictions))][seed].config
    with torch.device("meta"):  # which reads targets as well as one with weights
        task = rebuilt_task(config)
    batches = _batches(rebuilt_data(config), group.evaluation, examples)
    title = f"{task.name}: {'test' if group.evaluation == TEST else 'validation'} image"
    return [_example(task, f"{title} {i}", batch, i, predictions) for i, batch in enumerate(batches)], notes


def _batches(data: DenseData, evaluation: str, number: int) -> list[dict[str, Any]]:
    data.num_workers = 0
    loader = data.test_dataloader() if evaluation == TEST else data.val_dataloader()
    return [batch for _, batch in zip(range(number), loader, strict=False)]


@torch.no_grad()
def _predictions(run: Run, evaluation: str, number: int) -> list[Any]:
    assert run.checkpoint is not None
    task = _loaded(run, evaluation)
    batches = _batches(rebuilt_data(run.config), evaluation, number)
    way = Way(task, EvaluationSettings.seen_as(run.config.get("evaluation") or {}))
    return [way(batch)[0].numpy() for batch in batches]


def _loaded(run: Run, evaluation: str) -> DenseTask:
    """The task of a run with the weights of an evaluation; of an evaluation itself, with those that it measured."""
    if run.config.get(OF_AUTHORS):
        return load(f"{OFFICIAL}{run.checkpoint}", rebuilt_task(run.config))
    return load(run.checkpoint if run.weights else RunFolder(run.source).weights(evaluation))  # type: ignore[arg-type]


def _example(
    task: DenseTask, title: str, batch: dict[str, Any], index: int, predictions: Mapping[str, list[Any]]
) -> Example:
    truth = task.target(batch)
    image = F.interpolate(batch["image"][:1], size=truth.shape, mode="bilinear", align_corners=False)[0]
    found = {label: maps[index] for label, maps in predictions.items()}
    return Example(title, to_uint8(image), truth, found, task.maps)

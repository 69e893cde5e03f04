"""Run folders → `Run`s: the one place that knows how a run is stored."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from denseup.engine import RunFolder
from denseup.engine.folder import IDENTITY
from denseup.engine.former import upgraded
from denseup.metrics import MetricInfo
from denseup.reporting.well_formed import check_config, check_result, is_training

Values = Mapping[str, float | None]
TEST = "test"
"""The one evaluation of a run that trained nothing."""
EVALUATIONS = ("best", "last", "averaged")
"""Of a training run; its checkpoints have the same names."""


@dataclass(frozen=True)
class Run:
    """One training run, or one evaluation of its weights on other data, wherever it was read from.

    Args:
        source: the folder or file it was read from; of an archive: the run's name below the archive's path.
        status: "finished", or what else became of it.
        task, upsampler, seed: which combination; "?" and None where it failed too early to say.
        config: all that it was configured with.
        measures: what its metrics are, the one that picked its best evaluation first; empty where it does not say.
        class_measures: the same of its classes' values.
        monitor, mode: key of the metric that picked its best evaluation, and what is better in it, "min" or "max".
        metrics: evaluation ("best", "last", …) → metrics, in the units of result.json; "step" among them.
        history: (step, metrics) of each evaluation, in order.
        class_names: of its classes.
        class_values: evaluation → metric → value of each class.
        params: of its network.
        cost: measured columns of the cost table, as "forward_ms".
        versions: of the packages that it ran with.
        checkpoint: of its best evaluation, where there is one; of an evaluation: what was evaluated.
        weights: "best", "last", "averaged" or "other": those that were evaluated, on the test split of the data that
            `config` names; "" of a training run.
        features: folder of its frames of features (`denseup.engine.callbacks.frames`), where there are any.
        robustness: rows of an evaluation under corruptions (`denseup.evaluation.robustness`).
        error: why it did not finish, or why it cannot be read.
        unpacked: where its files lie, if not in `source`.
    """

    source: Path
    status: str
    task: str = "?"
    upsampler: str = "?"
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    measures: Sequence[MetricInfo] = ()
    class_measures: Sequence[MetricInfo] = ()
    monitor: str | None = None
    mode: str | None = None
    metrics: Mapping[str, Values] = field(default_factory=dict)
    history: Sequence[tuple[int, Values]] = ()
    class_names: Sequence[str] = ()
    class_values: Mapping[str, Mapping[str, Sequence[float | None]]] = field(default_factory=dict)
    params: int | None = None
    cost: Values = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Path | None = None
    weights: str = ""
    features: Path | None = None
    robustness: Sequence[Mapping[str, Any]] = ()
    error: str = ""
    unpacked: Path | None = None

    @property
    def files(self) -> Path:
        """Folder of its files, or the W&B file that it is."""
        return self.unpacked or self.source

    @property
    def best(self) -> Values:
        """Metrics at its best evaluation."""
        return self.metrics.get("best", {})

    @property
    def last(self) -> Values:
        """Metrics at its last evaluation."""
        return self.metrics.get("last", {})

    @property
    def finished(self) -> bool:
        """Whether its numbers count."""
        return self.status == "finished"


def read_run(path: Path) -> Run:
    """The run of one folder; whatever is wrong with the folder makes a run that has not finished and says why."""
    folder = RunFolder(path)
    try:
        result = json.loads(folder.result.read_text())
        config = yaml.safe_load(folder.config.read_text()) if folder.config.is_file() else {}
        check_config(config)
        return _run(folder, result, upgraded(config))
    except FileNotFoundError:
        return Run(path, "no result", error="there is no result.json")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        return Run(path, "unreadable", error=f"{type(error).__name__}: {error}")


def _run(folder: RunFolder, result: dict[str, Any], config: dict[str, Any]) -> Run:
    named: dict[str, Any] = {key: result[key] for key in ("task", "upsampler", "seed") if key in result}
    status, error = result["status"], str(result.get("error", ""))
    if status != "finished":
        note = "unfinished, or still running" if status == "running" else "no error was written"
        return Run(folder.path, status, **named, config=config, error=error or note)
    if missing := [key for key in IDENTITY if key not in config]:
        raise ValueError(f"config.yaml lacks {', '.join(missing)}")
    check_result(result)
    if not is_training(result):
        return _evaluation(folder, result, config, named)
    checkpoint = folder.path / result.get("checkpoint", "checkpoints/best.ckpt")
    return Run(
        folder.path,
        status,
        **named,
        config=config,
        measures=_described(result, "values"),
        class_measures=_described(result, "class_values"),
        monitor=result.get("monitor"),
        mode=result.get("mode"),
        metrics=result["metrics"],
        history=_history(folder.path / "metrics.csv", result.get("steps")),
        class_names=result.get("class_names", ()),
        class_values=result.get("per_class", {}),
        params=result.get("params"),
        cost={key: result[key] for key in ("forward_ms", "forward_peak_mib") if key in result},
        versions=result.get("versions", {}),
        checkpoint=checkpoint if checkpoint.is_file() else None,
        features=folder.features if any(folder.features.glob("step_*.png")) else None,
    )


def weights_of(checkpoint: Path) -> str:
    """Which of a run's weights a checkpoint has, by its name."""
    return checkpoint.stem if checkpoint.stem in EVALUATIONS else "other"


def _evaluation(folder: RunFolder, result: dict[str, Any], config: dict[str, Any], named: dict[str, Any]) -> Run:
    """What `denseup evaluate` left behind."""
    checkpoint = Path(result["checkpoint"])
    return Run(
        folder.path,
        result["status"],
        **named,
        config=config,
        measures=_described(result, "values"),
        class_measures=_described(result, "class_values"),
        monitor=result.get("monitor"),
        mode=result.get("mode"),
        metrics={TEST: result["metrics"]},
        class_names=result.get("class_names", ()),
        class_values=result.get("per_class", {}),
        versions=result.get("versions", {}),
        checkpoint=checkpoint if checkpoint.is_file() else None,
        weights=weights_of(checkpoint),
        robustness=result.get("robustness", ()),
    )


def _described(result: dict[str, Any], kind: str) -> list[MetricInfo]:
    return [MetricInfo.read(entry) for entry in result.get("metric_info", {}).get(kind, ())]


def _history(file: Path, steps: int | None) -> list[tuple[int, Values]]:
    """The evaluations in metrics.csv, whose "step" counts those before the one that an evaluation comes after."""
    if not file.is_file():
        return []
    history: list[tuple[int, Values]] = []
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            values: Values = {key[4:]: float(value) for key, value in row.items() if key.startswith("val/") and value}
            if values:
                step = int(row["step"]) + 1
                history.append((min(step, steps or step), values))
    return history

"""Which runs may be compared: those that differ in nothing but upsampler and seed."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from denseup.engine.folder import IDENTITY
from denseup.metrics import MetricInfo
from denseup.reporting.loading import Run, Values
from denseup.reporting.measures import class_measure, measures

REFERENCE = "bilinear"
SHARED = tuple(key for key in IDENTITY if key not in ("upsampler", "seed"))
FOLLOWS_THE_SEED = "the run's seed"


@dataclass
class Group:
    """Runs of one task that share every setting.

    Args:
        name: of the task, with a number where a task has several groups.
        task: theirs.
        settings: dotted name → value, shared by all of them.
        members: label of the upsampler → seed → run; reference first, the others by name.
        differences: in which settings it differs from the task's first group.
    """

    name: str
    task: str
    settings: Mapping[str, Any]
    members: Mapping[str, Mapping[int, Run]]
    differences: Sequence[str] = field(default=())

    def values(self, label: str, metric: str, evaluation: str = "best") -> dict[int, float | None]:
        """Seed → value of a metric at the "best" or the "last" evaluation of an upsampler."""
        return {seed: _evaluation(run, evaluation).get(metric) for seed, run in self.members[label].items()}

    @property
    def slug(self) -> str:
        """Its name in names of files."""
        return self.name.replace(" ", "_")

    @cached_property
    def measures(self) -> tuple[MetricInfo, ...]:
        """What its runs measured; the first one stands for the task in the plots."""
        return measures(self.runs)

    @property
    def class_measure(self) -> MetricInfo | None:
        """What is told of each class."""
        return class_measure(self.runs)

    @property
    def runs(self) -> list[Run]:
        """All of them."""
        return [run for by_seed in self.members.values() for run in by_seed.values()]


def group_runs(runs: Sequence[Run]) -> tuple[list[Group], list[tuple[Run, str]]]:
    """The groups of finished runs by task, larger ones first; and the runs that no statistic has, with the reason."""
    left_out = [(run, run.error) for run in runs if not run.finished]
    finished = [run for run in runs if run.finished]
    groups: list[Group] = []
    for task in sorted({run.task for run in finished}):
        sets = sorted(_comparable([run for run in finished if run.task == task]), key=lambda found: -len(found[1]))
        for number, (settings, found) in enumerate(sets, 1):
            members, again = _members(found)
            first = sets[0][0]
            name = task if len(sets) == 1 else f"{task} {number}"
            groups.append(Group(name, task, settings, members, _differences(settings, first)))
            left_out += again
    return groups, left_out


def flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of each leaf of a config."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, config


def _evaluation(run: Run, evaluation: str) -> Values:
    return run.best if evaluation == "best" else run.last


def _comparable(runs: Sequence[Run]) -> list[tuple[dict[str, Any], list[Run]]]:
    """The sets of runs with the same settings, and these settings.

    A seed of the data is one of them where it stays the same in all seeds; usually it is the run's own.
    """
    sets = []
    for found in _by(runs, _settings):
        seeds = {run.config["data"].get("seed") for run in found}
        follows = all(run.config["data"].get("seed", run.seed) == run.seed for run in found)
        together = [found] if follows or len(seeds) == 1 else _by(found, _data_seed)
        sets += [(_settings(part[0]) | {"data.seed": _seed_of(part)}, part) for part in together]
    return sets


def _by(runs: Sequence[Run], key: Callable[[Run], Any]) -> list[list[Run]]:
    sets: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        sets[json.dumps(key(run), sort_keys=True, default=str)].append(run)
    return list(sets.values())


def _settings(run: Run) -> dict[str, Any]:
    settings = dict(flat({key: run.config[key] for key in SHARED}))
    settings.pop("data.seed", None)
    return settings


def _data_seed(run: Run) -> Any:
    seed = run.config["data"].get("seed")
    return FOLLOWS_THE_SEED if seed == run.seed else seed


def _seed_of(runs: Sequence[Run]) -> Any:
    marks = {_data_seed(run) for run in runs}
    return marks.pop() if len(marks) == 1 else runs[0].config["data"].get("seed")


def _members(runs: Sequence[Run]) -> tuple[dict[str, dict[int, Run]], list[tuple[Run, str]]]:
    """Label → seed → run, and the runs that are there already."""
    labels = _labels(runs)
    members: dict[str, dict[int, Run]] = defaultdict(dict)
    again = []
    for run in sorted(runs, key=lambda run: (labels[id(run)] != REFERENCE, labels[id(run)], run.seed)):
        assert run.seed is not None, "a finished run has a seed"
        same = members[labels[id(run)]].setdefault(run.seed, run)
        if same is not run:
            again.append((run, f"the same run again: {same.source} has its upsampler, seed and settings too"))
    return dict(members), again


def _labels(runs: Sequence[Run]) -> dict[int, str]:
    """id of the run → upsampler, with the options in which an upsampler of the same name differs from it."""
    options = {id(run): dict(flat(run.config["upsampler"])) for run in runs}
    labels = {}
    for run in runs:
        namesakes = [options[id(other)] for other in runs if other.upsampler == run.upsampler]
        varied = sorted(
            {key for other in namesakes for key in other if any(other[key] != o.get(key) for o in namesakes)}
        )
        mine = ", ".join(f"{key}={options[id(run)].get(key, 'default')}" for key in varied)
        labels[id(run)] = f"{run.upsampler} ({mine})" if mine else run.upsampler
    return labels


def _differences(settings: Mapping[str, Any], first: Mapping[str, Any]) -> list[str]:
    """`name = value (first group: value)` of each setting that is not the first group's."""
    names = sorted(settings.keys() | first.keys())
    return [
        f"{name} = {settings.get(name, 'not set')} (first group: {first.get(name, 'not set')})"
        for name in names
        if settings.get(name) != first.get(name)
    ]

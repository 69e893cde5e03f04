"""Which runs may be compared: those that differ in nothing but upsampler and seed."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from denseup.engine.folder import EVALUATION, IDENTITY, TRAINED
from denseup.engine.former import FORMER_SAMPLES
from denseup.reporting.group import BEST, REFERENCE, Group, protocol, start
from denseup.reporting.loading import TEST, Run

SHARED = tuple(key for key in IDENTITY if key not in ("upsampler", "seed"))
DISPLAY = ("trainer.enable_progress_bar", "trainer.enable_model_summary")
"""What a terminal shows of a run: no result depends on it."""
FOLLOWS_THE_SEED = "the run's seed"


def group_runs(runs: Sequence[Run], evaluation: str | None = None) -> tuple[list[Group], list[tuple[Run, str]]]:
    """The groups of finished runs by task, larger ones first; and the runs that no statistic has, with the reason.

    Args:
        runs: finished or not.
        evaluation: the one to tell of each run; None for what its protocol says, else the best.

    Raises:
        ValueError: no run has this evaluation.
    """
    left_out = [(run, run.error) for run in runs if not run.finished]
    finished = [run for run in runs if run.finished]
    _check_evaluation(finished, evaluation)
    labels = _labels(finished)
    groups: list[Group] = []
    for task in sorted({run.task for run in finished}):
        sets = sorted(_comparable([run for run in finished if run.task == task]), key=lambda found: -len(found[1]))
        for number, (settings, found) in enumerate(sets, 1):
            members, again = _members(found, labels)
            differences = _differences(settings, sets[0][0])
            name = task if len(sets) == 1 else f"{task} {number}"
            groups.append(Group(name, task, settings, members, differences, *_told(found, evaluation)))
            left_out += again
    return groups, left_out


def flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of each leaf of a config."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, config


def _check_evaluation(runs: Sequence[Run], evaluation: str | None) -> None:
    known = list(dict.fromkeys(name for run in runs for name in run.metrics))
    if evaluation is not None and runs and evaluation not in known:
        raise ValueError(f"evaluation is {evaluation!r}, valid for these runs: {', '.join(known)}")


def _told(runs: Sequence[Run], evaluation: str | None) -> tuple[str, str]:
    """The evaluation that is told of runs, and the one that was to be."""
    alone = TEST if runs[0].weights else None
    asked = evaluation or alone or str(protocol(runs[0]).get("evaluation") or BEST)
    return asked if all(asked in run.metrics for run in runs) else alone or BEST, asked


def _several_starts(runs: Sequence[Run]) -> bool:
    """Whether upsamplers start in more than one way in these runs, be it each in its own."""
    return len({start(run) for run in runs if run.upsampler != REFERENCE}) > 1


def _comparable(runs: Sequence[Run]) -> list[tuple[dict[str, Any], list[Run]]]:
    """The sets of runs with the same settings, and these settings.

    A seed of the data is one of them where it stays the same in all seeds; usually it is the run's own.
    """
    sets = []
    for found in _by(runs, _settings):
        seeds = {_trained_data(run).get("seed") for run in found}
        follows = all(_trained_data(run).get("seed", run.seed) == run.seed for run in found)
        together = [found] if follows or len(seeds) == 1 else _by(found, _data_seed)
        sets += [(_settings(part[0]) | {"data.seed": _seed_of(part)}, part) for part in together]
    return sets


def _by(runs: Sequence[Run], key: Callable[[Run], Any]) -> list[list[Run]]:
    sets: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        sets[_text(key(run))].append(run)
    return list(sets.values())


def _settings(run: Run) -> dict[str, Any]:
    """What runs must share: not the start, which is the upsampler's, nor what was tuned for each with one budget.

    Evaluations of checkpoints on a test split have settings more: which weights they are of, what these were trained
    with, and in what they depart from the published evaluation.
    """
    settings = dict(flat({key: run.config[key] for key in SHARED}))
    if run.weights:
        settings["tested weights"] = run.weights
        settings |= dict(flat({key: run.config.get(key) or {} for key in (TRAINED, EVALUATION)}))
    if run.config.get(FORMER_SAMPLES):
        settings["training samples"] = "of an earlier version"
    for name in ("data.seed", "recipe.start", *DISPLAY, *protocol(run).get("tuned", ())):
        settings.pop(name, None)
        settings.pop(f"{TRAINED}.{name}", None)
    return {name: _number(value) for name, value in settings.items()}


def _number(value: Any) -> Any:
    """0 for 0.0: whether a number was written with a point is no setting."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _trained_data(run: Run) -> Mapping[str, Any]:
    """The settings of the data that its weights were trained on."""
    data: Mapping[str, Any] = (run.config.get(TRAINED) or run.config)["data"]
    return data


def _data_seed(run: Run) -> Any:
    seed = _trained_data(run).get("seed")
    return FOLLOWS_THE_SEED if seed == run.seed else seed


def _seed_of(runs: Sequence[Run]) -> Any:
    marks = {_data_seed(run) for run in runs}
    return marks.pop() if len(marks) == 1 else _trained_data(runs[0]).get("seed")


def _members(runs: Sequence[Run], labels: Mapping[int, str]) -> tuple[dict[str, dict[int, Run]], list[tuple[Run, str]]]:
    """Label → seed → run, and the runs that are there already."""
    members: dict[str, dict[int, Run]] = defaultdict(dict)
    again = []
    for run in sorted(runs, key=lambda run: (run.upsampler != REFERENCE, labels[id(run)], run.seed)):
        assert run.seed is not None, "a finished run has a seed"
        same = members[labels[id(run)]].setdefault(run.seed, run)
        if same is not run:
            again.append((run, f"the same run again: {same.source} has its upsampler, seed and settings too"))
    return dict(members), again


def _labels(runs: Sequence[Run]) -> dict[int, str]:
    """id of the run → upsampler, with the options in which an upsampler of the same name differs from it.

    They are looked for in all runs of the report, so that a label means one thing in all groups. The start is one of
    them if it varies between upsamplers too: nobody takes one for the other. The reference has no start to choose: its
    runs are the same whatever they say of it.
    """
    several = _several_starts(runs)
    labels = {}
    for found in _by(runs, lambda run: run.upsampler):
        options = [_options(run) for run in found]
        names = sorted({name for one in options for name in one})
        varied = [name for name in names if len({_text(_number(one.get(name))) for one in options}) > 1]
        if several and found[0].upsampler != REFERENCE:
            varied = sorted({*varied, "start"})
        for run, one in zip(found, options, strict=True):
            mine = ", ".join(f"{name}={one.get(name, 'default')}" for name in varied)
            labels[id(run)] = f"{run.upsampler} ({mine})" if mine else run.upsampler
    return labels


def _options(run: Run) -> dict[str, Any]:
    """Of its upsampler, with its start where it has one to choose."""
    options = dict(flat(run.config["upsampler"])) | {"start": start(run)}
    if run.upsampler == REFERENCE:
        del options["start"]
    return options


def _differences(settings: Mapping[str, Any], first: Mapping[str, Any]) -> list[str]:
    """`name = value (first group: value)` of each setting that is not the first group's."""
    names = sorted(settings.keys() | first.keys())
    return [
        f"{name} = {settings.get(name, 'not set')} (first group: {first.get(name, 'not set')})"
        for name in names
        if _text(settings.get(name)) != _text(first.get(name))
    ]


def _text(value: Any) -> str:
    """By which values are compared: true is not 1."""
    return json.dumps(value, sort_keys=True, default=str)

"""Whether a result.json that says "finished" holds what a report reads of it."""

from collections.abc import Mapping
from typing import Any


def is_training(result: Mapping[str, Any]) -> bool:
    """Whether it is a training run's, with metrics of several evaluations, and not that of one evaluation alone."""
    return any(isinstance(values, Mapping) for values in result["metrics"].values())


def check_result(result: Mapping[str, Any]) -> None:
    """Raise a ValueError that names the first entry which is not what it has to be."""
    seed, metrics = result.get("seed"), result.get("metrics")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(f"result.json: seed is {seed!r}, expected a whole number")
    check_mapping("result.json: metrics", metrics)
    assert metrics is not None
    if not is_training(result):
        _check_numbers("metrics", metrics)
    elif "best" not in metrics:
        raise ValueError(f"result.json: metrics has {', '.join(metrics)}, but no best")
    else:
        for evaluation, values in metrics.items():
            _check_numbers(f"metrics.{evaluation}", values)
    check_mapping("result.json: versions", result.get("versions", {}))
    per_class = result.get("per_class", {})
    check_mapping("result.json: per_class", per_class)
    for evaluation, by_metric in per_class.items():
        check_mapping(f"result.json: per_class.{evaluation}", by_metric)
        for key, values in by_metric.items():
            if not isinstance(values, list):
                raise ValueError(f"result.json: per_class.{evaluation}.{key} is {values!r}, expected a list")


def check_mapping(name: str, value: Any) -> None:
    """Raise a ValueError if it is none."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {value!r}, expected names and values")


def _check_numbers(name: str, values: Any) -> None:
    check_mapping(f"result.json: {name}", values)
    for key, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"result.json: {name}.{key} is {value!r}, expected a number or null")
    if not set(values) - {"step"}:
        raise ValueError(f"result.json: {name} has no metric")

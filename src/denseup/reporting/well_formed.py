"""Whether a config.yaml, and a result.json that says "finished", hold what a report reads of them."""

from collections.abc import Mapping
from typing import Any

from denseup.engine.folder import IDENTITY, TRAINED


def check_config(config: Mapping[str, Any]) -> None:
    """Raise a ValueError if a part of a config.yaml that a report reads holds no settings."""
    for key in (*IDENTITY, TRAINED):
        needed = key in ("upsampler", "data") and key in config
        if key != "seed" and (needed or config.get(key) is not None):
            _check_mapping(f"config.yaml: {key}", config[key])


def is_training(result: Mapping[str, Any]) -> bool:
    """Whether it is a training run's, with metrics of several evaluations, and not that of one evaluation alone."""
    return any(isinstance(values, Mapping) for values in result["metrics"].values())


def check_result(result: Mapping[str, Any]) -> None:
    """Raise a ValueError that names the first entry which is not what it has to be."""
    seed: Any = result.get("seed")
    metrics: Any = result.get("metrics")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(f"result.json: seed is {seed!r}, expected a whole number")
    _check_mapping("result.json: metrics", metrics)
    if not is_training(result):
        _check_numbers("metrics", metrics)
    elif "best" not in metrics:
        raise ValueError(f"result.json: metrics has {', '.join(metrics)}, but no best")
    else:
        for evaluation, values in metrics.items():
            _check_numbers(f"metrics.{evaluation}", values)
    _check_mapping("result.json: versions", result.get("versions", {}))
    per_class = result.get("per_class", {})
    _check_mapping("result.json: per_class", per_class)
    for evaluation, by_metric in per_class.items():
        _check_mapping(f"result.json: per_class.{evaluation}", by_metric)
        for key, values in by_metric.items():
            _check_list(f"per_class.{evaluation}.{key}", values, int | float | None)
    _check_list("class_names", result.get("class_names", []), str)
    _check_list("robustness", result.get("robustness", []), dict)


def _check_mapping(name: str, value: Any) -> None:
    """Raise a ValueError if it is none."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {value!r}, expected names and values")


def _check_list(name: str, values: Any, of: Any) -> None:
    if not isinstance(values, list) or not all(isinstance(value, of) for value in values):
        raise ValueError(f"result.json: {name} is {values!r}, expected a list of {getattr(of, '__name__', of)}")


def _check_numbers(name: str, values: Any) -> None:
    _check_mapping(f"result.json: {name}", values)
    for key, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"result.json: {name}.{key} is {value!r}, expected a number or null")
    if not set(values) - {"step"}:
        raise ValueError(f"result.json: {name} has no metric")

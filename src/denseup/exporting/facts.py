"""What is known of trained weights: from their checkpoint, and from the run's folder around it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from denseup.engine import RunFolder
from denseup.engine.evaluation import checkpoint_digest
from denseup.engine.folder import CONFIG_KEY, config_hash
from denseup.engine.former import upgraded
from denseup.engine.resuming import load_checkpoint
from denseup.engine.state import read_result
from denseup.tasks import DenseTask

Facts = dict[str, Any]
"""JSON: what a model card tells, and what a folder of exported weights keeps."""


def facts_of(checkpoint: Path, task: DenseTask) -> Facts:
    """All that is known of a checkpoint's weights, with the run's whole config.

    Metrics are those of the evaluation that the weights were kept for, if the run's result.json lies beside them.

    Args:
        checkpoint: that a run wrote.
        task: rebuilt from it.

    Raises:
        ValueError: no such file, or a file that no run wrote.
    """
    content = load_checkpoint(checkpoint, "ckpt", CONFIG_KEY, "state_dict")
    config = upgraded(content[CONFIG_KEY])
    written = datetime.fromtimestamp(checkpoint.stat().st_mtime, UTC)
    return {
        **described(config, task),
        "weights": checkpoint.stem,
        "steps": content.get("global_step"),
        "date": written.strftime("%Y-%m-%d"),
        "checkpoint_sha256": checkpoint_digest(checkpoint),
        **_measured(checkpoint, content[CONFIG_KEY]),
        "config": config,
    }


def facts_of_file(path: Path, config: Mapping[str, Any], task: DenseTask) -> Facts:
    """What is known of a file of the authors: its network, and when it was written; not what it was trained on.

    Args:
        path: of the file.
        config: as a run of this network would have it.
        task: with its weights.
    """
    return {
        **described(config, task),
        "data": None,
        "seed": None,
        "protocol": None,
        "weights": path.stem,
        "steps": None,
        "date": datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d"),
        "checkpoint_sha256": checkpoint_digest(path),
        "metrics": {},
        "metric_info": [],
        "versions": {},
        "config": dict(config),
    }


def described(config: Mapping[str, Any], task: DenseTask) -> Facts:
    """What a config and the task that was built from it say."""
    return {
        "task": task.name,
        "upsampler": config["upsampler"]["name"],
        "encoder": (config.get("encoder") or {}).get("name"),
        "network": type(task.network).__name__,
        "parameters": sum(p.numel() for p in task.network.parameters()),
        "data": config["data"].get("name") or str(config["data"].get("_target_", "")).rpartition(".")[2],
        "protocol": (config.get("protocol") or {}).get("name"),
        "seed": config.get("seed"),
        "config_hash": config_hash(config),
        "class_names": None if getattr(task, "class_names", None) is None else list(task.class_names),  # type: ignore[arg-type]
        "mean": task.mean.flatten().tolist(),
        "std": task.std.flatten().tolist(),
        "inputs": {name: port.meaning for name, port in task.serving.inputs.items()},
        "outputs": {name: port.meaning for name, port in task.serving.outputs.items()},
    }


def _measured(checkpoint: Path, config: Mapping[str, Any]) -> Facts:
    """Metrics, their description and the versions from the result.json of the run that wrote the checkpoint."""
    result = read_result(RunFolder(checkpoint.resolve().parent.parent))
    metrics = result.get("metrics") or {}
    if result.get("config_hash") != config_hash(config) or checkpoint.stem not in metrics:
        return {"metrics": {}, "metric_info": [], "versions": {}}
    values = {key: value for key, value in metrics[checkpoint.stem].items() if key != "step"}
    infos = (result.get("metric_info") or {}).get("values", [])
    return {
        "metrics": values,
        "metric_info": infos,
        "baseline": result.get("baseline") or {},
        "versions": result.get("versions") or {},
    }

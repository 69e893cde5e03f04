"""What a file of a graph says of itself: flat text, as metadata_props of ONNX and extra files of torch hold it."""

import json

import denseup
from denseup.exporting.facts import Facts


def metadata_of(facts: Facts) -> dict[str, str]:
    """Name → text, numbers and lists as JSON. Normalisation is inside the graph; mean and std are for the record."""
    told = {
        "denseup": denseup.__version__,
        "task": facts["task"],
        "upsampler": facts["upsampler"],
        "encoder": facts["encoder"],
        "network": facts["network"],
        "classes": facts["class_names"],
        "inputs": facts["inputs"],
        "outputs": facts["outputs"],
        "normalisation": {"inside": True, "mean": facts["mean"], "std": facts["std"]},
        "metrics": facts["metrics"],
        "weights": facts["weights"],
        "steps": facts["steps"],
        "seed": facts["seed"],
        "config_hash": facts["config_hash"],
        "checkpoint_sha256": facts["checkpoint_sha256"],
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()}

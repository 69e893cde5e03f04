"""`trainer.precision=16-mixed` on a CPU, where Lightning's trainer would take bfloat16 in its place."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.accelerators import Accelerator, CUDAAccelerator, MPSAccelerator
from pytorch_lightning.plugins import MixedPrecision

FLOAT16 = ("16-mixed", 16, "16")
"""What Lightning takes for mixed float16; the numbers are its former names."""


def with_precision(options: Mapping[str, Any]) -> dict[str, Any]:
    """A run's arguments of Lightning's trainer, where float16 on a CPU is said so that it is not bfloat16.

    Autocast and the scaler of losses work there as on a GPU (torch ≥ 2.3), if not faster than float32.
    """
    taken = dict(options)
    if taken.get("precision") not in FLOAT16 or not _is_cpu(taken.get("accelerator", "auto")):
        return taken
    del taken["precision"]
    return {**taken, "plugins": [*_listed(taken.get("plugins")), MixedPrecision("16-mixed", "cpu")]}


def _is_cpu(accelerator: Any) -> bool:
    if isinstance(accelerator, Accelerator) or accelerator not in ("auto", None):
        return accelerator == "cpu"
    return not (CUDAAccelerator.is_available() or MPSAccelerator.is_available())


def _listed(plugins: Any) -> list[Any]:
    if plugins is None:
        return []
    return list(plugins) if isinstance(plugins, list | tuple) else [plugins]

"""`trainer.precision` where Lightning does otherwise: float16 on a CPU, and the truth of networks in half precision."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from pytorch_lightning.accelerators import Accelerator, CUDAAccelerator, MPSAccelerator
from pytorch_lightning.plugins import HalfPrecision, MixedPrecision, Precision

from denseup.tasks.takes_maps import MAPS

FLOAT16 = ("16-mixed", 16, "16")
"""What Lightning takes for mixed float16; the numbers are its former names."""
HALF = ("bf16-true", "16-true")
INPUT = "image"


class HalfNetwork(HalfPrecision):
    """Weights and what the network gets in half precision; losses and metrics compare with the truth as it is.

    Lightning's rounds whatever of a batch is in floating point: the alpha of a loss, and a depth that is measured.

    Args:
        precision: of the weights.
        inputs: keys of a batch that the network gets.
    """

    def __init__(self, precision: Literal["bf16-true", "16-true"], inputs: Collection[str]) -> None:
        super().__init__(precision)
        self.inputs = frozenset(inputs)

    def convert_input(self, data: Any) -> Any:
        """A batch, as a dictionary, with its inputs in half precision."""
        if not isinstance(data, Mapping):
            return super().convert_input(data)
        return {key: super(HalfNetwork, self).convert_input(x) if key in self.inputs else x for key, x in data.items()}


def with_precision(options: Mapping[str, Any], prompts: Collection[str] = ()) -> dict[str, Any]:
    """A run's arguments of Lightning's trainer, with the precision in words that mean what they say.

    Float16 on a CPU is float16, where Lightning's trainer would take bfloat16 in its place: autocast and the scaler of
    losses work there as on a GPU (torch ≥ 2.3), if not faster than float32. Half precision is that of the network.

    Args:
        options: arguments of Lightning's trainer.
        prompts: keys of a batch that the network gets beside the image.
    """
    taken = dict(options)
    plugin = _plugin(taken, prompts)
    if plugin is None:
        return taken
    del taken["precision"]
    return {**taken, "plugins": [*_listed(taken.get("plugins")), plugin]}


def _plugin(options: Mapping[str, Any], prompts: Collection[str]) -> Precision | None:
    precision = options.get("precision")
    if precision in HALF and _is_whole(options.get("strategy")):
        return HalfNetwork(precision, (INPUT, MAPS, *prompts))
    if precision in FLOAT16 and _is_cpu(options.get("accelerator", "auto")):
        return MixedPrecision("16-mixed", "cpu")
    return None


def _is_whole(strategy: Any) -> bool:
    """Whether each process has the whole network: strategies that shard it have a precision of their own."""
    return strategy is None or (isinstance(strategy, str) and strategy.startswith(("auto", "ddp")))


def _is_cpu(accelerator: Any) -> bool:
    if isinstance(accelerator, Accelerator) or accelerator not in ("auto", None):
        return accelerator == "cpu"
    return not (CUDAAccelerator.is_available() or MPSAccelerator.is_available())


def _listed(plugins: Any) -> list[Any]:
    if plugins is None:
        return []
    return list(plugins) if isinstance(plugins, list | tuple) else [plugins]

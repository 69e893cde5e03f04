"""What the report tells about a run of each task: metrics, their units and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A metric as the report prints it.

    Args:
        key: its name in result.json.
        title: its name for readers.
        scale: printed value ÷ value in result.json; the published tables have per cent.
        digits: behind the point.
        higher_is_better: the direction.
        unit: of a difference.
    """

    key: str
    title: str
    scale: float
    digits: int
    higher_is_better: bool
    unit: str = ""

    @property
    def heading(self) -> str:
        """Title and direction."""
        return f"{self.title} {'↑' if self.higher_is_better else '↓'}"

    def gain(self, difference: float) -> float:
        """A difference, positive where it is an improvement."""
        return difference if self.higher_is_better else -difference


MEASURES: dict[str, tuple[Measure, ...]] = {
    "matting": (
        Measure("sad", "SAD", 1, 3, False),
        Measure("mse", "MSE", 1, 5, False),
        Measure("grad", "Grad", 1, 3, False),
        Measure("conn", "Conn", 1, 3, False),
    ),
    "segmentation": (
        Measure("miou", "mIoU %", 100, 2, True, " points"),
        Measure("biou", "bIoU %", 100, 2, True, " points"),
        Measure("macc", "mAcc %", 100, 2, True, " points"),
        Measure("aacc", "aAcc %", 100, 2, True, " points"),
    ),
}
"""The metrics of each task; the first one stands for the task in the plots, and picks the best evaluation of a run."""

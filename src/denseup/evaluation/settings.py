"""What an evaluation can be asked for, checked as soon as it is said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from denseup.data.transforms.corruptions import CORRUPTIONS, SEVERITIES
from denseup.metrics.functional.calibration import BINS
from denseup.tasks import DenseTask
from denseup.tasks.checks import check_whole, is_number, is_whole

VIEWS = {"whole": (), "slide": ("crop", "stride"), "tiles": ("tile", "overlap")}
"""How the network sees an image → the options that belong to it."""
SEEING = ("view", *(name for names in VIEWS.values() for name in names), "flip", "scales")
LABELS = ("data", "classes", "cityscapes")
ALL = "all"


@dataclass(frozen=True)
class EvaluationSettings:
    """How predictions come about and what is measured of them. The default is the published evaluation.

    Args:
        view: "whole": the network sees the whole image; "slide": windows, the scores averaged where they overlap
            (`denseup.evaluation.sliding`); "tiles": parts with what lies around them (`denseup.evaluation.tiling`).
        crop: slide: side of the windows in pixels, or (height, width).
        stride: slide: from one window to the next, or (down, across); None: two thirds of the crop.
        tile: tiles: side of the parts in pixels, rounded up to the network's coarsest stride.
        overlap: tiles: pixels around each that are seen, rounded up likewise; None: as far as the network looks.
        flip: also see the mirror image, and average.
        scales: factors that the image is resized by; the views are averaged.
        metrics: name of the convention, see `DenseTask.metric_variants`; None: the task's own.
        calibration: also measure the expected calibration error (`denseup.metrics.functional.calibration`).
        calibration_bins: of equal width.
        corruption: name of a corruption, several, or "all" (`denseup.data.transforms.corruptions`); None: none.
        corruption_severity: 1 to 5, several, or "all".
        save_predictions: write each prediction as a PNG that `src.score` and the benchmarks' own scripts read.
        prediction_labels: what label files hold: "data": what the labels of the data set hold; "classes": 0, 1, …;
            "cityscapes": the label ids of the 19 training classes.

    Raises:
        ValueError: a value that is none, or an option of another view than the one that is asked for.
    """

    view: str = "whole"
    crop: int | Sequence[int] | None = None
    stride: int | Sequence[int] | None = None
    tile: int | None = None
    overlap: int | None = None
    flip: bool = False
    scales: Sequence[float] = (1.0,)
    metrics: str | None = None
    calibration: bool = False
    calibration_bins: int = BINS
    corruption: str | Sequence[str] | None = None
    corruption_severity: int | Sequence[int] | str = ALL
    save_predictions: bool = False
    prediction_labels: str = "data"

    def __post_init__(self) -> None:
        self._check_view()
        for name in ("flip", "calibration", "save_predictions"):
            _check_choice(name, getattr(self, name), (True, False))
        _check_choice("prediction_labels", self.prediction_labels, LABELS)
        check_whole("evaluation.calibration_bins", self.calibration_bins, 1)
        self._check_scales()
        for name in () if self.corruption is None else _listed(self.corruption) or [[]]:
            _check_choice("corruption", name, (*CORRUPTIONS, ALL))
        for severity in _listed(self.corruption_severity) or [[]]:
            _check_choice("corruption_severity", severity, (*SEVERITIES, ALL))

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> "EvaluationSettings":
        """Those of a config's section `evaluation`; a ValueError for an option that there is not."""
        known = [field.name for field in fields(cls)]
        if unknown := [key for key in options if key not in known]:
            raise ValueError(f"evaluation.{unknown[0]}: there is no such option, valid: {', '.join(known)}")
        return cls(**options)

    @classmethod
    def seen_as(cls, identity: Mapping[str, Any]) -> "EvaluationSettings":
        """How an evaluation saw images, by its `identity`, without what it measured of them."""
        return cls(**{key: value for key, value in identity.items() if key in SEEING})

    def identity(self, task: type[DenseTask]) -> dict[str, Any]:
        """What decides the values that are measured, without what is as by default: {} for the published evaluation.

        Evaluations that differ in it are other measurements, which no table may mix.
        """
        found: dict[str, Any] = {}
        if self.view == "slide":
            found = {"view": self.view, "crop": list(self.window), "stride": list(self.steps)}
        if self.view == "tiles":
            found = {"view": self.view, "tile": self.tile, "overlap": self.overlap}
        if self.averages:
            found |= {"flip": self.flip, "scales": [float(scale) for scale in self.scales]}
        if self.metrics not in (None, *list(task.metric_variants)[:1]):
            found["metrics"] = self.metrics
        if self.calibration:
            found["calibration_bins"] = self.calibration_bins
        if self.corruptions:
            found |= {"corruption": list(self.corruptions), "corruption_severity": list(self.severities)}
        return found

    def has_written(self, result: Mapping[str, Any]) -> bool:
        """Whether an evaluation of this identity, whose result.json this is, wrote the files that are asked for."""
        if not self.save_predictions:
            return True
        files = result.get("predictions")
        return files is not None and files.get("labels", self.prediction_labels) == self.prediction_labels

    def check_task(self, task: DenseTask) -> None:
        """Refuse what a task can't be asked for.

        Raises:
            ValueError: it can't be seen in this way, has no such metrics, or none of calibration.
        """
        valid = list(task.metric_variants)
        if self.metrics is not None and self.metrics not in valid:
            raise ValueError(
                f"evaluation.metrics is {self.metrics!r}, valid for task {task.name}: {', '.join(valid) or 'null'}"
            )
        gives_scores = type(task).scores is not DenseTask.scores
        if self.calibration and not (gives_scores and type(task).confidence is not DenseTask.confidence):
            raise ValueError(
                f"evaluation.calibration is true, but task {task.name} has none: {task.why_not_calibrated}"
            )
        if (self.view != "whole" or self.averages) and not gives_scores:
            raise ValueError(
                f"evaluation asks for view={self.view}, flip={self.flip}, scales={list(self.scales)}, but "
                f"{type(task).__name__} has no `scores` to average: it is evaluated with view=whole alone"
            )

    @property
    def averages(self) -> bool:
        """Whether an image is seen more than once, or at another size."""
        return self.flip or [float(scale) for scale in self.scales] != [1.0]

    @cached_property
    def window(self) -> tuple[int, int]:
        """Height and width of sliding windows."""
        assert self.crop is not None
        return _pair(self.crop)

    @cached_property
    def steps(self) -> tuple[int, int]:
        """Down and across, from one window to the next."""
        if self.stride is not None:
            return _pair(self.stride)
        down, across = (max(side * 2 // 3, 1) for side in self.window)
        return down, across

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Their names, in the order of `CORRUPTIONS`."""
        if self.corruption is None:
            return ()
        chosen = _listed(self.corruption)
        return tuple(name for name in CORRUPTIONS if name in chosen or ALL in chosen)

    @property
    def severities(self) -> tuple[int, ...]:
        """Those asked for, the mildest first."""
        chosen = _listed(self.corruption_severity)
        return tuple(severity for severity in SEVERITIES if severity in chosen or ALL in chosen)

    def _check_view(self) -> None:
        _check_choice("view", self.view, VIEWS)
        for view, names in VIEWS.items():
            for name in names:
                if view != self.view and getattr(self, name) is not None:
                    value = getattr(self, name)
                    raise ValueError(f"evaluation.{name} is {value!r}, an option of view={view}; view is {self.view!r}")
        if self.view == "slide":
            for name in ("crop", "stride"):
                _check_sides(name, getattr(self, name), needed=name == "crop")
            if any(step > side for step, side in zip(self.steps, self.window, strict=True)):
                limit = f"at most the crop {list(self.window)}, or pixels in between would not be seen"
                raise ValueError(f"evaluation.stride is {list(self.steps)}, expected {limit}")
        if self.view == "tiles":
            check_whole("evaluation.tile", self.tile, 1)
            if self.overlap is not None:
                check_whole("evaluation.overlap", self.overlap, 0)

    def _check_scales(self) -> None:
        scales = self.scales
        listed = isinstance(scales, Sequence) and not isinstance(scales, str) and len(scales) > 0
        if not (listed and all(is_number(scale) and scale > 0 for scale in scales) and len(set(scales)) == len(scales)):
            raise ValueError(f"evaluation.scales is {scales!r}, expected a list of different numbers above 0")


def _check_choice(name: str, value: Any, valid: Any) -> None:
    if not any(value == one and type(value) is type(one) for one in valid):
        raise ValueError(f"evaluation.{name} is {value!r}, valid: {', '.join(str(one).lower() for one in valid)}")


def _check_sides(name: str, value: Any, needed: bool) -> None:
    if value is None and not needed:
        return
    sides = [value, value] if not isinstance(value, list | tuple) else list(value)
    if len(sides) != 2 or not all(is_whole(side, 1) for side in sides):
        raise ValueError(f"evaluation.{name} is {value!r}, expected pixels, or [height, width], of at least 1")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])

"""Runs that may be compared, and what is to be said of each of their metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from denseup.escaping import slug_of
from denseup.metrics import MetricInfo
from denseup.profiling.options import has_its_own_options
from denseup.reporting.images import Images, read_images
from denseup.reporting.loading import Run
from denseup.reporting.measures import measures
from denseup.statistics import Comparison

REFERENCE = "bilinear"
BEST = "best"
PUBLISHED, PROTOCOL = "published", "finetune"
"""Start of the upsamplers and protocol of runs that do not say."""


@dataclass(eq=False)
class Group:
    """Runs of one task that share every setting.

    Args:
        name: of the task, with a number where a task has several groups.
        task: theirs.
        settings: dotted name → value, shared by all of them.
        members: label of the upsampler → seed → run; reference first, the others by name.
        differences: in which settings it differs from the task's first group.
        evaluation: the one that is told of its runs.
        asked: the one that was to be told, which not all of them have if it is another.
    """

    name: str
    task: str
    settings: Mapping[str, Any]
    members: Mapping[str, Mapping[int, Run]]
    differences: Sequence[str] = field(default=())
    evaluation: str = BEST
    asked: str = BEST
    _comparisons: dict[str, Comparison] = field(default_factory=dict, init=False, repr=False)

    def values(self, label: str, metric: str, evaluation: str | None = None) -> dict[int, float | None]:
        """Seed → value of a metric of an upsampler, at the evaluation that is told unless another one is named."""
        at = evaluation or self.evaluation
        return {seed: run.metrics.get(at, {}).get(metric) for seed, run in self.members[label].items()}

    def compare(self, measure: MetricInfo) -> Comparison:
        """What is to be said of one metric at the evaluation that is told; nothing of runs that saw other images."""
        if measure.key not in self._comparisons:
            values = {
                label: {
                    seed: value
                    for seed, value in self.values(label, measure.key).items()
                    if seed not in self.on_other_images.get(label, ())
                }
                for label in self.members
            }
            parts = {
                label: {
                    seed: images.parts[measure.key] for seed, images in by_seed.items() if measure.key in images.parts
                }
                for label, by_seed in self.images.items()
            }
            found = Comparison(values, parts, self.reference, measure.higher_is_better)
            self._comparisons[measure.key] = found
        return self._comparisons[measure.key]

    @property
    def reference(self) -> str | None:
        """Label of the upsampler that the others are compared with; None where it has not run, or in several forms."""
        labels = [
            label for label, by_seed in self.members.items() if next(iter(by_seed.values())).upsampler == REFERENCE
        ]
        return labels[0] if len(labels) == 1 else None

    @cached_property
    def images(self) -> dict[str, dict[int, Images]]:
        """Label → seed → images at the evaluation that is told, of the runs that have the first run's, in its order."""
        names = self._image_names
        return {
            label: {seed: images.ordered(names) for seed, images in by_seed.items() if images.are(names)}
            for label, by_seed in self._all_images.items()
        }

    @cached_property
    def on_other_images(self) -> dict[str, list[int]]:
        """Label → seeds of the runs that are known to be measured on other images than the first run."""
        found = {
            label: [seed for seed, images in by_seed.items() if images.parts and not images.are(self._image_names)]
            for label, by_seed in self._all_images.items()
        }
        return {label: seeds for label, seeds in found.items() if seeds}

    @cached_property
    def _all_images(self) -> dict[str, dict[int, Images]]:
        return {
            label: {seed: read_images(run, self.evaluation) for seed, run in by_seed.items()}
            for label, by_seed in self.members.items()
        }

    @cached_property
    def _image_names(self) -> tuple[str, ...]:
        """Of the first run that has kept values of its images."""
        known = (images for by_seed in self._all_images.values() for images in by_seed.values() if images.parts)
        return next((images.names for images in known), ())

    def published_name(self, label: str) -> str | None:
        """The name under which published values stand beside an upsampler; None where its options are others."""
        standard = all(has_its_own_options(run.config["upsampler"]) for run in self.members[label].values())
        run = next(iter(self.members[label].values()))
        return run.upsampler if standard and label in (run.upsampler, f"{run.upsampler} (start={PUBLISHED})") else None

    @property
    def slug(self) -> str:
        """Its name in names of files."""
        return slug_of(self.name)

    @cached_property
    def measures(self) -> tuple[MetricInfo, ...]:
        """What its runs measured; the first one stands for the task in the plots."""
        return measures(self.runs)

    @property
    def starts(self) -> list[str]:
        """How its upsamplers start; the reference has no say."""
        return sorted({start(run) for run in self.runs if run.upsampler != REFERENCE})

    @property
    def protocol(self) -> str:
        """Name of what is trained, and on what."""
        return str(protocol(self.runs[0]).get("name", PROTOCOL))

    @property
    def runs(self) -> list[Run]:
        """All of them."""
        return [run for by_seed in self.members.values() for run in by_seed.values()]


def start(run: Run) -> str:
    """How the upsampler of a run starts; runs from before there was a choice as their papers say."""
    return str(run.config["upsampler"].get("start") or PUBLISHED)


def protocol(run: Run) -> Mapping[str, Any]:
    """The part of its config that says what is trained, and on what; {} where it does not say."""
    return run.config.get("protocol") or {}

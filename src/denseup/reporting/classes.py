"""What is told of single classes: values, and differences to the reference at equal seeds."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from denseup.escaping import for_spreadsheets
from denseup.metrics import MetricInfo
from denseup.reporting.group import Group
from denseup.reporting.measures import class_measures
from denseup.statistics import Estimate, estimate, paired

NAMES = (
    *("upsampler", "class", "metric", "mean", "half_width", "n"),
    *("delta_mean", "delta_half_width", "delta_n"),
)


@dataclass(frozen=True)
class OfClass:
    """One value of one class of an upsampler, as printed: in points where it is a share.

    Args:
        label: of the upsampler.
        name: of the class.
        measure: what the value is.
        value: its mean over seeds.
        delta: the mean difference to the reference at equal seeds, with its interval over seeds; None for itself.
    """

    label: str
    name: str
    measure: MetricInfo
    value: Estimate
    delta: Estimate | None


def class_names(group: Group) -> list[str]:
    """Of the classes that a group's runs have values of; [] where they have none."""
    return list(next((run.class_names for run in group.runs if run.class_names), ()))


def of_classes(group: Group) -> Iterator[OfClass]:
    """Every value of every class, by metric, upsampler and class, at the evaluation that is told."""
    for measure in class_measures(group.runs):
        for label in group.members:
            for index, name in enumerate(class_names(group)):
                found = estimate(_values(group, label, measure, index).values())
                if found is not None:
                    delta = class_difference(group, label, measure, index) if label != group.reference else None
                    yield OfClass(label, name, measure, found.scaled(measure.scale), delta)


def class_difference(group: Group, label: str, measure: MetricInfo, index: int) -> Estimate | None:
    """Mean difference of one class's value to the reference's at equal seeds, as printed."""
    if group.reference is None:
        return None
    found = paired(_values(group, label, measure, index), _values(group, group.reference, measure, index))
    return None if found is None else found.scaled(measure.scale)


def class_csv(group: Group) -> str:
    """A row for each value of each class of each upsampler; "" for runs without classes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = [
        (
            *map(for_spreadsheets, (found.label, found.name, found.measure.key)),
            *_cells(found.value),
            *_cells(found.delta),
        )
        for found in of_classes(group)
    ]
    if not rows:
        return ""
    writer.writerow(NAMES)
    writer.writerows(rows)
    return text.getvalue()


def _cells(found: Estimate | None) -> tuple[float | None, ...]:
    return (None, None, None) if found is None else (found.mean, found.half_width, found.n)


def _values(group: Group, label: str, measure: MetricInfo, index: int) -> dict[int, float | None]:
    runs = group.members[label].items()
    found = {seed: run.class_values.get(group.evaluation, {}).get(measure.key, ()) for seed, run in runs}
    return {seed: of_class[index] for seed, of_class in found.items() if index < len(of_class)}

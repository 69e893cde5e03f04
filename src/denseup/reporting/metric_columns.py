"""The columns that a table has of one metric."""

from dataclasses import replace

from denseup.metrics import MetricInfo
from denseup.reporting.cells import Cell, Column, Kind, MakeCell, difference_text, estimate_text, p_text, rank_text
from denseup.reporting.group import BEST, REFERENCE, Group
from denseup.reporting.loading import TEST
from denseup.reporting.published_accuracy import published_value
from denseup.statistics import Estimate, estimate

MEAN = ("mean", "half_width", "n")
DIFFERENCE = (*MEAN, "seeds_half_width", "images_low", "images_high")


def metric_columns(group: Group, measure: MetricInfo) -> list[tuple[Column, MakeCell]]:
    """The evaluation that is told and what is said of it, another one beside it, and published values if there are any.

    The other one is the last, or the best where the last is told; evaluations of checkpoints have none.
    """
    told = group.evaluation
    beside = "last" if told != "last" else BEST
    columns = [
        _mean(group, measure, told),
        _delta(group, measure),
        _p(group, measure),
        _rank(group, measure),
    ]
    if told != TEST:
        columns.append(_mean(group, measure, beside))
    published = _published(group, measure)
    return [*columns, published] if any(published[1](label).text for label in group.members) else columns


def _column(measure: MetricInfo, suffix: str, title: str, parts: tuple[str, ...], kind: Kind = "measured") -> Column:
    return Column(f"{measure.key}_{suffix}", measure.heading, title, kind, None, parts)


def _mean(group: Group, measure: MetricInfo, evaluation: str) -> tuple[Column, MakeCell]:
    def make(label: str) -> Cell:
        found = estimate(group.values(label, measure.key, evaluation).values())
        if found is None:
            return Cell()
        found = found.scaled(measure.scale)
        text = estimate_text(found, measure.digits) + _fewer(group, label, found)
        return Cell(text, found.mean, dict(zip(MEAN, (found.mean, found.half_width, found.n), strict=True)))

    column = _column(measure, evaluation, evaluation, MEAN)
    return replace(column, higher_is_better=measure.higher_is_better), make


def _delta(group: Group, measure: MetricInfo) -> tuple[Column, MakeCell]:
    def make(label: str) -> Cell:
        compared = group.compare(measure)
        found = compared.differences.get(label)
        if found is None:
            return Cell()
        found = found.scaled(measure.scale)
        text = difference_text(found, measure.digits, "+") + _fewer(group, label, found.both)
        numbers = (found.both.mean, found.both.half_width, found.both.n, found.over_seeds.half_width)
        parts = dict(zip(DIFFERENCE, (*numbers, *(found.over_images or (None, None))), strict=True))
        cell = Cell(text, found.both.mean, parts)
        if measure.higher_is_better is None or not compared.holds(label):
            return cell
        return replace(cell, verdict="better" if measure.gain(found.both.mean) > 0 else "worse")

    return _column(measure, "delta", f"Δ {REFERENCE}", DIFFERENCE), make


def _p(group: Group, measure: MetricInfo) -> tuple[Column, MakeCell]:
    def make(label: str) -> Cell:
        compared = group.compare(measure)
        if label not in compared.adjusted:
            return Cell()
        adjusted = compared.adjusted[label]
        return Cell(p_text(adjusted), adjusted, {"": compared.differences[label].p, "holm": adjusted})

    return _column(measure, "p", "p (Holm)", ("", "holm")), make


def _rank(group: Group, measure: MetricInfo) -> tuple[Column, MakeCell]:
    def make(label: str) -> Cell:
        rank = group.compare(measure).ranks.get(label)
        if rank is None:
            return Cell()
        return Cell(rank_text(rank), rank.place, {"": rank.place, "low": rank.low, "high": rank.high})

    return _column(measure, "rank", "rank", ("", "low", "high")), make


def _published(group: Group, measure: MetricInfo) -> tuple[Column, MakeCell]:
    def make(label: str) -> Cell:
        name = group.published_name(label)
        text = None if name is None else published_value(group.task, name, measure.key)
        return Cell() if text is None else Cell(text, float(text), {"": text})

    column = _column(measure, "published", "published", ("",), "published")
    return replace(column, higher_is_better=measure.higher_is_better), make


def _fewer(group: Group, label: str, found: Estimate) -> str:
    """A remark where some of an upsampler's runs are not in a mean."""
    return f" (n = {found.n})" if 1 < found.n < len(group.members[label]) else ""

"""What the numbers of a group support, in sentences."""

from collections.abc import Iterator
from itertools import combinations

from denseup.metrics import MetricInfo
from denseup.reporting.cells import estimate_text, p_text
from denseup.reporting.group import PUBLISHED, REFERENCE, Group, start
from denseup.statistics import Comparison, Difference, Limit, holm
from denseup.statistics.comparison import SIGNIFICANT

OTHER_SEEDS = "another seed may differ by more"


def findings(group: Group) -> list[str]:
    """A sentence for each upsampler on the first metric, then one for each that has run with two starts."""
    measure = group.measures[0]
    if measure.higher_is_better is None:
        return []
    compared = group.compare(measure)
    found = [_finding(label, compared, measure) for label in group.members if label in compared.differences]
    return [*found, *_starts(group, measure, compared)]


def limits(group: Group) -> str:
    """The smallest differences that would have been seen, and the seeds that half of them need; "" where unknown."""
    known: dict[str, list[str]] = {}  # what was compared → the metrics of which that was
    for measure in group.measures:
        limit = group.compare(measure).limit
        if limit is not None:
            images = f" on {limit.images} images" if limit.images else ""
            which = f"paired t test, two-sided 5 %, Holm's first step for {_number(limit.comparisons, 'comparison')}"
            seeds = f"{_number(limit.seeds, 'seed')}{images} would show with a chance of 80 % ({which})"
            known.setdefault(seeds, []).append(_limit(measure, limit))
    return " ".join(f"Smallest difference that {seeds}: {'; '.join(values)}." for seeds, values in known.items())


def _finding(label: str, compared: Comparison, measure: MetricInfo) -> str:
    found = compared.differences[label]
    if found.p is None:
        change = f"{_change(found, measure)} of {measure.name} against {REFERENCE} with one seed"
        return f"{label}: {change}; nothing is known of its spread."
    p = f"Holm p {_equals(compared.adjusted[label])}"
    if compared.holds(label):
        return f"{label} {_beats(found, measure)} {REFERENCE} ({p})."
    limit = compared.limit_of(label)
    if limit is None:
        return f"{label}: {_of_one_seed(found, measure, REFERENCE)} ({p}); {OTHER_SEEDS}."
    seen = f"{label}: no difference to {REFERENCE} seen in {measure.name} ({_change(found, measure)}, {p})"
    if abs(found.both.mean) >= limit.difference or not round(limit.difference * measure.scale, measure.digits):
        return f"{seen}."  # the chance was missed, or the runs are the same
    return f"{seen}; one of {_amount(limit.difference, measure)} or more would have been, with a chance of 80 %."


def _starts(group: Group, measure: MetricInfo, compared: Comparison) -> list[str]:
    """Each upsampler's other starts against its published one; the p-values are corrected among these."""
    pairs = [(other, first, compared.between(other, first)) for first, other in _pairs_of_starts(group)]
    known = [(label, other, found) for label, other, found in pairs if found is not None and found.p is not None]
    sentences = []
    for (label, other, found), p in zip(known, holm([found.p or 0.0 for *_, found in known]), strict=True):
        if found.of_images_alone:
            change = f"{label}: {_of_one_seed(found, measure, other)}, and {OTHER_SEEDS}"
        elif p <= SIGNIFICANT:
            change = f"{label} {_beats(found, measure)} {other}"
        else:
            change = f"{label}: no difference to {other} seen in {measure.name} ({_change(found, measure)})"
        sentences.append(f"{change}; Holm p among starts {_equals(p)}.")
    return sentences


def _of_one_seed(found: Difference, measure: MetricInfo, other: str) -> str:
    return f"{_change(found, measure)} of {measure.name} against {other} with one seed, over images alone"


def _pairs_of_starts(group: Group) -> Iterator[tuple[str, str]]:
    """Labels of the same upsampler with the same options, of which the first starts as published."""
    for pair in combinations(group.members, 2):
        runs = {label: next(iter(group.members[label].values())) for label in pair}
        options = [{**run.config["upsampler"], "start": None} for run in runs.values()]
        if options[0] == options[1] and len({start(run) for run in runs.values()}) == 2:
            first, second = sorted(pair, key=lambda label: start(runs[label]) != PUBLISHED)
            yield first, second


def _beats(found: Difference, measure: MetricInfo) -> str:
    """`gains 4.20 ± 0.60 points of mIoU over`, or `loses … to`."""
    size = estimate_text(found.scaled(measure.scale if found.both.mean > 0 else -measure.scale).both, measure.digits)
    of = "points of" if measure.in_per_cent else "in"
    verb, side = ("gains", "over") if measure.gain(found.both.mean) > 0 else ("loses", "to")
    return f"{verb} {size} {of} {measure.name} {side}"


def _change(found: Difference, measure: MetricInfo) -> str:
    return estimate_text(found.scaled(measure.scale).both, measure.digits, "+") + _unit(measure)


def _limit(measure: MetricInfo, limit: Limit) -> str:
    half = "half of it no number of seeds would show on these images"
    if limit.for_half is not None:
        half = f"half of it would need {limit.for_half} seeds"
    return f"{_amount(limit.difference, measure)} {'of' if measure.in_per_cent else 'in'} {measure.name} ({half})"


def _amount(difference: float, measure: MetricInfo) -> str:
    return f"{difference * measure.scale:.{measure.digits}f}{_unit(measure)}"


def _unit(measure: MetricInfo) -> str:
    return " points" if measure.in_per_cent else ""


def _equals(p: float) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"

"""What a reader has to know about a group's numbers."""

from denseup.engine.folder import EVALUATION
from denseup.reporting.costs import Measurements
from denseup.reporting.group import REFERENCE, Group
from denseup.reporting.published_accuracy import published_notes


def group_notes(group: Group, measured: Measurements | None) -> list[str]:
    """A remark each: how the runs came about, what is missing, and where other numbers come from."""
    notes = [_told(group)]
    notes += [f"Differs from the first group, so it is not compared with it: {line}" for line in group.differences]
    if group.reference is None:
        labels = [label for label in group.members if label.startswith(f"{REFERENCE} (")]
        several = f"{REFERENCE} has run in several forms ({', '.join(labels)})"
        notes.append(f"{several if labels else f'No finished run of {REFERENCE}'}: there are no differences to it.")
    if any(len(by_seed) == 1 for by_seed in group.members.values()):
        notes.append("Upsamplers with one run have no interval over seeds; differences of that size may be chance.")
    notes += [*_on_other_images(group), *_without_images(group)]
    versions = {tuple(sorted(run.versions.items())) for run in group.runs if run.versions}
    names = sorted({name for one in versions for name, _ in set(one) ^ set(next(iter(versions)))})
    if names:
        notes.append(f"The runs were made with different versions of {', '.join(names)}.")
    if measured is not None:
        notes.append(f"Latency and memory: inference, {measured.conditions}.")
    return [*notes, *published_notes(group.task, [group.published_name(label) or "" for label in group.members])]


def _told(group: Group) -> str:
    starts = " and ".join(group.starts) or "none to choose"
    told = f"the {group.evaluation} evaluation"
    if group.asked != group.evaluation:
        told += f" (asked for: {group.asked}, which not all of these runs have)"
    return f"Start of the upsamplers: {starts}. Protocol: {group.protocol}. Told: {told}.{_departs(group)}"


def _departs(group: Group) -> str:
    """In what the evaluation is not the published one."""
    prefix = f"{EVALUATION}."
    found = [
        f"{name.removeprefix(prefix)} = {value}" for name, value in group.settings.items() if name.startswith(prefix)
    ]
    return f" The evaluation departs from the published one: {', '.join(found)}." if found else ""


def _on_other_images(group: Group) -> list[str]:
    which = ", ".join(f"{label} (seed {', '.join(map(str, seeds))})" for label, seeds in group.on_other_images.items())
    return [f"Measured on other images than the rest, so that nothing is compared with it: {which}."] if which else []


def _without_images(group: Group) -> list[str]:
    """Which runs have no values of images for the first metric, where a difference would have used them."""
    key = group.measures[0].key
    if group.reference is None or len(group.members) < 2:
        return []
    missing = [
        label
        for label, by_seed in group.members.items()
        if any(
            seed not in group.on_other_images.get(label, ())
            and (seed not in group.images[label] or key not in group.images[label][seed].parts)
            for seed in by_seed
        )
    ]
    if not missing:
        return []
    which = "any run" if len(missing) == len(group.members) else ", ".join(missing)
    name = group.measures[0].name
    return [f"No values of images that give the {name} of {which}: its differences tell of other seeds alone."]

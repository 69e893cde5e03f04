"""The model card: Markdown for people, with a front matter for the programs of model hubs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from denseup.escaping import as_it_is, code
from denseup.exporting.facts import Facts
from denseup.metrics import MetricInfo

DEMO_LICENCE = (
    "The demo images are CC0, public domain and CC-BY-4.0; their authors are in `denseup/data/demo/manifest.csv` of "
    "the package."
)
UNSTATED = "No licence was stated for these weights; `license=` of `src.export` states one."


def model_card(
    facts: Facts, load_from: str, license: str | None = None, sha256: Mapping[str, str] | None = None
) -> str:
    """The card of weights.

    Args:
        facts: see `denseup.exporting.facts`.
        load_from: what `denseup.load` is given.
        license: identifier of the weights' licence.
        sha256: file → its hash.
    """
    parts = [
        f"# {as_it_is(_title(facts))}",
        _table(_rows(facts)),
        "## Metrics",
        _metrics(facts),
        "## Data and licence",
        "\n\n".join(_licences(facts, license)),
        "## Use",
        _use(facts, load_from),
        "## Files",
        "\n".join(f"- {code(name)}: SHA-256 {code(digest)}" for name, digest in _digests(facts, sha256).items()),
    ]
    return f"{front_matter(facts, license)}\n" + "\n\n".join(parts) + "\n"


def front_matter(facts: Facts, license: str | None = None) -> str:
    """The YAML header: tags, licence and results, by the keys that model hubs read."""
    stated: dict[str, Any] = {"license": license} if license else {"license": "other", "license_name": "not-stated"}
    names = ("task", "upsampler", "encoder")
    header = {
        "library_name": "denseup",
        **stated,
        "tags": ["denseup", *(f"{facts[name]}" for name in names if facts.get(name))],
        "datasets": [facts["data"]] if facts["data"] else [],
        "metrics": list(facts["metrics"]),
        "model-index": _model_index(facts),
    }
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n"


def _model_index(facts: Facts) -> list[dict[str, Any]]:
    named = {info.key: info for info in _infos(facts)}
    metrics = [
        {"type": key, "name": named[key].computed_title if key in named else key, "value": value}
        for key, value in facts["metrics"].items()
        if value is not None
    ]
    if not metrics:
        return []
    result = {
        "task": {"type": facts["task"]},
        "dataset": {"type": facts["data"], "name": facts["data"], "split": "validation"},
        "metrics": metrics,
    }
    return [{"name": _title(facts), "results": [result]}]


def _title(facts: Facts) -> str:
    return f"{facts['task']}: {facts['upsampler']} on {facts.get('encoder') or facts['network']}"


def _rows(facts: Facts) -> dict[str, Any]:
    versions = facts.get("versions") or {}
    told = ", ".join(f"{name} {versions[name]}" for name in ("denseup", "torch", "python") if name in versions)
    rows = {
        "task": facts["task"],
        "upsampler": _options(facts["config"]["upsampler"]),
        "encoder": _options(facts["config"].get("encoder") or {}),
        "network": f"{facts['network']}, {facts['parameters']:,} parameters",
        "classes": ", ".join(facts["class_names"]) if facts.get("class_names") else None,
        "data": facts["data"],
        "protocol": facts.get("protocol"),
        "weights": f"{facts['weights']}, after {facts['steps']} steps"
        if facts["steps"] is not None
        else facts["weights"],
        "seed": facts["seed"],
        "trained with": told or None,
        "date": facts["date"],
        "config": f"hash {facts['config_hash']}",
    }
    return {name: value for name, value in rows.items() if value is not None}


def _options(options: Mapping[str, Any]) -> str | None:
    """ "fade (kernel_size=5, start=neutral)"."""
    rest = ", ".join(f"{key}={value}" for key, value in options.items() if key != "name" and value is not None)
    name = options.get("name")
    return name if name is None or not rest else f"{name} ({rest})"


def _table(rows: Mapping[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows.items())])


def _cell(value: Any) -> str:
    return as_it_is(str(value))


def _infos(facts: Facts) -> Sequence[MetricInfo]:
    return [MetricInfo.read(entry) for entry in facts.get("metric_info") or ()]


def _metrics(facts: Facts) -> str:
    values = facts["metrics"]
    if not values:
        return "None are known: no result.json of the run lies beside the checkpoint."
    named = {info.key: info for info in _infos(facts)}
    baseline = facts.get("baseline") or {}
    lines = ["| metric | value | trivial answer |", "|---|---:|---:|"]
    for key, value in values.items():
        info = named.get(key) or MetricInfo.of_key(key)
        lines.append(
            f"| {_cell(info.heading + _unit(info))} | {_printed(info, value)} | {_printed(info, baseline.get(key))} |"
        )
    return "\n".join([*lines, "", "On the validation images of the run's data."])


def _unit(info: MetricInfo) -> str:
    return f" [{info.unit}]" if info.unit else ""


def _printed(info: MetricInfo, value: float | None) -> str:
    return "" if value is None else f"{info.scale * value:.{info.digits}f}"


def _licences(facts: Facts, license: str | None) -> Iterator[str]:
    yield f"Weights: {as_it_is(license)}." if license else UNSTATED
    if facts["data"] == "demo":
        yield DEMO_LICENCE


def _use(facts: Facts, load_from: str) -> str:
    inputs = "".join(f"\n- input `{name}`: {as_it_is(meaning)}" for name, meaning in facts["inputs"].items())
    outputs = "".join(f"\n- output `{name}`: {as_it_is(meaning)}" for name, meaning in facts["outputs"].items())
    arguments = ", ".join(facts["inputs"])
    return (
        f"```python\nimport denseup  # pip install 'denseup[train]'\n\ntask = denseup.load({load_from!r})\n"
        f"output = task.serve({arguments})  # [B, C, H, W], any size\n```\n{inputs}{outputs}"
    )


def _digests(facts: Facts, sha256: Mapping[str, str] | None) -> dict[str, str]:
    found = {f"checkpoint ({facts['weights']})": facts["checkpoint_sha256"]}
    if "weights_sha256" in facts:
        found["weights, by name and bytes"] = facts["weights_sha256"]
    return {**found, **(sha256 or {})}

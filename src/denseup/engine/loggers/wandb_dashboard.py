"""The comparison of upsamplers as a W&B workspace and a W&B report, in code.

Both show the same panels for each task: the best values as bars, an average over seeds for each upsampler; the curves;
the best value against parameters and training time; the predictions. A workspace is where one looks around, a report is
what one hands on. Needs the extra `dashboard` (wandb-workspaces), imported when a definition is built.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denseup.engine.folder import RunFolder
from denseup.engine.loggers.wandb_reader import find_runs
from denseup.engine.loggers.wandb_run import STEP
from denseup.engine.state import read_result
from denseup.tasks import find_task, list_tasks

Metrics = Mapping[str, Sequence[str]]
"""Task → keys of what its runs log; the first is the one that picks the best checkpoint."""
COSTS = {"params": "parameters", "seconds": "training time [s]"}
UPSAMPLER = "upsampler.name"
"""Where the config of a run names its upsampler."""


@dataclass(frozen=True)
class Place:
    """Where a dashboard belongs.

    Args:
        project: whose runs it compares.
        entity: user or team; "" for the one that is logged in.
        group: only the runs of this sweep.
    """

    project: str = "denseup"
    entity: str = ""
    group: str | None = None

    @property
    def title(self) -> str:
        """Title of the workspace and of the report."""
        return "Upsampler comparison" + (f" {self.group}" if self.group else "")

    def filters(self, task: str | None = None) -> str:
        """W&B's expression for the training runs, of one task or of all."""
        terms = {"JobType": "train", "Group": self.group, "Tags": task}
        return " and ".join(f"{name} = {value!r}" for name, value in terms.items() if value)


def logged_metrics(paths: Sequence[str | Path] = ()) -> Metrics:
    """What runs of the registered tasks log, and what those in run folders below some paths say that they do."""
    found = {task: [info.key for info in find_task(task).metrics_class.values] for task in list_tasks()}
    for file in sorted(file for path in paths for file in Path(path).rglob("result.json")):
        result = read_result(RunFolder(file.parent))
        for info in result.get("metric_info", {}).get("values", ()):
            keys = found.setdefault(result["task"], [])
            if info["key"] not in keys:
                keys.append(info["key"])
    return found


def task_panels(metrics: Sequence[str]) -> dict[str, list[Any]]:
    """The panels of a task that logs these metrics, by the name of their section."""
    _, wr = _workspaces()
    monitor, upsampler = metrics[0], wr.Config(UPSAMPLER)

    def bars(name: str) -> Any:
        best = wr.SummaryMetric(f"best/{name}")
        return wr.BarPlot(
            title=f"best {name}", metrics=[best], groupby=upsampler, groupby_aggfunc="mean", groupby_rangefunc="stddev"
        )

    def curve(key: str) -> Any:
        return wr.LinePlot(
            title=key, x=STEP, y=[key], groupby=upsampler, groupby_aggfunc="mean", groupby_rangefunc="minmax"
        )

    def cost(key: str) -> Any:
        x, y = wr.SummaryMetric(key), wr.SummaryMetric(f"best/{monitor}")
        return wr.ScatterPlot(title=f"best {monitor} by {COSTS[key]}", x=x, y=y)

    return {
        "best": [bars(name) for name in metrics],
        "curves": [curve(key) for key in ("train/loss", *(f"val/{name}" for name in metrics))],
        "cost": [cost(key) for key in COSTS],
        "predictions": [_predictions()],
    }


def _predictions() -> Any:
    _, wr = _workspaces()
    return wr.MediaBrowser(title="predictions", media_keys=["val/predictions"], mode="gallery")


def build_workspace(place: Place, tasks: Metrics) -> Any:
    """The comparison as a `wandb_workspaces.workspaces.Workspace`."""
    ws, _ = _workspaces()
    sections = [
        ws.Section(name=f"{task}: {name}", panels=panels, is_open=True)
        for task, metrics in tasks.items()
        for name, panels in task_panels(metrics).items()
        if name != "predictions"
    ]
    # A workspace has one set of runs: the pictures of all tasks come from one panel.
    sections.append(ws.Section(name="predictions", panels=[_predictions()], is_open=True))
    return ws.Workspace(
        entity=place.entity,
        project=place.project,
        name=place.title,
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=100),
        runset_settings=ws.RunsetSettings(filters=place.filters()),
    )


def build_report(place: Place, tasks: Metrics) -> Any:
    """The comparison as a `wandb_workspaces.reports.v2.Report`: for each task its own run set, by upsampler."""
    _, wr = _workspaces()
    blocks = [wr.P("Feature upsamplers compared on equal terms: bars are averages over seeds, with their spread.")]
    for task, metrics in tasks.items():
        blocks.append(wr.H1(task))
        for name, panels in task_panels(metrics).items():
            # A run set without a project takes the report's own, which needs no question to the server.
            runs = wr.Runset(name=task, filters=place.filters(task), groupby=[f"config.{UPSAMPLER}"])
            blocks += [wr.H2(name), wr.PanelGrid(runsets=[runs], panels=panels)]
    return wr.Report(entity=place.entity, project=place.project, title=place.title, blocks=blocks, width="fluid")


def definition(place: Place, tasks: Metrics) -> dict[str, Any]:
    """Workspace and report as W&B stores them, in plain JSON."""
    workspace, report = build_workspace(place, tasks)._to_model(), build_report(place, tasks)._to_model()
    about = {"entity": place.entity, "project": place.project}
    return {
        "workspace": {**about, "name": workspace.display_name, "spec": _plain(workspace.spec)},
        "report": {**about, "title": report.display_name, "spec": _plain(report.spec)},
    }


def save(place: Place, tasks: Metrics) -> dict[str, str]:
    """Save a new workspace and a new report; their addresses. Needs a W&B key and the network."""
    import wandb

    _workspaces()
    if not place.entity:
        entity = wandb.Api().default_entity
        if not entity:
            raise ValueError("entity is '', and the W&B account has no default one; pass --entity")
        place = Place(place.project, entity, place.group)
    report = build_report(place, tasks).save()  # makes the project if there is none yet
    return {"workspace": build_workspace(place, tasks).save().url, "report": report.url}


def offline_runs(paths: Sequence[str | Path]) -> list[list[Path]]:
    """Folders of offline runs below some paths that are still to be uploaded, oldest first.

    The parts of a run that was interrupted and resumed come together: they have one id, the end of their folder's name.
    """
    found: dict[str, list[Path]] = {}
    for path in paths:
        for file in find_runs(path):
            if file.parent.name.startswith("offline-run-") and not file.with_name(file.name + ".synced").exists():
                found.setdefault(file.stem, []).append(file.parent)
    return list(found.values())


def _plain(model: Any) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _workspaces() -> tuple[Any, Any]:
    """The modules of wandb-workspaces for workspaces and for reports."""
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise ImportError(
            f"the dashboard needs wandb-workspaces: pip install 'denseup[dashboard]' ({error})"
        ) from error
    return workspaces, reports

"""The comparison that runs add up to: tables, plots, predictions, and a page with all of them."""

from denseup.reporting.costs import COUNT_SIZE, read_measurements
from denseup.reporting.grouping import REFERENCE, Group, group_runs
from denseup.reporting.loading import Run
from denseup.reporting.panel import Example
from denseup.reporting.report import write_report
from denseup.reporting.sources import load_runs
from denseup.reporting.statistics import Estimate, estimate, paired, t_quantile

__all__ = [
    "COUNT_SIZE",
    "REFERENCE",
    "Estimate",
    "Example",
    "Group",
    "Run",
    "estimate",
    "group_runs",
    "load_runs",
    "paired",
    "read_measurements",
    "t_quantile",
    "write_report",
]

"""The comparison that runs add up to: tables, plots, predictions, and a page with all of them.

`write_report` does it all. The rest is for one's own analysis: load_runs → group_runs → build_table,
`denseup.reporting.plots`, and `Group.compare` for the differences of one metric (`denseup.statistics`).
"""

from denseup.reporting.archive import write_archive
from denseup.reporting.costs import COUNT_SIZE, Cost, Measurements, collect_costs, conditions, read_measurements
from denseup.reporting.group import REFERENCE, Group
from denseup.reporting.grouping import group_runs
from denseup.reporting.loading import Run
from denseup.reporting.measures import MEASURES
from denseup.reporting.panel import Example
from denseup.reporting.report import write_report
from denseup.reporting.sources import load_runs
from denseup.reporting.style import styles
from denseup.reporting.table import Table, build_table
from denseup.reporting.text import csv_table, markdown_table
from denseup.statistics import Estimate, estimate, paired, t_quantile

__all__ = [
    "COUNT_SIZE",
    "MEASURES",
    "REFERENCE",
    "Cost",
    "Estimate",
    "Example",
    "Group",
    "Measurements",
    "Run",
    "Table",
    "build_table",
    "collect_costs",
    "conditions",
    "csv_table",
    "estimate",
    "group_runs",
    "load_runs",
    "markdown_table",
    "paired",
    "read_measurements",
    "styles",
    "t_quantile",
    "write_archive",
    "write_report",
]

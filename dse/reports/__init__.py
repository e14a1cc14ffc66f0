"""Rendering: tables, plots and the Pareto report of a study."""

from dse.reports.compare import Contest, compare_studies
from dse.reports.compare_page import write_comparison
from dse.reports.page import write_report
from dse.reports.tables import Study, read_study, write_tables

__all__ = [
    "Contest",
    "Study",
    "compare_studies",
    "read_study",
    "write_comparison",
    "write_report",
    "write_tables",
]

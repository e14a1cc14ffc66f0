"""Rendering: tables, plots and the Pareto report of a study."""

from dse.report.page import write_report
from dse.report.tables import Study, read_study, write_tables

__all__ = ["Study", "read_study", "write_report", "write_tables"]

"""Jobs of many programs on one chip, in time, with power (discrete events, SimPy).

``simulate`` plays tasks on a chip and gives a ``Timeline``; ``simulate_alone`` one inference;
``task_stats`` sums a timeline up by task; ``write_trace`` and ``write_power_plot`` export it.
``partition``, ``pipeline_parts`` and ``pipeline_tasks`` say where tasks run, ``read_trace``
when they are released.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dse.simulation.task import (
    Hotspot,
    Interval,
    Job,
    Periodic,
    Poisson,
    Policy,
    Reason,
    Release,
    Stage,
    Task,
    Timeline,
    Trace,
    Triggered,
    Usage,
)

if TYPE_CHECKING:
    from dse.simulation.arrivals import read_trace
    from dse.simulation.pipeline import partition, pipeline_parts, pipeline_tasks
    from dse.simulation.plot import power_figure, write_power_plot
    from dse.simulation.run import simulate, simulate_alone
    from dse.simulation.stats import TaskStats, task_stats
    from dse.simulation.trace import chrome_trace, write_trace

__all__ = [
    "Hotspot",
    "Interval",
    "Job",
    "Periodic",
    "Poisson",
    "Policy",
    "Reason",
    "Release",
    "Stage",
    "Task",
    "TaskStats",
    "Timeline",
    "Trace",
    "Triggered",
    "Usage",
    "chrome_trace",
    "partition",
    "pipeline_parts",
    "pipeline_tasks",
    "power_figure",
    "read_trace",
    "simulate",
    "simulate_alone",
    "task_stats",
    "write_power_plot",
    "write_trace",
]

#: Names loaded on first use, since they need numpy and simpy.
_LAZY = {
    "simulate": "dse.simulation.run",
    "simulate_alone": "dse.simulation.run",
    "TaskStats": "dse.simulation.stats",
    "task_stats": "dse.simulation.stats",
    "chrome_trace": "dse.simulation.trace",
    "write_trace": "dse.simulation.trace",
    "read_trace": "dse.simulation.arrivals",
    "partition": "dse.simulation.pipeline",
    "pipeline_parts": "dse.simulation.pipeline",
    "pipeline_tasks": "dse.simulation.pipeline",
    "power_figure": "dse.simulation.plot",
    "write_power_plot": "dse.simulation.plot",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)

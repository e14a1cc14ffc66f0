"""Jobs of many programs on one chip, in time, with power (discrete events, SimPy).

``simulate`` plays tasks on a chip and gives a ``Timeline``; ``simulate_alone`` one inference;
``task_stats`` sums a timeline up by task, ``utilization`` by window of time; ``write_trace`` and
``write_power_plot`` export it. ``partition``, ``map_pipeline`` and ``pipeline_tasks`` say where
tasks run, ``read_trace`` when they are released.
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
    context_stages,
)

if TYPE_CHECKING:
    from dse.simulation.arrivals import read_trace
    from dse.simulation.battery import battery_life_s
    from dse.simulation.load import offered_load
    from dse.simulation.pipeline import map_pipeline, partition, pipeline_tasks
    from dse.simulation.plot import power_figure, write_power_plot
    from dse.simulation.run import simulate, simulate_alone
    from dse.simulation.stats import TaskStats, task_stats
    from dse.simulation.trace import chrome_trace, write_trace
    from dse.simulation.usage import utilization

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
    "battery_life_s",
    "chrome_trace",
    "context_stages",
    "map_pipeline",
    "offered_load",
    "partition",
    "pipeline_tasks",
    "power_figure",
    "read_trace",
    "simulate",
    "simulate_alone",
    "task_stats",
    "utilization",
    "write_power_plot",
    "write_trace",
]

#: Names loaded on first use, since they need numpy and simpy.
_LAZY = {
    "offered_load": "dse.simulation.load",
    "simulate": "dse.simulation.run",
    "simulate_alone": "dse.simulation.run",
    "TaskStats": "dse.simulation.stats",
    "task_stats": "dse.simulation.stats",
    "chrome_trace": "dse.simulation.trace",
    "write_trace": "dse.simulation.trace",
    "battery_life_s": "dse.simulation.battery",
    "read_trace": "dse.simulation.arrivals",
    "map_pipeline": "dse.simulation.pipeline",
    "partition": "dse.simulation.pipeline",
    "pipeline_tasks": "dse.simulation.pipeline",
    "power_figure": "dse.simulation.plot",
    "write_power_plot": "dse.simulation.plot",
    "utilization": "dse.simulation.usage",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)

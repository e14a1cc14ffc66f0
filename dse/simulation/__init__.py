"""Jobs of many programs on one chip, in time, with power (discrete events, SimPy).

``simulate`` plays tasks on a chip and gives a ``Timeline``; ``simulate_alone`` one inference;
``task_stats`` sums a timeline up by task; ``chrome_trace`` and ``write_trace`` export it.
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
    Task,
    Timeline,
    Trace,
    Triggered,
)

if TYPE_CHECKING:
    from dse.simulation.load import offered_load
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
    "Task",
    "TaskStats",
    "Timeline",
    "Trace",
    "Triggered",
    "chrome_trace",
    "offered_load",
    "simulate",
    "simulate_alone",
    "task_stats",
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
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)

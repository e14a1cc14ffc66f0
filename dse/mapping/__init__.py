"""Layers and networks on a chip: map space, closed-form cost, exact mapper, memory plan, schedule.

The names below are loaded when they are first used, so that importing the package stays light:

* ``map_layer``, ``warm_up``, ``cache_statistics``, ``clear_cache`` (``mapper``)
* ``map_network``, ``layer_rows``, ``energy_breakdown_j``, ``program_energy_j`` (``network``);
  ``explain`` (``text``)
* ``pareto_layer`` (``pareto``): all schedules of a layer worth having
* ``evaluate_mapping`` (``placed_by_hand``): the cost of one given mapping
* ``why`` (``why``): what keeps a layer of the table below peak
* ``Homes``, ``default_homes`` (``homes``); ``plan_memory`` (``memory``)
* ``roofline``, ``roofline_latency_s``, ``roofline_energy_j``, ``external_bytes`` (``bounds``)
* ``load_pins``, ``Pins`` (``pinned``): mappings fixed by hand, or of Timeloop or ZigZag
* ``map_pipeline``, ``PipelinePlan`` (``pipeline``): layers pipelined in space
* ``map_batch``, ``BatchResult`` (``batch``): many chips at once
* ``use_disk_cache`` (``disk``): mappings kept between runs
* ``LayerSchedule``, ``Phase``, ``Segment``, ``Program``, ``unroll`` (``schedule``)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dse.mapping.batch import BatchResult, map_batch
    from dse.mapping.bounds import (
        Roofline,
        external_bytes,
        roofline,
        roofline_energy_j,
        roofline_latency_s,
    )
    from dse.mapping.disk import use_disk_cache
    from dse.mapping.homes import Homes, default_homes
    from dse.mapping.mapper import cache_statistics, clear_cache, map_layer, warm_up
    from dse.mapping.memory import plan_memory
    from dse.mapping.network import (
        energy_breakdown_j,
        layer_rows,
        map_network,
        program_energy_j,
    )
    from dse.mapping.pareto import pareto_layer
    from dse.mapping.pinned import Pins, load_pins
    from dse.mapping.pipeline import PipelinePlan, map_pipeline
    from dse.mapping.placed_by_hand import evaluate_mapping
    from dse.mapping.schedule import LayerSchedule, Phase, Program, Segment, unroll
    from dse.mapping.text import explain

#: What the mapper may minimise, see :mod:`dse.mapping.objectives`.
Objective = str | tuple[float, float]

_HOME = {
    "pareto_layer": "pareto",
    "evaluate_mapping": "placed_by_hand",
    "map_layer": "mapper",
    "warm_up": "mapper",
    "cache_statistics": "mapper",
    "clear_cache": "mapper",
    "map_network": "network",
    "layer_rows": "network",
    "explain": "text",
    "energy_breakdown_j": "network",
    "program_energy_j": "network",
    "Homes": "homes",
    "default_homes": "homes",
    "plan_memory": "memory",
    "roofline": "bounds",
    "Roofline": "bounds",
    "roofline_latency_s": "bounds",
    "roofline_energy_j": "bounds",
    "external_bytes": "bounds",
    "LayerSchedule": "schedule",
    "Phase": "schedule",
    "Segment": "schedule",
    "Program": "schedule",
    "unroll": "schedule",
    "map_batch": "batch",
    "BatchResult": "batch",
    "use_disk_cache": "disk",
    "load_pins": "pinned",
    "map_pipeline": "pipeline",
    "PipelinePlan": "pipeline",
    "Pins": "pinned",
}

__all__ = [
    "BatchResult",
    "Homes",
    "LayerSchedule",
    "Objective",
    "Phase",
    "Pins",
    "PipelinePlan",
    "Program",
    "Roofline",
    "Segment",
    "cache_statistics",
    "clear_cache",
    "default_homes",
    "energy_breakdown_j",
    "evaluate_mapping",
    "explain",
    "external_bytes",
    "layer_rows",
    "load_pins",
    "map_batch",
    "map_layer",
    "map_network",
    "map_pipeline",
    "pareto_layer",
    "plan_memory",
    "program_energy_j",
    "roofline",
    "roofline_energy_j",
    "roofline_latency_s",
    "unroll",
    "use_disk_cache",
    "warm_up",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

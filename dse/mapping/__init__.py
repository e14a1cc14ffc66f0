"""Layers and networks on a chip: map space, closed-form cost, exact mapper, memory plan, schedule.

The names in ``__all__`` are what other packages use; all else is inside. They are loaded when they
are first used, so that importing the package stays light:

* ``map_layer``, ``warm_up``, ``cache_statistics``, ``clear_cache``, ``use_disk_cache``; ``explain``
* ``map_network``, ``layer_rows``, ``energy_breakdown_j``, ``program_energy_j``; ``why``: what keeps
  a layer of the table below peak
* ``pareto_layer``: all schedules of a layer worth having
* ``evaluate_mapping``: the cost of one given mapping
* ``Homes``, ``default_homes``, ``plan_memory``: where operands live
* ``roofline``, ``roofline_latency_s``, ``roofline_energy_j``, ``external_bytes``
* ``load_pins``, ``Pins``: mappings fixed by hand, or of Timeloop or ZigZag
* ``map_pipeline``, ``PipelinePlan``: layers pipelined in space
* ``map_batch``, ``BatchResult``: many chips at once
* ``LayerSchedule``, ``Phase``, ``Segment``, ``Program``, ``unroll``: what a mapping is

The rooms and who may know whom: ``docs/developing/architecture.md``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dse.mapping.chips.batch import BatchResult, map_batch
    from dse.mapping.cost.objectives import Objective
    from dse.mapping.given.pinned import load_pins
    from dse.mapping.given.pins import Pins
    from dse.mapping.given.placed_by_hand import evaluate_mapping
    from dse.mapping.ir.homes import Homes, default_homes
    from dse.mapping.ir.schedule import LayerSchedule, Phase, Program, Segment, unroll
    from dse.mapping.layer.disk import use_disk_cache
    from dse.mapping.layer.mapper import cache_statistics, clear_cache, map_layer
    from dse.mapping.layer.pareto import pareto_layer
    from dse.mapping.layer.text import explain
    from dse.mapping.memory.plan import plan_memory
    from dse.mapping.network.bounds import (
        Roofline,
        external_bytes,
        roofline,
        roofline_energy_j,
        roofline_latency_s,
    )
    from dse.mapping.network.pipeline import PipelinePlan, map_pipeline
    from dse.mapping.network.program import (
        energy_breakdown_j,
        layer_rows,
        map_network,
        program_energy_j,
    )
    from dse.mapping.network.warming import warm_up
    from dse.mapping.network.why import why

#: Where each public name stands.
_HOME = {
    "BatchResult": "chips.batch",
    "Homes": "ir.homes",
    "LayerSchedule": "ir.schedule",
    "Objective": "cost.objectives",
    "Phase": "ir.schedule",
    "Pins": "given.pins",
    "PipelinePlan": "network.pipeline",
    "Program": "ir.schedule",
    "Roofline": "network.bounds",
    "Segment": "ir.schedule",
    "cache_statistics": "layer.mapper",
    "clear_cache": "layer.mapper",
    "default_homes": "ir.homes",
    "energy_breakdown_j": "network.program",
    "evaluate_mapping": "given.placed_by_hand",
    "explain": "layer.text",
    "external_bytes": "network.bounds",
    "layer_rows": "network.program",
    "load_pins": "given.pinned",
    "map_batch": "chips.batch",
    "map_layer": "layer.mapper",
    "map_network": "network.program",
    "map_pipeline": "network.pipeline",
    "pareto_layer": "layer.pareto",
    "plan_memory": "memory.plan",
    "program_energy_j": "network.program",
    "roofline": "network.bounds",
    "roofline_energy_j": "network.bounds",
    "roofline_latency_s": "network.bounds",
    "unroll": "ir.schedule",
    "use_disk_cache": "layer.disk",
    "warm_up": "network.warming",
    "why": "network.why",
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
    "why",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

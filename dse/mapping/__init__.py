"""Layers and networks on a chip: map space, closed-form cost, exact mapper, memory plan, schedule.

The names in ``__all__`` are what other packages use; all else is inside. They are loaded when they
are first used, so that importing the package stays light:

* ``map_layer``, ``warm_up``, ``cache_statistics``, ``clear_cache``, ``use_disk_cache``; ``explain``
* ``map_network``, ``layer_rows``, ``energy_breakdown_j``, ``program_energy_j``; ``why``,
  ``losses``: what keeps a layer of the table below peak
* ``pareto_layer``: all schedules of a layer worth having
* ``evaluate_mapping``, ``given_mapping``: one given mapping, nothing searched
* ``Homes``, ``default_homes``, ``plan_memory``: where operands live
* ``roofline``, ``roofline_latency_s``, ``roofline_energy_j``, ``external_bytes``
* ``Certificate``: how far from the best possible a mapping is, proven; ``certified_layer``,
  ``certify_layers``, ``certify_program``; ``network_bound``, ``NetworkBound``
* ``load_pins``, ``Pins``: mappings fixed by hand, or of Timeloop or ZigZag
* ``map_pipeline``, ``PipelinePlan``: layers pipelined in space
* ``map_batch``, ``BatchResult``: many chips at once
* ``LayerSchedule``, ``Phase``, ``Segment``, ``Program``, ``unroll``: what a mapping is;
  ``program_latency_s``, ``program_interval_s``, ``layer_latencies_s``, ``price``,
  ``link_rates``: what it costs; ``restarted``: the same with another draw's costs of starting
* ``LayerRow``: a row of the layer table
* ``chip_number``: one number for all chips that mapping cannot tell apart

The rooms and who may know whom: ``docs/developing/architecture.md``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dse.mapping.chips.batch import BatchResult, map_batch
    from dse.mapping.cost.objectives import (
        Objective,
        exponents,
        objective_value,
    )
    from dse.mapping.given.pinned import load_pins
    from dse.mapping.given.pins import Pins
    from dse.mapping.given.placed_by_hand import GivenMapping, evaluate_mapping, given_mapping
    from dse.mapping.ir.certificate import Certificate
    from dse.mapping.ir.homes import Homes, default_homes
    from dse.mapping.ir.layer_row import LayerRow
    from dse.mapping.ir.schedule import (
        BOTTLENECKS,
        ENGINES,
        NO_BYTES,
        Bytes,
        LayerSchedule,
        Phase,
        Program,
        Segment,
        add_bytes,
        layer_latencies_s,
        link_rates,
        price,
        program_interval_s,
        program_latency_s,
        unroll,
    )
    from dse.mapping.ir.starting import restarted
    from dse.mapping.layer.certificate import certified_layer
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
    from dse.mapping.network.certificate import (
        NetworkBound,
        certify_layers,
        certify_program,
        network_bound,
    )
    from dse.mapping.network.pipeline import PipelinePlan, map_pipeline
    from dse.mapping.network.program import (
        energy_breakdown_j,
        layer_rows,
        map_network,
        program_energy_j,
    )
    from dse.mapping.network.warming import warm_up
    from dse.mapping.network.why import losses, why
    from dse.mapping.space.shape import chip_number

#: Where each public name stands.
_HOME = {
    "BOTTLENECKS": "ir.schedule",
    "BatchResult": "chips.batch",
    "Bytes": "ir.schedule",
    "Certificate": "ir.certificate",
    "ENGINES": "ir.schedule",
    "GivenMapping": "given.placed_by_hand",
    "Homes": "ir.homes",
    "LayerRow": "ir.layer_row",
    "LayerSchedule": "ir.schedule",
    "NO_BYTES": "ir.schedule",
    "NetworkBound": "network.certificate",
    "Objective": "cost.objectives",
    "Phase": "ir.schedule",
    "Pins": "given.pins",
    "PipelinePlan": "network.pipeline",
    "Program": "ir.schedule",
    "Roofline": "network.bounds",
    "Segment": "ir.schedule",
    "add_bytes": "ir.schedule",
    "cache_statistics": "layer.mapper",
    "certified_layer": "layer.certificate",
    "certify_layers": "network.certificate",
    "certify_program": "network.certificate",
    "chip_number": "space.shape",
    "clear_cache": "layer.mapper",
    "default_homes": "ir.homes",
    "energy_breakdown_j": "network.program",
    "exponents": "cost.objectives",
    "evaluate_mapping": "given.placed_by_hand",
    "explain": "layer.text",
    "external_bytes": "network.bounds",
    "given_mapping": "given.placed_by_hand",
    "layer_latencies_s": "ir.schedule",
    "layer_rows": "network.program",
    "link_rates": "ir.schedule",
    "load_pins": "given.pinned",
    "losses": "network.why",
    "map_batch": "chips.batch",
    "map_layer": "layer.mapper",
    "map_network": "network.program",
    "map_pipeline": "network.pipeline",
    "network_bound": "network.certificate",
    "objective_value": "cost.objectives",
    "pareto_layer": "layer.pareto",
    "plan_memory": "memory.plan",
    "price": "ir.schedule",
    "program_energy_j": "network.program",
    "program_interval_s": "ir.schedule",
    "program_latency_s": "ir.schedule",
    "restarted": "ir.starting",
    "roofline": "network.bounds",
    "roofline_energy_j": "network.bounds",
    "roofline_latency_s": "network.bounds",
    "unroll": "ir.schedule",
    "use_disk_cache": "layer.disk",
    "warm_up": "network.warming",
    "why": "network.why",
}

__all__ = [
    "BOTTLENECKS",
    "ENGINES",
    "NO_BYTES",
    "BatchResult",
    "Bytes",
    "Certificate",
    "GivenMapping",
    "Homes",
    "LayerRow",
    "LayerSchedule",
    "NetworkBound",
    "Objective",
    "Phase",
    "Pins",
    "PipelinePlan",
    "Program",
    "Roofline",
    "Segment",
    "add_bytes",
    "cache_statistics",
    "certified_layer",
    "certify_layers",
    "certify_program",
    "chip_number",
    "clear_cache",
    "default_homes",
    "energy_breakdown_j",
    "evaluate_mapping",
    "explain",
    "exponents",
    "external_bytes",
    "given_mapping",
    "layer_latencies_s",
    "layer_rows",
    "link_rates",
    "load_pins",
    "losses",
    "map_batch",
    "map_layer",
    "map_network",
    "map_pipeline",
    "network_bound",
    "objective_value",
    "pareto_layer",
    "plan_memory",
    "price",
    "program_energy_j",
    "program_interval_s",
    "program_latency_s",
    "restarted",
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

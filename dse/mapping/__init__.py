"""Layers and networks on a chip: map space, closed-form cost, exact mapper, memory plan, schedule.

The names below are loaded when they are first used, so that importing the package stays light:

* ``map_layer``, ``warm_up``, ``cache_statistics``, ``clear_cache`` (``mapper``)
* ``map_network``, ``layer_rows``, ``explain``, ``energy_breakdown_j``, ``program_energy_j``
  (``network``)
* ``Homes``, ``default_homes`` (``homes``); ``plan_memory`` (``memory``)
* ``roofline_latency_s``, ``roofline_energy_j``, ``external_bytes`` (``bounds``)
* ``LayerSchedule``, ``Phase``, ``Segment``, ``Program``, ``unroll`` (``schedule``)
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "map_layer": "mapper",
    "warm_up": "mapper",
    "cache_statistics": "mapper",
    "clear_cache": "mapper",
    "map_network": "network",
    "layer_rows": "network",
    "explain": "network",
    "energy_breakdown_j": "network",
    "program_energy_j": "network",
    "Homes": "homes",
    "default_homes": "homes",
    "plan_memory": "memory",
    "roofline_latency_s": "bounds",
    "roofline_energy_j": "bounds",
    "external_bytes": "bounds",
    "LayerSchedule": "schedule",
    "Phase": "schedule",
    "Segment": "schedule",
    "Program": "schedule",
    "unroll": "schedule",
}

__all__ = list(_HOME)  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

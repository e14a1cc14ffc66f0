"""Chips: what a file says (:mod:`spec`), where it is found (:mod:`library`), what it costs in
area, energy and power at a node (:mod:`resolve`), and in money and carbon (:mod:`cost`).

Names that need the technology are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dse.hardware.area import AreaNode
from dse.hardware.chip import Chip, Platform

if TYPE_CHECKING:
    from dse.hardware.cost import Carbon, Cost, carbon, lifetime_energy_j, unit_cost
    from dse.hardware.library import ChipEntry, list_chips, list_templates, load_spec, load_template
    from dse.hardware.resolve import load_chip
    from dse.hardware.spec import ChipSpec
    from dse.hardware.table import chip_table

_HOMES = {
    "Carbon": "cost",
    "ChipEntry": "library",
    "ChipSpec": "spec",
    "Cost": "cost",
    "carbon": "cost",
    "chip_table": "table",
    "list_chips": "library",
    "list_templates": "library",
    "load_chip": "resolve",
    "lifetime_energy_j": "cost",
    "load_spec": "library",
    "load_template": "library",
    "unit_cost": "cost",
}

__all__ = [
    "AreaNode",
    "Carbon",
    "Chip",
    "ChipEntry",
    "ChipSpec",
    "Cost",
    "Platform",
    "carbon",
    "chip_table",
    "lifetime_energy_j",
    "list_chips",
    "list_templates",
    "load_chip",
    "load_spec",
    "load_template",
    "unit_cost",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)

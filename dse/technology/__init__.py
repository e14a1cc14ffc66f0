"""Process technology: energy, speed, area, leakage, memories, floor, cost and carbon by node."""

from __future__ import annotations

from dse.technology.checks import technology_checks
from dse.technology.checks_row import CheckRow
from dse.technology.cost import UnitCost
from dse.technology.datapath import FORMATS, format_bits
from dse.technology.device import OperatingPoint
from dse.technology.dram import D2dKind, DramKind
from dse.technology.facts import FactRow
from dse.technology.floor import FloorFacts, HostCore
from dse.technology.lines import Line, make_line
from dse.technology.nodes import ALL_NODES, NODES, VALIDATION_NODES, parse_node
from dse.technology.technology import Technology, load_technology, technology_draws

__all__ = [
    "ALL_NODES",
    "FORMATS",
    "NODES",
    "VALIDATION_NODES",
    "CheckRow",
    "D2dKind",
    "DramKind",
    "FactRow",
    "FloorFacts",
    "HostCore",
    "Line",
    "OperatingPoint",
    "Technology",
    "UnitCost",
    "format_bits",
    "load_technology",
    "make_line",
    "parse_node",
    "technology_checks",
    "technology_draws",
]

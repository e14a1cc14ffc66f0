"""Process technology: energy, speed, area, leakage, memories, floor, cost and carbon by node."""

from __future__ import annotations

from dse.technology.checks import technology_checks
from dse.technology.checks_row import CheckRow
from dse.technology.cost import UnitCost
from dse.technology.datapath import FORMATS, format_bits
from dse.technology.device import OperatingPoint
from dse.technology.dram import D2dKind, DramKind
from dse.technology.facts import FactRow, digest_of_today
from dse.technology.floor import FloorFacts, HostCore
from dse.technology.lines import Line
from dse.technology.nodes import Nodes, node_size
from dse.technology.shipped import load_technology, make_line, parse_node, technology_draws
from dse.technology.table import node_table
from dse.technology.technology import Technology

__all__ = [
    "FORMATS",
    "CheckRow",
    "D2dKind",
    "DramKind",
    "FactRow",
    "FloorFacts",
    "HostCore",
    "Line",
    "Nodes",
    "OperatingPoint",
    "Technology",
    "UnitCost",
    "digest_of_today",
    "format_bits",
    "load_technology",
    "make_line",
    "node_size",
    "node_table",
    "parse_node",
    "technology_checks",
    "technology_draws",
]

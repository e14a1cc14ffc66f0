"""Chips: what a file says (:mod:`spec`), where it is found (:mod:`library`), what it costs in
area, energy and power at a node (:mod:`resolve`), and in money and carbon (:mod:`cost`).

This package imports lightly; take functions from their modules.
"""

from __future__ import annotations

from dse.hardware.area import AreaNode
from dse.hardware.chip import Chip, Platform

__all__ = ["AreaNode", "Chip", "Platform"]

"""One row of the layer table: what a layer costs in its network, how it is mapped, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict


@dataclass(frozen=True)
class LayerRow:
    """One layer, or one of the rows ``static`` and ``idle`` of a record.

    ``latency_s`` is the increment of completion time and ``cycles`` the same in chip cycles;
    ``energy_j`` is the dynamic energy (scope ``die_dram``) as the mapper gives it, in a record the
    energy at module scope, so that both columns add up to the record's totals;
    ``energy_breakdown_j`` is the same by component. ``utilization`` is ideal cycles over cycles.
    ``bottleneck`` is what most of the layer's time waits for: ``compute``, ``vector``,
    ``buffer port``, ``dma``, ``host``, a link (``dram``, ``l2``, ``nvm``), ``launch``, ``fill`` or
    ``drain``. ``dims``, ``spatial`` and ``tiles`` are by loop dim, ``homes`` by operand.
    ``lanes`` is the share of the array with work in a mean step, ``losses`` the shares of the time
    that keep it below peak (idle ``lanes``, array ``passes``, waits by cause), ``why`` the same in
    words.
    ``legality`` says whether it keeps to what the chip's compiler can express (``legal``).
    """

    #: Read back, a row has no field that this release does not know.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    op: str
    macs: int
    cycles: float
    latency_s: float
    energy_j: float
    utilization: float
    bottleneck: str
    energy_breakdown_j: Mapping[str, float]
    unit: str = ""
    dims: Mapping[str, int] = field(default_factory=dict)
    spatial: Mapping[str, int] = field(default_factory=dict)
    tiles: Mapping[str, int] = field(default_factory=dict)
    dataflow: str = ""
    order: str = ""
    homes: Mapping[str, str] = field(default_factory=dict)
    fused: str = ""
    legality: str = "ideal"
    lanes: float = 0.0
    losses: Mapping[str, float] = field(default_factory=dict)
    why: str = ""

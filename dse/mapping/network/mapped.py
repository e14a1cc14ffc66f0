"""One mapped layer as a record for users: what it costs and how it is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dse.files import SCHEMA_VERSION
from dse.hardware.chip import Chip
from dse.mapping.cost.objectives import Objective
from dse.mapping.ir.schedule import LayerSchedule, Program, unroll
from dse.mapping.layer.mapper import map_layer
from dse.mapping.network.program import layer_rows
from dse.workload.layer import Layer


@dataclass(frozen=True)
class MappedLayer:
    """The best mapping of one layer alone on one core.

    ``energy_j`` is the dynamic energy (scope ``die_dram``); ``latency_s`` includes launch, fill and
    drain. ``dims``, ``spatial`` and ``tiles`` are by loop dim, ``homes`` by operand;
    ``legality``, ``lanes``, ``losses`` and ``why`` are those of ``layer_rows``; ``schedule`` holds
    phases and action counts.
    """

    name: str
    op: str
    unit: str
    macs: int
    cycles: float
    latency_s: float
    energy_j: float
    utilization: float
    bottleneck: str
    energy_breakdown_j: Mapping[str, float]
    dims: Mapping[str, int]
    dataflow: str
    spatial: Mapping[str, int]
    tiles: Mapping[str, int]
    order: str
    homes: Mapping[str, str]
    fused: str
    legality: str
    lanes: float
    losses: Mapping[str, float]
    why: str
    schedule: LayerSchedule

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def table(self) -> list[dict[str, Any]]:
        """One row per phase of the schedule."""
        return [asdict(phase) for phase in self.schedule.phases]


def mapped_layer(
    layer: Layer, chip: Chip, objective: Objective = "edp", *, legal: bool = False
) -> MappedLayer:
    """Map one layer alone, all operands at their default homes.

    Raises:
        UnmappableError: no unit of the chip can run the layer, or it fits no memory.
        InputError: ``legal`` on a chip that does not say what its compiler can express.
    """
    made = map_layer(layer, chip, objective, legal=legal)
    segments = unroll((made,), prefetch=chip.buffer.double_buffered)
    (row,) = layer_rows(Program(layer.name, (made,), segments, 1, 0.0), chip)
    return MappedLayer(**row, schedule=made)

"""One mapped layer as a record for users: what it costs and how it is laid out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dse.files import SCHEMA_VERSION
from dse.hardware.chip import Chip
from dse.mapping.cost.objectives import Objective
from dse.mapping.ir.layer_row import LayerRow
from dse.mapping.ir.schedule import LayerSchedule, Program, unroll
from dse.mapping.layer.mapper import map_layer
from dse.mapping.network.program import layer_rows
from dse.workload.layer import Layer


@dataclass(frozen=True, kw_only=True)
class MappedLayer(LayerRow):
    """The best mapping of one layer alone on one core.

    ``energy_j`` is the dynamic energy (scope ``die_dram``); ``latency_s`` includes launch, fill and
    drain. ``schedule`` holds phases and action counts.
    """

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
    return MappedLayer(**vars(row), schedule=made)

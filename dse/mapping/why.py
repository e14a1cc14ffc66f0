"""Why a layer keeps the MAC array less busy than its peak: a sentence for each row of the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dse.hardware.chip import Chip
from dse.mapping.schedule import LayerSchedule

#: What a layer is told that waits for something else than compute.
_WAITS = {
    "dram": "waits for DRAM",
    "l2": "waits for the port of L2",
    "nvm": "waits for the non-volatile memory",
    "buffer port": "waits for the port of the buffer",
    "vector": "waits for the vector unit",
    "dma": "waits for DMA descriptors, its tiles being small or scattered",
    "host": "waits for the host",
    "launch": "is over sooner than it is launched",
    "fill": "waits for its first tile, while nothing computes",
    "drain": "waits for its last tile to be stored",
    "none": "takes no time",
}
#: Utilization, and share of lanes, above which nothing needs an explanation.
BUSY = 0.9


def lanes_busy(schedule: LayerSchedule, chip: Chip) -> float:
    """Share of the array's MAC units (of the lanes, for a layer on the vector unit) with a MAC to
    do in a mean step, 0 to 1: unrolled dims, the last ragged step of each taken as it is."""
    share, placed = 1.0, 1
    for dim, factor in schedule.spatial.items():
        size = schedule.dims.get(dim, 1)
        share *= size / (factor * math.ceil(size / factor))
        placed *= factor
    if schedule.unit != "array":
        return share if schedule.macs else 0.0
    return min(1.0, share * placed / chip.array.macs_per_cycle)


def why(row: Mapping[str, Any]) -> str:
    """Why the layer of a row of ``layer_rows`` runs below the peak of the array.

    Reasons are named in this order: what most of its time waits for, lanes of the array that its
    loops do not fill, and array passes too short for what it costs to begin and end them.
    """
    wait = _WAITS.get(row["bottleneck"], "")
    if not row["macs"]:
        return f"no MACs: {wait or 'works on the ' + str(row['unit'])}"
    used, lanes = row["utilization"], row["lanes"]
    if used >= BUSY:
        return f"{used:.0%} of peak"
    reasons = [wait] if wait else []
    if row["unit"] != "array":
        reasons.append("runs on the vector unit, which has fewer lanes than the array")
    elif lanes < BUSY:
        dims = ", ".join(f"{d} {row['dims'][d]} by {n}" for d, n in row["spatial"].items())
        kind = "every channel by itself, " if _depthwise(row["dims"]) else ""
        reasons.append(f"fills {lanes:.1%} of the array ({kind}unrolls {dims or 'nothing'})")
    if not wait and row["unit"] == "array" and used < BUSY * lanes:
        reasons.append(
            f"array passes are short: {1.0 - used / lanes:.0%} of the time goes to loading what "
            "stays, to filling and draining, and to what cannot overlap"
        )
    return f"{used:.1%} of peak: {'; '.join(reasons) or 'no single cause'}"


def _depthwise(dims: Mapping[str, int]) -> bool:
    return dims.get("G", 1) > 1 and dims.get("K", 1) == 1 and dims.get("C", 1) == 1

"""Why a layer keeps the MAC array less busy than its peak: where its time goes, and a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dse.hardware.chip import Chip
from dse.mapping.ir.layer_row import LayerRow
from dse.mapping.ir.schedule import BOTTLENECKS, ENGINES, LayerSchedule, Segment

#: What a layer does that does not compute, by cause.
_WAITS = {
    "dram": "waiting for DRAM",
    "l2": "waiting for the port of L2",
    "nvm": "waiting for the non-volatile memory",
    "buffer port": "waiting for the port of the buffer",
    "vector": "waiting for the vector unit",
    "dma": "waiting for DMA descriptors, its tiles being small or scattered",
    "host": "waiting for the host",
    "launch": "being launched",
    "fill": "waiting for its first tile, while nothing computes",
    "drain": "storing its last tile",
    "compute": "waiting for the array",
    "none": "taking no time",
}
_UNITS = {"vector": "works on the vector unit", "dma": "moved by DMA", "host": "works on the host"}
#: Utilization above which nothing needs an explanation, and the least share of the time that does.
BUSY, WORTH = 0.9, 0.05


def lanes_busy(schedule: LayerSchedule, chip: Chip) -> float:
    """Share of the array's MAC units (of the lanes, for a layer on the vector unit) with a MAC to
    do in a mean step, 0 to 1: unrolled dims, the last ragged step of each taken as it is."""
    share = _ragged(schedule.dims, schedule.spatial)
    if schedule.unit != "array":
        return share if schedule.macs else 0.0
    return min(1.0, share * math.prod(schedule.spatial.values()) / chip.array.macs_per_cycle)


def _ragged(dims: Mapping[str, int], spatial: Mapping[str, int]) -> float:
    """Share of the unrolled units that a mean step uses: below 1 where last steps are ragged."""
    share = 1.0
    for dim, factor in spatial.items():
        size = dims.get(dim, 1)
        share *= size / (factor * math.ceil(size / factor))
    return share


def time_by_cause(
    segments: Sequence[Segment], layers: Sequence[LayerSchedule], chip: Chip, rates: Sequence[float]
) -> list[tuple[dict[str, float], dict[str, float]]]:
    """For each layer seconds by what they wait for, and of these the seconds its unit works.

    The unit is that of the MACs: the array, or the vector unit where they run there.
    """
    out: list[tuple[dict[str, float], dict[str, float]]] = [({}, {}) for _ in layers]
    for segment in segments:
        by, works = out[segment.layer]
        seconds = segment.count * segment.step_s(chip.f_hz, rates)
        cause = segment.stage
        if cause == "steps":
            slowest = segment.bottleneck(chip.f_hz, rates)
            cause = BOTTLENECKS.get(slowest, slowest)
            engine = ENGINES.index("vector" if layers[segment.layer].unit == "vector" else "array")
            busy = min(seconds, segment.count * segment.cycles[engine] / chip.f_hz)
            works[cause] = works.get(cause, 0.0) + busy
        by[cause] = by.get(cause, 0.0) + seconds
    return out


def losses(row: LayerRow, by: Mapping[str, float], works: Mapping[str, float]) -> dict[str, float]:
    """What keeps a layer below peak, as shares of its time that add up to 1 - utilization.

    Args:
        row: of ``layer_rows``; ``by`` and ``works`` are what :func:`time_by_cause` says.

    Returns:
        ``lanes`` (units of the array without a MAC while it works; on the vector unit its fewer
        lanes), ``passes`` (loading what stays, filling and draining the array, where nothing slower
        hides that), and what it waits for, by cause, the largest first. Empty for a layer without
        MACs. A member of a fused group has a share of the group's time by each cause, so its
        ``passes`` also hold the work of the others.
    """
    total = sum(by.values())
    if not row.macs or total <= 0.0:
        return {}
    busy = sum(works.values())
    ideal = min(row.utilization, 1.0) * total
    on_array = row.unit == "array"
    filled = ideal / row.lanes if on_array and row.lanes > 0.0 else busy
    steady = max(ideal, min(busy, filled))
    own = "compute" if on_array else row.unit
    left = total - steady  # waiting and passes
    waits = {cause: seconds - works.get(cause, 0.0) for cause, seconds in by.items()}
    for cause, seconds in works.items():
        excess = max(0.0, busy - steady) * (seconds / busy if busy else 0.0)
        name = "passes" if cause == own else cause
        waits[name] = excess + waits.get(name, 0.0)
    waited = sum(waits.values())
    scale = left / waited if waited > 0.0 else 0.0
    parts = {"lanes": steady - ideal, **{name: s * scale for name, s in waits.items()}}
    shares = {name: seconds / total for name, seconds in parts.items() if seconds > 1e-9 * total}
    return dict(sorted(shares.items(), key=lambda part: -part[1]))


def why(row: LayerRow) -> str:
    """Why the layer of a row of ``layer_rows`` runs below the peak of the array.

    Names each loss of at least 5 % of the layer's time, and the largest, the largest first.
    """
    if not row.macs:
        cause = row.bottleneck
        mostly = "" if cause == row.unit else f", mostly {_WAITS.get(cause, cause)}"
        return f"no MACs: {_UNITS.get(row.unit, 'works')}{mostly}"
    used = row.utilization
    shares = row.losses
    if used >= BUSY or not shares:
        return f"{used:.0%} of peak"
    named = [name for number, name in enumerate(shares) if number == 0 or shares[name] >= WORTH]
    return f"{used:.1%} of peak; lost: " + "; ".join(
        f"{shares[name]:.0%} {_loss(name, row)}" for name in named
    )


def _loss(name: str, row: LayerRow) -> str:
    if name == "lanes":
        return f"idle lanes, {_lanes(row)}"
    if name == "passes":
        shared = " and the group's other work" if row.fused else ""
        return f"loading what stays in the array, filling and draining it{shared}"
    return _WAITS.get(name, name)


def _lanes(row: LayerRow) -> str:
    if row.unit != "array":
        return "the vector unit having fewer than the array"
    unrolled = ", ".join(
        f"{dim} {row.dims[dim]} as {math.ceil(row.dims[dim] / factor)} x {factor}"
        for dim, factor in row.spatial.items()
    )
    text = f"as it fills {row.lanes:.1%} of the array"
    if _depthwise(row.dims):
        text += ", every channel by itself"
    ragged = _ragged(row.dims, row.spatial)
    if ragged < BUSY:
        text += f", {1.0 - ragged:.0%} of it padded"
    return f"{text} ({unrolled or 'nothing is unrolled'})"


def _depthwise(dims: Mapping[str, int]) -> bool:
    return dims.get("G", 1) > 1 and dims.get("K", 1) == 1 and dims.get("C", 1) == 1

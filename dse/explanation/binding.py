"""What binds an app on a chip: the demand, the stream, the layer, the resource, and the relief."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dse.evaluation.loads import Load, Part
from dse.evaluation.record import Evaluation, TaskRow
from dse.explanation.feedback import Effect, Slack
from dse.hardware.chip import Chip
from dse.mapping import layer_rows

#: Chip parameters that relieve a resource, by its name in records.
RELIEF: dict[str, tuple[str, ...]] = {
    "compute": ("chip.array.rows", "chip.array.cols", "chip.f_hz", "chip.cores"),
    "array": ("chip.array.rows", "chip.array.cols", "chip.f_hz", "chip.cores"),
    "vector": ("chip.vector.lanes", "chip.f_hz"),
    "buffer port": ("chip.f_hz", "chip.buffer.bytes"),
    "port": ("chip.f_hz", "chip.buffer.bytes"),
    "dma": ("chip.f_hz",),
    "dram": ("chip.dram.channels", "chip.buffer.bytes", "chip.l2.bytes"),
    "l2": ("chip.f_hz", "chip.buffer.bytes"),
    "nvm": ("chip.f_hz",),
    "host": ("chip.f_hz",),
    "launch": ("chip.f_hz",),
    "cores": ("chip.cores", "chip.array.rows", "chip.array.cols", "chip.f_hz"),
    "fill": ("chip.dram.channels",),
    "drain": ("chip.dram.channels",),
}
#: Blocks of a core: a kind of core has its own.
CORE_PATHS = ("chip.array.", "chip.buffer.", "chip.vector.", "chip.cores")
#: Resources at the clock of the chip, whatever that of the core.
SHARED = ("l2", "nvm", "host")
#: A relief is confirmed if it shortens what it is for by more than this share.
NOTICEABLE = 0.005

#: What makes a memory larger.
ROOM: dict[str, tuple[str, ...]] = {
    "dram": ("chip.dram.capacity_bytes",),
    "l2": ("chip.l2.bytes",),
    "nvm": ("chip.nvm.bytes",),
    "buffer": ("chip.buffer.bytes",),
}


def relief(resource: str, kind: str, chip: Chip) -> list[str]:
    """Chip parameters that relieve a resource of cores of one kind (``cores.NAME`` names it)."""
    head, _, named = resource.partition(".")
    if head == "cores":
        resource, kind = head, named or kind
    paths = RELIEF.get(resource, ())
    if kind not in [further.name for further in chip.kinds[1:]]:
        return list(paths)
    own: tuple[str, ...] = CORE_PATHS
    if chip.spec.kinds[kind].own_point and resource not in SHARED:
        own = (*own, "chip.f_hz")
    at = f"chip.kinds.{kind}."
    return [at + path.removeprefix("chip.") if path.startswith(own) else path for path in paths]


def binds(record: Evaluation, room: Sequence[Slack], loads: Sequence[Load], chip: Chip
          ) -> dict[str, Any]:  # fmt: skip
    """The tightest demand with the stream, layer and resource behind it.

    For a deadline (or TTFT, TPOT, chain) the layer that takes most of the stream's time; for power,
    battery and heat the one that takes most energy; for cost the largest part of the unit cost.
    """
    demands = [item for item in room if item.kind != "resource"]
    tight = demands[0] if demands else (room[0] if room else None)
    out: dict[str, Any] = {
        "requirement": tight.requirement if tight else None,
        "room": tight.slack if tight else None,
        "stream": None,
        "layer": None,
        "resource": record.bottleneck,
        "share": None,
        "relief": [],
    }
    if tight is None or not record.tasks:
        return {**out, "relief": relief(record.bottleneck, record.core_kind, chip)}
    if tight.kind == "cost":
        part = max(record.cost_breakdown_usd, key=lambda name: record.cost_breakdown_usd[name])
        share = record.cost_breakdown_usd[part] / record.unit_cost_usd
        return {**out, "resource": part, "share": share}
    if tight.kind == "memory":
        resource = tight.requirement.removeprefix("room in ").partition(" ")[0]
        return {**out, "stream": None, "resource": resource, "relief": list(ROOM.get(resource, ()))}
    if tight.kind == "load":
        resource = tight.requirement.removeprefix("time of ")
        row = max(record.tasks, key=lambda row: row.isolated_latency_s * row.rate_hz)
        if resource.partition(".")[0] == "cores":
            resource = row.bottleneck
        out |= {"stream": row.task, "resource": resource}
        return {**out, "relief": relief(resource, row.core_kind, chip)}
    if tight.kind == "quality":
        return {**out, "stream": tight.stream, "resource": "precision"}
    by_energy = tight.kind in ("power", "battery", "heat")
    row = _worst_row(record, tight, by_energy=by_energy)
    load = next((load for load in loads if load.stream.id == row.stream), None)
    out["stream"] = row.task
    if load is None or load.longest.program is None:
        eased = relief(row.bottleneck, row.core_kind, chip)
        return {**out, "resource": row.bottleneck, "relief": eased}
    layer = _worst_layer(load.longest, load.view, by_energy=by_energy)
    out |= layer
    if by_energy:
        parts = {name: j for name, j in record.energy_breakdown_j.items() if j > 0.0}
        resource = max(parts, key=lambda name: parts[name])
        share = parts[resource] / max(sum(parts.values()), 1e-30)
        return {**out, "resource": resource, "share": share}
    # The whole network's bottleneck, not one layer's: relieving it is what moves the latency.
    eased = relief(row.bottleneck, row.core_kind, chip)
    return {**out, "resource": row.bottleneck, "relief": eased}


def _worst_row(record: Evaluation, tight: Slack, *, by_energy: bool) -> TaskRow:
    rows = list(record.tasks)
    named = [row for row in rows if row.task == tight.stream]
    if named and not by_energy:
        return named[0]
    for chain in record.chains:
        if chain.chain == tight.stream:
            rows = [row for row in rows if row.stream in chain.streams]
            return max(rows, key=lambda row: row.latency_p99_s or row.isolated_latency_s)
    weight = "energy_per_inference_j" if by_energy else "isolated_latency_s"
    return max(rows, key=lambda row: getattr(row, weight) * row.rate_hz)


def _worst_layer(part: Part, chip: Chip, *, by_energy: bool) -> dict[str, Any]:
    assert part.program is not None
    key = "energy_j" if by_energy else "latency_s"
    table = layer_rows(part.program, chip)
    worst = max(table, key=lambda row: getattr(row, key))
    total = sum(getattr(row, key) for row in table)
    return {
        "network": part.workload.name,
        "layer": worst.name,
        "layer_share": getattr(worst, key) / total if total else 0.0,
        "layer_bound_by": worst.bottleneck,
    }


def confirmed(found: Mapping[str, Any], steps: Sequence[Effect]) -> dict[str, Any] | None:
    """Whether relieving the named resource helps the named stream, by simulation.

    Returns:
        The relief step that shortens the stream most, with its latency alone on the chip before
        and after; None if no step touched the resource.
    """
    tried = [
        effect
        for effect in steps
        if effect.path in found["relief"]
        and found["stream"] in effect.latencies
        and _larger(effect.before, effect.after)
    ]
    if not tried:
        return None

    def ratio(effect: Effect) -> float:
        before, after = effect.latencies[found["stream"]]
        return after / before if before else 1.0

    best = min(tried, key=ratio)
    before, after = best.latencies[found["stream"]]
    return {
        "path": best.path,
        "before": best.before,
        "after": best.after,
        "latency_before_s": before,
        "latency_after_s": after,
        "confirmed": ratio(best) < 1.0 - NOTICEABLE,
    }


def _larger(before: Any, after: Any) -> bool:
    return isinstance(before, (int, float)) and isinstance(after, (int, float)) and after > before

"""Why an app does not run on a chip as it must, in words and by what is to blame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dse.evaluation.bottleneck import worst_layer
from dse.evaluation.causes import Cause, CauseKind, of_kind
from dse.evaluation.loads import Load
from dse.evaluation.record import Evaluation, TaskRow
from dse.simulation.task import Timeline


def overload(usage: Mapping[str, float], loads: Sequence[Load]) -> list[Cause]:
    """Resources that the app asks more of than there is; and which stream and layer ask most."""
    out = []
    for name, share in usage.items():
        if share > 1.0 + 1e-9:
            stream, layer, text = _greediest(name, loads)
            late = f"at least {1.0 - 1.0 / share:.0%} of the work is late"
            text = f"{name} would be {share:.0%} busy: {late}{text}"
            out.append(Cause(text, "load", stream, layer))
    return out


def _greediest(resource: str, loads: Sequence[Load]) -> tuple[str | None, str | None, str]:
    """The stream that takes most of a resource, and where its time goes: stream, layer, words."""
    group, _, kind = resource.partition(".")
    taken = {
        load.stream.id: load.rate_hz
        * (load.busy_s * load.cores if group == "cores" else load.bytes_over(resource))
        for load in loads
        if not kind or load.kind == kind
    }
    if not any(taken.values()):
        return None, None, ""
    most = max(taken, key=lambda name: taken[name])
    text = f"; {taken[most] / sum(taken.values()):.0%} of it is stream {most}"
    load = next(load for load in loads if load.stream.id == most)
    program = load.longest.program
    if program is None:
        return most, None, text
    layer, words = worst_layer(program, load.view)
    return most, layer, f"{text}, longest in {words}"


def too_hot(timeline: Timeline | None) -> list[Cause]:
    """That the junction stays above its limit at the slowest operating point."""
    found = timeline.reasons if timeline else ()
    return of_kind("heat", [reason.message for reason in found if reason.kind == "thermal"])


def late(record: Evaluation, loads: Sequence[Load], timeline: Timeline | None) -> list[Cause]:
    """Streams and chains that are late too often, with the layer and resource to blame."""
    by_stream = {load.stream.id: load for load in loads}
    reasons = []
    for row in record.tasks:
        fault = _fault(row)
        if fault is None:
            continue
        layer, text = None, str(fault)
        load = by_stream.get(row.stream)
        program = load.longest.program if load else None
        spot = timeline.hotspots.get(row.task) if timeline else None
        if spot is not None:
            slower = f", {spot.stretch:.2g}x slower by contention" if spot.stretch > 1.01 else ""
            text += f"; {spot.share:.0%} in layer {spot.layer}, bound by {spot.bottleneck}{slower}"
            layer = spot.layer
        elif load is not None and program is not None:
            layer, words = worst_layer(program, load.view)
            text += f"; most in {words}"
        reasons.append(Cause(text, fault.kind, row.task, layer))
    for chain in record.chains:
        if chain.meets_deadline is False:
            missed = chain.missed_fraction
            share = "alone on the chip" if missed is None else f"{missed:.1%} late or lost"
            value = chain.isolated_latency_s if missed is None else chain.latency_p99_s
            took = f", p99 {value * 1e3:.3g} ms" if value is not None else ""
            text = f"chain {chain.chain}: {share}{took}, deadline {chain.deadline_s * 1e3:g} ms"
            reasons.append(Cause(text, "chain", chain.chain))
    return reasons


def _fault(row: TaskRow) -> Cause | None:
    """What a stream breaks: its deadline, or a request's limits."""
    if row.meets_deadline is not False:
        return None
    limits: list[str] = []
    kind: CauseKind = "deadline"
    for demand, name, value, alone, limit in (
        ("ttft", "time to first token", row.ttft_p99_s, row.isolated_ttft_s, row.ttft_limit_s),
        ("tpot", "time per token", row.tpot_p99_s, row.isolated_tpot_s, row.tpot_limit_s),
    ):
        found = value if row.released is not None else alone
        if limit is not None and found is not None and found > limit:
            if not limits:
                kind = "ttft" if demand == "ttft" else "tpot"
            limits.append(f"{name} {found * 1e3:.3g} ms (p99), limit {limit * 1e3:g} ms")
    if row.missed_fraction is None:
        text = f"{row.isolated_latency_s * 1e3:.3g} ms alone on the chip"
    else:
        text = f"{row.missed_fraction:.1%} of frames late or dropped"
        if row.latency_p99_s is not None:
            text += f" (p99 of the completed {row.latency_p99_s * 1e3:.3g} ms)"
    if row.deadline_s is not None:
        text += f", deadline {row.deadline_s * 1e3:g} ms"
        short_s = row.isolated_latency_s - row.deadline_s
        if short_s > 0.0 and row.missed_fraction is not None:
            text += f" (short by {short_s * 1e3:.3g} ms even alone on the chip)"
    return Cause(f"stream {row.task}: " + "; ".join([*limits, text]), kind, row.task)

"""A whole app on a chip: bounds, isolated latencies, or every frame played in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from dse.apps import App, QualityVerdict, Stream, judge_quality, stream_tasks, worst_margin
from dse.apps.tasks import policy_of, task_name
from dse.errors import UnmappableError
from dse.evaluation.bottleneck import bottleneck, worst_layer
from dse.evaluation.economics import lifetime_carbon_kg
from dse.evaluation.energy import dynamic_by_scope_j, static_by_scope_w
from dse.evaluation.frame import frame, scope_table
from dse.evaluation.model_run import link_totals
from dse.evaluation.record import Evaluation, TaskRow
from dse.evaluation.terms import Fidelity, check_fidelity
from dse.hardware.chip import Chip
from dse.mapping.bounds import roofline
from dse.mapping.mapper import Objective
from dse.mapping.network import energy_breakdown_j, map_network
from dse.mapping.schedule import Program, program_latency_s
from dse.quality import quality
from dse.simulation.run import simulate
from dse.simulation.stats import TaskStats, task_stats
from dse.simulation.task import Timeline
from dse.workload import Workload


@dataclass(frozen=True)
class _Load:
    """What one stream asks of the chip: how often, for how long, how many bytes and joules.

    ``program`` is None at the roofline, where times and bytes are bounds.
    """

    stream: Stream
    workload: Workload
    program: Program | None
    rate_hz: float
    latency_s: float
    cores: int
    link_bytes: Mapping[str, float]
    dynamic_j: Mapping[str, float]
    verdict: QualityVerdict


def evaluate_app(
    app: App,
    workloads: Mapping[str, Workload],
    chip: Chip,
    fidelity: Fidelity = "simulate",
    *,
    objective: Objective = "edp",
    seed: int = 0,
    trace: bool = False,
    mapped_on: Chip | None = None,
) -> tuple[Evaluation, Timeline | None]:
    """The app's streams on ``chip``.

    Args:
        app: rates, deadlines, floors and budgets.
        workloads: the network of each stream at its precision, by stream id.
        chip: the chip that all streams share.
        fidelity: ``roofline`` and ``analytic`` are optimistic; only ``simulate`` may call an app
            feasible (the others leave ``feasible`` None, or False where they can prove it).
        objective: what the mapper minimises per layer.
        seed: of jitter, random arrivals and triggers.
        trace: keep the intervals of every layer in the timeline.
        mapped_on: take the mappings of this chip (the same design at nominal technology).

    Returns:
        The record, and the timeline if it was simulated.
    """
    check_fidelity(fidelity)
    macs_per_s = sum(stream_rate_hz(app, s) * workloads[s.id].macs for s in app.streams)
    base = frame(
        "app",
        app.name,
        ",".join(sorted({load.precision.name for load in workloads.values()})),
        chip,
        fidelity,
        volume=app.budgets.volume,
        volumes=app.budgets.volumes,
        macs=round(macs_per_s * app.horizon_s),
        horizon_s=app.horizon_s,
    )
    try:
        loads = [
            _load(app, stream, workloads[stream.id], chip, mapped_on or chip, objective, fidelity)
            for stream in app.streams
        ]
    except UnmappableError as error:
        return replace(base, feasible=False, reasons=(error.describe(),)), None
    timeline: Timeline | None = None
    stats: dict[str, TaskStats] = {}
    usage = _utilization(loads, chip)
    if fidelity == "simulate":
        programs = {load.stream.id: load.program for load in loads if load.program}
        tasks = stream_tasks(app, programs, chip.cores)
        timeline = simulate(chip, tasks, policy_of(app, seed), trace=trace)
        stats = {entry.name: entry for entry in task_stats(timeline, tasks)}
        record = _played(base, timeline, chip)
    else:
        record = _expected(base, app, loads, chip, usage)
    rows = _rows(loads, stats, chip)
    record = _common(record, app, loads, rows, chip)
    reasons = [
        *(f"stream {v.stream}: {v.reason}" for v in _verdicts(loads) if not v.passes),
        *_crowded(loads, chip),
        *_overload(usage),
        *_late(rows, loads, chip, timeline),
        *_over_budget(app, record),
    ]
    decided = True if fidelity == "simulate" else None
    return replace(record, feasible=False if reasons else decided, reasons=tuple(reasons)), timeline


def _load(
    app: App,
    stream: Stream,
    workload: Workload,
    chip: Chip,
    mapped_on: Chip,
    objective: Objective,
    fidelity: Fidelity,
) -> _Load:
    cores = chip.cores if stream.cores == "split" else 1
    verdict = judge_quality(
        stream.id,
        stream.quality,
        quality(workload.family, workload.settings, workload.precision),
    )
    rate = stream_rate_hz(app, stream)
    if fidelity == "roofline":
        bound = roofline(workload, chip, cores)
        moved = {"dram": bound.dram_bytes}
        joules = dict.fromkeys(("npu", "die", "die_dram"), bound.dynamic_j)
        return _Load(stream, workload, None, rate, bound.latency_s, cores, moved, joules, verdict)
    shared = len(app.streams) > 1
    program = map_network(workload, mapped_on, objective, cores=cores, shared=shared)
    return _Load(
        stream,
        workload,
        program,
        rate,
        program_latency_s(program, chip),
        cores,
        link_totals(program),
        dynamic_by_scope_j(program, chip),
        verdict,
    )


def stream_rate_hz(app: App, stream: Stream) -> float:
    """Mean inferences per second of all instances, chains and their probabilities followed."""
    if stream.after is None:
        return (stream.rate_hz or 0.0) * stream.instances
    return stream_rate_hz(app, app.stream(stream.after)) * stream.probability


def _utilization(loads: Sequence[_Load], chip: Chip) -> dict[str, float]:
    """Necessary share of time by resource; above 1 the app cannot be served."""
    cores = sum(load.rate_hz * load.latency_s * load.cores for load in loads)
    out = {"cores": cores / chip.cores}
    for name, link in chip.links.items():
        if link.bytes_per_s > 0.0:
            moved = sum(load.rate_hz * load.link_bytes.get(name, 0.0) for load in loads)
            out[name] = moved / link.bytes_per_s
    return out


def _played(base: Evaluation, timeline: Timeline, chip: Chip) -> Evaluation:
    """Energy, power and busy shares of a simulation."""
    horizon = timeline.horizon_s
    cores = [share for name, share in timeline.busy_s.items() if name.startswith("core")]
    usage = {"cores": sum(cores) / (len(cores) * horizon)}
    usage |= {
        name: busy / horizon
        for name, busy in timeline.busy_s.items()
        if busy > 0.0 and not name.startswith("core")
    }
    return replace(
        base,
        energy_j=timeline.scope_energy_j["module"],
        average_power_w=timeline.scope_energy_j["module"] / horizon,
        peak_power_w=timeline.peak_power_w["module"],
        throughput_per_s=sum(timeline.completed.values()) / horizon,
        dram_bytes=timeline.link_bytes.get("dram", 0.0),
        by_scope=scope_table(chip, timeline.scope_energy_j, timeline.peak_power_w, horizon),
        energy_breakdown_j=_module_breakdown(timeline.energy_j, timeline.scope_energy_j),
        resource_utilization=usage,
        bottleneck=max(usage, key=lambda name: usage[name]),
    )


def _module_breakdown(
    parts_j: Mapping[str, float], scope_j: Mapping[str, float]
) -> dict[str, float]:
    """Energy by component with the conversion loss as a part of its own; sums to the module."""
    loss = scope_j["module"] - scope_j["die_dram"]
    return {**{k: v for k, v in sorted(parts_j.items()) if v}, "pmic": loss}


def _expected(
    base: Evaluation, app: App, loads: Sequence[_Load], chip: Chip, usage: Mapping[str, float]
) -> Evaluation:
    """Optimistic energy over the horizon at mean rates, as far as the busiest resource serves."""
    served = min(1.0, 1.0 / max(max(usage.values()), 1e-12))
    active = min(float(chip.cores), usage["cores"] * chip.cores)
    # Any core works at least as long as all of them together would need.
    static = static_by_scope_w(chip, active, active / chip.cores)
    frames = app.horizon_s * served
    scope_j = {
        scope: sum(load.rate_hz * load.dynamic_j[scope] for load in loads) * frames
        + watts * app.horizon_s
        for scope, watts in static.items()
    }
    scope_j["module"] = chip.pmic.input_w(scope_j["die_dram"] / app.horizon_s) * app.horizon_s
    parts: dict[str, float] = {"static": static["die_dram"] * app.horizon_s}
    for load in loads:
        for schedule in load.program.schedules if load.program else ():
            for name, joules in energy_breakdown_j(schedule, chip).items():
                parts[name] = parts.get(name, 0.0) + joules * load.rate_hz * frames
    return replace(
        base,
        energy_j=scope_j["module"],
        average_power_w=scope_j["module"] / app.horizon_s,
        throughput_per_s=sum(load.rate_hz for load in loads) * served,
        dram_bytes=sum(load.rate_hz * load.link_bytes["dram"] for load in loads) * frames,
        by_scope=scope_table(chip, scope_j, {}, app.horizon_s),
        energy_breakdown_j=_module_breakdown(parts, scope_j),
        resource_utilization=dict(usage),
        bottleneck=max(usage, key=lambda name: usage[name]),
    )


def _common(
    record: Evaluation, app: App, loads: Sequence[_Load], rows: tuple[TaskRow, ...], chip: Chip
) -> Evaluation:
    """What is the same at every fidelity."""
    budgets = app.budgets
    late = [r.latency_p99_s if r.latency_p99_s is not None else r.isolated_latency_s for r in rows]
    macs_per_s = sum(load.rate_hz * load.workload.macs for load in loads)
    verdicts = _verdicts(loads)
    carbon = lifetime_carbon_kg(
        chip,
        record.average_power_w or 0.0,
        lifetime_years=budgets.lifetime_years,
        duty=budgets.duty,
        grid=budgets.grid,
    )
    return replace(
        record,
        latency_s=max(late),
        utilization=macs_per_s / chip.peak_macs_per_s,
        carbon_kg=carbon,
        quality=worst_margin(verdicts),
        quality_detail=tuple(asdict(verdict) for verdict in verdicts),
        tasks=rows,
        notes=tuple(
            dict.fromkeys(
                [*record.notes, *(n for load in loads if load.program for n in load.program.notes)]
            )
        ),
    )


def _verdicts(loads: Sequence[_Load]) -> list[QualityVerdict]:
    return [load.verdict for load in loads]


def _rows(
    loads: Sequence[_Load], stats: Mapping[str, TaskStats], chip: Chip
) -> tuple[TaskRow, ...]:
    """One row per stream instance."""
    return tuple(
        _row(load, task_name(load.stream, index), stats, chip)
        for load in loads
        for index in range(load.stream.instances)
    )


def _row(load: _Load, name: str, stats: Mapping[str, TaskStats], chip: Chip) -> TaskRow:
    stream, verdict, entry = load.stream, load.verdict, stats.get(name)
    meets: bool | None = entry.percentile_met if entry else None
    if entry is None and stream.deadline_s is not None and load.latency_s > stream.deadline_s:
        meets = False
    return TaskRow(
        task=name,
        stream=stream.id,
        model=load.workload.name,
        precision=load.workload.precision.name,
        rate_hz=load.rate_hz / stream.instances,
        deadline_s=stream.deadline_s,
        percentile=stream.percentile,
        isolated_latency_s=load.latency_s,
        energy_per_inference_j=load.dynamic_j["die_dram"],
        released=entry.released if entry else None,
        completed=entry.completed if entry else None,
        dropped=entry.dropped if entry else None,
        missed_fraction=entry.missed_fraction if entry else None,
        latency_p50_s=entry.latency_p50_s if entry else None,
        latency_p90_s=entry.latency_p90_s if entry else None,
        latency_p99_s=entry.latency_p99_s if entry else None,
        latency_p999_s=entry.latency_p999_s if entry else None,
        latency_max_s=entry.latency_max_s if entry else None,
        bottleneck=bottleneck(load.program, chip) if load.program else "bound",
        quality_metric=verdict.metric,
        quality_value=verdict.value,
        quality_margin=verdict.margin,
        meets_deadline=meets,
    )


def _crowded(loads: Sequence[_Load], chip: Chip) -> list[str]:
    """On-chip memories that the weights of all networks together overfill."""
    programs = {load.program.name: load.program for load in loads if load.program}
    rooms = {
        name: chip.links[name].capacity_bytes for name in ("l2", "nvm") if name in chip.links
    } | {"buffer": float(chip.buffer.capacity_bytes * chip.cores)}
    reasons = []
    for name, room in rooms.items():
        need = sum(program.resident_bytes.get(name, 0.0) for program in programs.values())
        if need > room:
            reasons.append(
                f"{name}: the weights of all streams need {need:.3g} bytes, "
                f"{need / room - 1.0:.0%} more than its {room:.3g}"
            )
    return reasons


def _overload(usage: Mapping[str, float]) -> list[str]:
    """Resources that the app asks more of than there is."""
    return [
        f"{name} would be {share:.0%} busy: at least {1.0 - 1.0 / share:.0%} of the work is late"
        for name, share in usage.items()
        if share > 1.0 + 1e-9
    ]


def _late(
    rows: Sequence[TaskRow], loads: Sequence[_Load], chip: Chip, timeline: Timeline | None
) -> list[str]:
    """Streams that miss their deadline too often, with the layer and resource to blame."""
    programs = {load.stream.id: load.program for load in loads}
    reasons = []
    for row in rows:
        if row.meets_deadline is not False or row.deadline_s is None:
            continue
        if row.missed_fraction is None:
            text = f"{row.isolated_latency_s * 1e3:.3g} ms alone on the chip"
        else:
            text = f"{row.missed_fraction:.1%} of frames late or dropped"
            if row.latency_p99_s is not None:
                text += f" (p99 of the completed {row.latency_p99_s * 1e3:.3g} ms)"
        text = f"stream {row.task}: {text}, deadline {row.deadline_s * 1e3:g} ms"
        program = programs[row.stream]
        spot = timeline.hotspots.get(row.task) if timeline else None
        if spot is not None:
            slower = f", {spot.stretch:.2g}x slower by contention" if spot.stretch > 1.01 else ""
            text += f"; {spot.share:.0%} in layer {spot.layer}, bound by {spot.bottleneck}{slower}"
        elif program is not None:
            text += f"; most in {worst_layer(program, chip)}"
        reasons.append(text)
    return reasons


def _over_budget(app: App, record: Evaluation) -> list[str]:
    budgets = app.budgets
    checks = (
        ("module power", record.average_power_w, budgets.module_power_w, "W"),
        ("peak power", record.peak_power_w, budgets.peak_power_w, "W"),
        ("unit cost", record.unit_cost_usd, budgets.unit_cost_usd, "USD"),
        ("die area", record.area_mm2, budgets.area_mm2, "mm2"),
    )
    return [
        f"{what} {value:.3g} {unit} over the budget of {limit:g} {unit} by {value / limit - 1:.0%}"
        for what, value, limit, unit in checks
        if value is not None and limit is not None and value > limit
    ]

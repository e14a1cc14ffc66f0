"""A whole app on a chip: bounds, isolated latencies, or every frame played in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dse.apps import App, QualityVerdict, Stream, judge_quality, stream_tasks, worst_margin
from dse.apps.tasks import policy_of, task_name
from dse.errors import UnmappableError
from dse.evaluation.economics import economics, lifetime_carbon_kg
from dse.evaluation.energy import dynamic_by_scope_j, layer_energy_j, static_by_scope_w
from dse.evaluation.model_run import Fidelity, link_totals
from dse.evaluation.record import Evaluation, TaskRow
from dse.hardware.chip import SCOPES, Chip
from dse.mapping import Objective, map_network, network_bottleneck, roofline
from dse.mapping.schedule import Program, program_latency_s
from dse.quality import quality
from dse.simulation import TaskStats, Timeline, simulate, task_stats
from dse.workload import Workload


@dataclass(frozen=True)
class _Load:
    """What one stream asks of the chip: per inference, and how often."""

    stream: Stream
    workload: Workload
    program: Program
    rate_hz: float
    latency_s: float
    dynamic_j: Mapping[str, float]
    verdict: QualityVerdict


@dataclass(frozen=True)
class _Totals:
    """Energy of the app over the horizon."""

    scope_j: Mapping[str, float]
    peak_w: Mapping[str, float]
    breakdown_j: Mapping[str, float]


def evaluate_app(
    app: App,
    workloads: Mapping[str, Workload],
    chip: Chip,
    fidelity: Fidelity = "simulate",
    *,
    objective: Objective = "edp",
    seed: int = 0,
    trace: bool = False,
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

    Returns:
        The record, and the timeline if it was simulated.
    """
    try:
        loads = _loads(app, workloads, chip, objective)
    except UnmappableError as error:
        return _infeasible(app, workloads, chip, fidelity, (error.describe(),)), None
    usage = _utilization(loads, chip)
    verdicts = [load.verdict for load in loads]
    reasons = [f"stream {v.stream}: {v.reason}" for v in verdicts if not v.passes and v.reason]
    if fidelity == "simulate":
        programs = {load.stream.id: load.program for load in loads}
        tasks = stream_tasks(app, programs, chip.cores)
        timeline = simulate(chip, tasks, policy_of(app, seed), trace=trace)
        stats = {entry.task: entry for entry in task_stats(timeline, tasks)}
        totals = _Totals(
            timeline.scope_energy_j, timeline.peak_power_w, dict(sorted(timeline.energy_j.items()))
        )
        usage = {name: busy / app.horizon_s for name, busy in timeline.busy_s.items()}
    else:
        timeline, stats = None, {}
        totals = _expected(app, loads, chip, usage)
    rows = _rows(app, loads, stats, chip)
    reasons += _late(rows, usage, loads, chip)
    record = _record(app, loads, chip, fidelity, totals, rows, usage)
    reasons += _over_budget(app, record)
    decided = fidelity == "simulate"
    feasible = False if reasons else (True if decided else None)
    return replace(record, feasible=feasible, reasons=tuple(reasons)), timeline


def _loads(
    app: App, workloads: Mapping[str, Workload], chip: Chip, objective: Objective
) -> list[_Load]:
    out = []
    for stream in app.streams:
        workload = workloads[stream.id]
        cores = chip.cores if stream.cores == "split" else 1
        program = map_network(workload, chip, objective, cores=cores)
        found = quality(workload.family, workload.settings, workload.precision)
        out.append(
            _Load(
                stream=stream,
                workload=workload,
                program=program,
                rate_hz=stream_rate_hz(app, stream),
                latency_s=program_latency_s(program, chip),
                dynamic_j=dynamic_by_scope_j(program, chip),
                verdict=judge_quality(stream.id, stream.quality, found),
            )
        )
    return out


def stream_rate_hz(app: App, stream: Stream) -> float:
    """Mean inferences per second of all instances, chains and their probabilities followed."""
    if stream.after is None:
        return (stream.rate_hz or 0.0) * stream.instances
    return stream_rate_hz(app, app.stream(stream.after)) * stream.probability


def _utilization(loads: list[_Load], chip: Chip) -> dict[str, float]:
    """Necessary share of time by resource; above 1 the app cannot be served."""
    cores = sum(load.rate_hz * load.latency_s * load.program.cores for load in loads)
    out = {"cores": cores / chip.cores}
    for name, link in chip.links.items():
        if link.bytes_per_s > 0.0:
            moved = sum(load.rate_hz * link_totals(load.program)[name] for load in loads)
            out[name] = moved / link.bytes_per_s
    return out


def _expected(app: App, loads: list[_Load], chip: Chip, usage: Mapping[str, float]) -> _Totals:
    """Optimistic energy over the horizon: every frame served, static power by mean activity."""
    served = min(1.0, 1.0 / max(max(usage.values()), 1e-12))
    static = static_by_scope_w(chip, min(chip.cores, usage["cores"] * chip.cores))
    frames = app.horizon_s * served
    scope_j = {
        scope: sum(load.rate_hz * load.dynamic_j[scope] for load in loads) * frames
        + static[scope] * app.horizon_s
        for scope in static
    }
    mean_w = scope_j["die_dram"] / app.horizon_s
    scope_j["module"] = chip.pmic.input_w(mean_w) * app.horizon_s
    parts: dict[str, float] = {"static": static["die_dram"] * app.horizon_s}
    for load in loads:
        for schedule in load.program.schedules:
            for name, joules in layer_energy_j(schedule, chip).items():
                parts[name] = parts.get(name, 0.0) + joules * load.rate_hz * frames
    return _Totals(scope_j, {}, dict(sorted(parts.items())))


def _rows(
    app: App, loads: list[_Load], stats: Mapping[str, TaskStats], chip: Chip
) -> tuple[TaskRow, ...]:
    rows = []
    for load in loads:
        stream, verdict = load.stream, load.verdict
        for index in range(stream.instances):
            name = task_name(stream, index)
            entry = stats.get(name)
            meets: bool | None
            if entry is None:
                late = stream.deadline_s is not None and load.latency_s > stream.deadline_s
                meets = False if late else None
            else:
                meets = entry.missed_fraction <= 1.0 - stream.percentile + 1e-12
            rows.append(
                TaskRow(
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
                    bottleneck=network_bottleneck(load.program, chip)[0],
                    quality_metric=verdict.metric,
                    quality_value=verdict.value,
                    quality_margin=verdict.margin,
                    meets_deadline=meets,
                )
            )
    return tuple(rows)


def _late(
    rows: tuple[TaskRow, ...], usage: Mapping[str, float], loads: list[_Load], chip: Chip
) -> list[str]:
    reasons = []
    busiest = max(usage, key=lambda name: usage[name])
    if usage[busiest] > 1.0 + 1e-9:
        share = 1.0 - 1.0 / usage[busiest]
        reasons.append(
            f"{busiest} would be {usage[busiest]:.0%} busy: at least {share:.0%} of the work is late"
        )
    by_stream = {load.stream.id: load for load in loads}
    for row in rows:
        if row.meets_deadline is not False or row.deadline_s is None:
            continue
        where = f"limited by {worst_layer(by_stream[row.stream].program, chip)}"
        if row.missed_fraction is None:
            text = f"{row.isolated_latency_s * 1e3:.3g} ms alone on the chip"
        else:
            text = f"{row.missed_fraction:.1%} of frames late"
            if row.latency_p99_s is not None:
                text += f" (p99 {row.latency_p99_s * 1e3:.3g} ms)"
        reasons.append(f"stream {row.task}: {text}, deadline {row.deadline_s * 1e3:g} ms; {where}")
    return reasons


def worst_layer(program: Program, chip: Chip) -> str:
    """The layer that takes longest and what bounds it, in words."""
    from dse.mapping import segment_bottlenecks
    from dse.mapping.schedule import layer_latencies_s

    seconds = layer_latencies_s(program, chip)
    index = max(range(len(seconds)), key=lambda i: seconds[i])
    resource = segment_bottlenecks(program, chip)[index]
    share = seconds[index] / max(sum(seconds), 1e-30)
    return f"layer {program.schedules[index].layer} ({share:.0%} of its time, bound by {resource})"


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


def _record(
    app: App,
    loads: list[_Load],
    chip: Chip,
    fidelity: Fidelity,
    totals: _Totals,
    rows: tuple[TaskRow, ...],
    usage: Mapping[str, float],
) -> Evaluation:
    budgets = app.budgets
    money = economics(chip, budgets.volume, budgets.volumes)
    horizon = app.horizon_s
    module_j = totals.scope_j["module"]
    power = module_j / horizon
    p99 = [r.latency_p99_s if r.latency_p99_s is not None else r.isolated_latency_s for r in rows]
    done = [r.completed for r in rows if r.completed is not None]
    rate = sum(done) / horizon if done else sum(load.rate_hz for load in loads)
    macs_per_s = sum(load.rate_hz * load.workload.macs for load in loads)
    verdicts = [load.verdict for load in loads]
    by_scope = {
        scope: {
            "energy_j": totals.scope_j[scope],
            "average_power_w": totals.scope_j[scope] / horizon,
            "peak_power_w": totals.peak_w.get(scope),
            "area_mm2": chip.area.scope_mm2(scope),
        }
        for scope in SCOPES
    }
    return Evaluation(
        kind="app",
        subject=app.name,
        chip=chip.name,
        template=chip.template,
        node=f"{chip.node_nm}nm",
        f_hz=chip.f_hz,
        voltage_v=chip.voltage_v,
        precision=",".join(sorted({load.workload.precision.name for load in loads})),
        fidelity=fidelity,
        feasible=None,
        reasons=(),
        latency_s=max(p99),
        energy_j=module_j,
        average_power_w=power,
        peak_power_w=totals.peak_w.get("module"),
        throughput_per_s=rate,
        macs=round(macs_per_s * horizon),
        utilization=macs_per_s / chip.peak_macs_per_s,
        dram_bytes=sum(load.rate_hz * link_totals(load.program)["dram"] for load in loads) * horizon,
        area_mm2=chip.area_mm2,
        die_cost_usd=money.die_cost_usd,
        unit_cost_usd=money.unit_cost_usd,
        volume=budgets.volume,
        unit_cost_by_volume_usd=money.by_volume_usd,
        cost_breakdown_usd=money.parts_usd,
        carbon_kg=lifetime_carbon_kg(
            chip,
            power,
            lifetime_years=budgets.lifetime_years,
            duty=budgets.duty,
            grid=budgets.grid,
        ),
        quality=worst_margin(verdicts),
        quality_detail=tuple(_verdict(verdict) for verdict in verdicts),
        by_scope=by_scope,
        energy_breakdown_j=totals.breakdown_j,
        resource_utilization=dict(usage),
        bottleneck=max(usage, key=lambda name: usage[name]),
        horizon_s=horizon,
        tasks=rows,
        notes=tuple(dict.fromkeys(note for load in loads for note in load.program.notes)),
    )


def _verdict(verdict: QualityVerdict) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(verdict)


def _infeasible(
    app: App,
    workloads: Mapping[str, Workload],
    chip: Chip,
    fidelity: Fidelity,
    reasons: tuple[str, ...],
) -> Evaluation:
    """The record of an app that this chip cannot even hold."""
    money = economics(chip, app.budgets.volume, app.budgets.volumes)
    nothing: dict[str, dict[str, float | None]] = {
        scope: {
            "energy_j": None,
            "average_power_w": None,
            "peak_power_w": None,
            "area_mm2": chip.area.scope_mm2(scope),
        }
        for scope in SCOPES
    }
    return Evaluation(
        kind="app",
        subject=app.name,
        chip=chip.name,
        template=chip.template,
        node=f"{chip.node_nm}nm",
        f_hz=chip.f_hz,
        voltage_v=chip.voltage_v,
        precision=",".join(sorted({w.precision.name for w in workloads.values()})),
        fidelity=fidelity,
        feasible=False,
        reasons=reasons,
        latency_s=None,
        energy_j=None,
        average_power_w=None,
        peak_power_w=None,
        throughput_per_s=None,
        macs=0,
        utilization=None,
        dram_bytes=None,
        area_mm2=chip.area_mm2,
        die_cost_usd=money.die_cost_usd,
        unit_cost_usd=money.unit_cost_usd,
        volume=app.budgets.volume,
        unit_cost_by_volume_usd=money.by_volume_usd,
        cost_breakdown_usd=money.parts_usd,
        carbon_kg=None,
        quality=None,
        quality_detail=(),
        by_scope=nothing,
        energy_breakdown_j={},
        resource_utilization={},
        bottleneck="unmappable",
        horizon_s=app.horizon_s,
    )


def roofline_reasons(app: App, workloads: Mapping[str, Workload], chip: Chip) -> tuple[str, ...]:
    """What already the bounds forbid: a deadline below an isolated bound, or utilization over 1."""
    reasons, busy = [], 0.0
    for stream in app.streams:
        cores = chip.cores if stream.cores == "split" else 1
        bound = roofline(workloads[stream.id], chip, cores=cores)
        busy += stream_rate_hz(app, stream) * bound.latency_s * cores
        if stream.deadline_s is not None and bound.latency_s > stream.deadline_s:
            reasons.append(
                f"stream {stream.id}: at least {bound.latency_s * 1e3:.3g} ms, deadline "
                f"{stream.deadline_s * 1e3:g} ms"
            )
    if busy > chip.cores:
        reasons.append(f"cores would be at least {busy / chip.cores:.0%} busy")
    return tuple(reasons)

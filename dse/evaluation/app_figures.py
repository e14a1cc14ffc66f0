"""What a record of an app says: figures of a play or of mean rates, quality, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from dse.apps import App, QualityVerdict, worst_margin
from dse.evaluation.app_reasons import late, overload, too_hot
from dse.evaluation.app_scores import scored
from dse.evaluation.causes import Cause
from dse.evaluation.economics import lifetime_carbon_kg
from dse.evaluation.energy import static_by_scope_w, supplied_w
from dse.evaluation.finite import with_finite_verdict
from dse.evaluation.frame import frame, scope_table
from dse.evaluation.heat import Junction, heat_reasons, with_junction
from dse.evaluation.judged import cut_notes, notes_on_samples, undecided
from dse.evaluation.loads import Load, repriced
from dse.evaluation.memory import as_table, overfull, rooms
from dse.evaluation.record import ChainRow, Evaluation, TaskRow
from dse.evaluation.requirements import product_reasons
from dse.evaluation.terms import Fidelity
from dse.hardware.chip import Chip
from dse.hardware.kinds import core_kinds
from dse.mapping import energy_breakdown_j
from dse.simulation.engine import Engine
from dse.simulation.repricing import DieEnergy
from dse.simulation.task import Timeline
from dse.workload import Workload


def app_frame(
    app: App, workloads: Mapping[str, Workload], chip: Chip, fidelity: Fidelity
) -> Evaluation:
    """What is known before anything runs."""
    return frame(
        "app",
        app.name,
        ",".join(sorted({load.precision.name for load in workloads.values()})),
        chip,
        fidelity,
        volume=app.budgets.volume,
        volumes=app.budgets.volumes,
        horizon_s=app.observed_s,
    )


def heated(loads: Sequence[Load], chip: Chip, at: Chip) -> list[Load]:
    """The loads at the prices of the chip at another temperature."""
    return list(loads) if at is chip else [repriced(load, at) for load in loads]


def die_watts(
    loads: Sequence[Load],
    chip: Chip,
    usage: Mapping[str, float],
    engine: Engine | None,
    company: float,
) -> Callable[[Chip], float]:
    """Mean power of the die at any temperature: of what was played, or as :func:`expected`."""
    if engine is not None:
        end_s = engine.end_s
        energy = DieEnergy(engine, end_s)
        return lambda at: energy.joules(at) / end_s
    served = min(1.0, 1.0 / max(max(usage.values()), 1e-12))

    def watts(at: Chip) -> float:
        work = sum(load.rate_hz * load.dynamic_j("die") for load in heated(loads, chip, at))
        return work * served + static_w(at, usage, company)["die"]

    return watts


def expected(
    base: Evaluation,
    app: App,
    loads: Sequence[Load],
    chip: Chip,
    usage: Mapping[str, float],
    company: float,
) -> Evaluation:
    """Optimistic energy over the horizon at mean rates, as far as the busiest resource serves.

    ``company``: share of time in which some job is there (:func:`dse.evaluation.company.covered`).
    """
    served = min(1.0, 1.0 / max(max(usage.values()), 1e-12))
    static = static_w(chip, usage, company)
    frames = app.observed_s * served
    scope_j = {
        scope: sum(load.rate_hz * load.dynamic_j(scope) for load in loads) * frames
        + watts * app.observed_s
        for scope, watts in static.items()
    }
    rest_w = static_by_scope_w(chip, {}, 0.0)["die_dram"]
    worked = working_share(chip, usage, company)
    module_w = supplied_w(chip, scope_j["die_dram"] / app.observed_s, rest_w, worked)
    scope_j["module"] = module_w * app.observed_s
    parts: dict[str, float] = {"static": static["die_dram"] * app.observed_s}
    for load in loads:
        for part in load.parts:
            for schedule in part.program.schedules if part.program else ():
                for name, joules in energy_breakdown_j(schedule, load.view).items():
                    share = joules * part.repeat * load.rate_hz * frames
                    parts[name] = parts.get(name, 0.0) + share
    return replace(
        base,
        energy_j=scope_j["module"],
        average_power_w=scope_j["module"] / app.observed_s,
        throughput_per_s=sum(load.rate_hz for load in loads) * served,
        dram_bytes=sum(
            load.rate_hz * load.bytes_over(name) for load in loads for name in chip.outside
        )
        * frames,
        by_scope=scope_table(chip, scope_j, {}, app.observed_s),
        energy_breakdown_j=_module_breakdown(parts, scope_j),
        resource_utilization=dict(usage),
        bottleneck=max(usage, key=lambda name: usage[name]),
    )


def static_w(chip: Chip, usage: Mapping[str, float], company: float) -> dict[str, float]:
    """Static power by scope at given busy shares, W."""
    return static_by_scope_w(chip, _working(chip, usage), working_share(chip, usage, company))


def _working(chip: Chip, usage: Mapping[str, float]) -> dict[str, float]:
    """How many cores of each kind work at a time."""
    if not chip.kinds:
        return {"": min(float(chip.cores), usage["cores"] * chip.cores)}
    return {
        kind.name: min(float(len(kind.cores)), usage[f"cores.{kind.name}"] * len(kind.cores))
        for kind in chip.kinds
    }


def working_share(chip: Chip, usage: Mapping[str, float], company: float) -> float:
    """Share of time in which any core works: at least as long as all of them together, or all of
    its kind, would need, and as some job is there."""
    working = _working(chip, usage)
    shares = [working[kind.name] / len(kind.cores) for kind in core_kinds(chip)]
    return min(1.0, max(min(1.0, usage["cores"]), *shares, company))


def played(base: Evaluation, timeline: Timeline, chip: Chip) -> Evaluation:
    """Energy, power and busy shares of a simulation: its long-run means, over the horizon."""
    mean = timeline.mean
    assert mean is not None
    horizon = mean.over_s
    cores = [share for name, share in mean.busy_s.items() if name.startswith("core")]
    usage = {"cores": sum(cores) / (len(cores) * horizon)}
    for kind in chip.kinds:
        busy_s = sum(mean.busy_s[f"core{core}"] for core in kind.cores)
        usage[f"cores.{kind.name}"] = busy_s / (len(kind.cores) * horizon)
    usage |= {
        name: busy / horizon
        for name, busy in mean.busy_s.items()
        if busy > 0.0 and not name.startswith("core")
    }
    return replace(
        base,
        energy_j=mean.scope_energy_j["module"],
        average_power_w=mean.scope_energy_j["module"] / horizon,
        peak_power_w=timeline.peak_power_w["module"],
        throughput_per_s=sum(mean.completed.values()) / horizon,
        dram_bytes=sum(mean.link_bytes.get(name, 0.0) for name in chip.outside),
        by_scope=scope_table(chip, mean.scope_energy_j, timeline.peak_power_w, horizon),
        energy_breakdown_j=_module_breakdown(mean.energy_j, mean.scope_energy_j),
        kind_energy_j=mean.kind_energy_j,
        resource_utilization=usage,
        bottleneck=max(usage, key=lambda name: usage[name]),
    )


def _module_breakdown(
    parts_j: Mapping[str, float], scope_j: Mapping[str, float]
) -> dict[str, float]:
    """Energy by component with the conversion loss as a part of its own; sums to the module."""
    loss = scope_j["module"] - scope_j["die_dram"]
    return {**{k: v for k, v in sorted(parts_j.items()) if v}, "pmic": loss}


def common(
    record: Evaluation,
    app: App,
    loads: Sequence[Load],
    rows: tuple[TaskRow, ...],
    chains: tuple[ChainRow, ...],
    chip: Chip,
) -> Evaluation:
    """What is the same at every fidelity."""
    budgets = app.budgets
    last = [r.latency_p99_s if r.latency_p99_s is not None else r.isolated_latency_s for r in rows]
    macs_per_s = sum(load.rate_hz * load.macs for load in loads)
    verdicts = verdicts_of(loads)
    carbon = lifetime_carbon_kg(
        chip,
        record.average_power_w or 0.0,
        lifetime_years=budgets.lifetime_years,
        duty=budgets.duty,
        grid=budgets.grid,
    )
    notes = list(record.notes)
    for load in loads:
        for part in load.parts:
            notes += [f"{load.stream.id}: {note}" for note in part.workload.notes]
            if part.program is not None:
                notes += [f"{load.stream.id}: {note}" for note in part.program.notes]
    return scored(
        replace(
            record,
            macs=round(macs_per_s * app.observed_s),
            latency_s=max(last),
            utilization=macs_per_s / chip.peak_macs_per_s,
            carbon_kg=carbon,
            quality=worst_margin(verdicts),
            quality_detail=tuple(asdict(verdict) for verdict in verdicts),
            tasks=rows,
            chains=chains,
            system_energy_j=record.energy_j,
            total_cost_usd=record.unit_cost_usd,
            notes=tuple(dict.fromkeys(notes)),
        ),
        app,
        verdicts,
    )


def verdicts_of(loads: Sequence[Load]) -> list[QualityVerdict]:
    """What is known of the quality of each stream."""
    return [load.verdict for load in loads]


def poor(verdicts: Sequence[QualityVerdict]) -> list[Cause]:
    """Streams whose quality is below their floor."""
    return [
        Cause(f"stream {v.stream}: {v.reason}", "quality", v.stream)
        for v in verdicts
        if not v.passes
    ]


def concluded(
    record: Evaluation,
    app: App,
    loads: Sequence[Load],
    junction: Junction,
    usage: Mapping[str, float],
    known: Sequence[Cause],
    timeline: Timeline | None,
    jobs: Timeline | None,
    whole: Timeline | None,
) -> Evaluation:
    """The record with memory, heat and its verdict.

    Args:
        record: with its rows.
        loads: of the chip, at the junction's temperature.
        usage: busy shares that are asked for.
        known: reasons that were found before.
        timeline: of the chip as it was played, if it was.
        jobs: the same with its jobs one by one, also of those in several parts.
        whole: the same with what happened elsewhere.
    """
    held = rooms(app, loads, junction.chip, jobs.jobs if jobs else ())
    record = replace(record, offered_load=usage, memory=as_table(held))
    record = with_junction(record, app, junction, timeline)
    record, waiting = _on_sample(record, app, whole)
    reasons = [
        *known,
        *overfull(held),
        *overload(usage, loads),
        *late(record, loads, jobs),
        *waiting,
        *too_hot(timeline),
        *heat_reasons(app, record, junction),
        *product_reasons(app, record),
    ]
    return _decided(record, reasons)


def _decided(record: Evaluation, reasons: Sequence[Cause]) -> Evaluation:
    """The record with its verdict: only a simulation may call an app feasible, and only if nothing
    in it is undecided; what breaks a demand breaks it whatever the undecided rest does."""
    broken = any(reason.kind != "horizon" for reason in reasons)
    good = True if record.fidelity == "simulate" and not reasons else None
    judged = replace(record, feasible=False if broken else good, reasons=tuple(reasons))
    return with_finite_verdict(judged)


def _on_sample(
    record: Evaluation, app: App, whole: Timeline | None
) -> tuple[Evaluation, list[Cause]]:
    """The record with what is to be known of the observed jobs, and what they leave open."""
    notes = cut_notes(app)
    if whole is None:
        return replace(record, notes=(*record.notes, *notes)), []
    waiting, needed_s = undecided(app, record, whole.horizon_s)
    notes += notes_on_samples(app, record, whole)
    return replace(record, notes=(*record.notes, *notes), decided_at_s=needed_s), waiting

"""A whole app on a chip: bounds, isolated latencies, or every frame played in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from dse.apps import App, QualityVerdict, stream_tasks, worst_margin
from dse.apps.tasks import Runs, part_names, policy_of
from dse.errors import InputError, UnmappableError
from dse.evaluation.allotments import allotments
from dse.evaluation.app_reasons import late, overload, too_hot
from dse.evaluation.app_rows import chain_rows, isolated_chains, task_rows
from dse.evaluation.app_scores import scored
from dse.evaluation.causes import Cause
from dse.evaluation.company import covered
from dse.evaluation.economics import lifetime_carbon_kg
from dse.evaluation.energy import static_by_scope_w, supplied_w
from dse.evaluation.finite import with_finite_verdict
from dse.evaluation.frame import frame, scope_table, unmappable
from dse.evaluation.heat import (
    MOST_CLOCKS,
    heat_reasons,
    other_clock,
    settled,
    with_junction,
)
from dse.evaluation.judged import cut_notes, notes_on_samples, undecided
from dse.evaluation.loads import Load, repriced, stream_load, stream_rate_hz, utilization
from dse.evaluation.memory import as_table, overfull, rooms
from dse.evaluation.record import ChainRow, Evaluation, TaskRow
from dse.evaluation.requirements import product_reasons
from dse.evaluation.terms import Fidelity, check_fidelity
from dse.hardware.chip import Chip, Platform
from dse.hardware.kinds import core_kinds
from dse.mapping import Objective, energy_breakdown_j
from dse.simulation.checks import MAX_JOBS, job_counts
from dse.simulation.engine import Engine
from dse.simulation.pipeline import as_whole, partition
from dse.simulation.repricing import DieEnergy, reprice
from dse.simulation.run import played_engine
from dse.simulation.run import timeline as timeline_of
from dse.simulation.stats import task_stats
from dse.simulation.task import Task, Timeline
from dse.workload import Workload

__all__ = ["evaluate_app", "stream_rate_hz"]


def evaluate_app(
    app: App,
    workloads: Mapping[str, Workload],
    chip: Chip | Platform,
    fidelity: Fidelity = "simulate",
    *,
    objective: Objective = "edp",
    seed: int = 0,
    trace: bool = False,
    mapped_on: Chip | Platform | None = None,
    clocks_left: int = MOST_CLOCKS,
) -> tuple[Evaluation, Timeline | None]:
    """The app's streams on ``chip``.

    Args:
        app: rates, deadlines, floors and budgets.
        workloads: the network of each stream at its precision, by stream id; of a request's later
            stages as ``id.stage``; for a platform those of the data-centre side too, behind
            ``cloud/`` (see ``stream_workloads``).
        chip: the chip that all streams share, or a platform of device and data centre.
        fidelity: ``roofline`` and ``analytic`` are optimistic; only ``simulate`` may call an app
            feasible (the others leave ``feasible`` None, or False where they can prove it).
        objective: what the mapper minimises per layer.
        seed: of jitter, random arrivals and triggers.
        trace: keep the intervals of every layer in the timeline.
        mapped_on: take the mappings of this chip (the same design at nominal technology).
        clocks_left: how often it may be played again at another clock, where the junction that its
            power gives sets the clock (a chip that pins its voltage alone).

    Returns:
        The record, and the timeline (of the device) if it was simulated.
    """
    check_fidelity(fidelity)
    if isinstance(chip, Platform):
        if chip.reaches_cloud:
            from dse.evaluation.platform_run import evaluate_on_platform

            where = mapped_on if isinstance(mapped_on, Platform) else None
            return evaluate_on_platform(
                app, workloads, chip, fidelity, objective, seed, trace=trace, mapped_on=where
            )
        chip = _only_chip(chip)
    if isinstance(mapped_on, Platform):
        mapped_on = mapped_on.chip
    base = app_frame(app, workloads, chip, fidelity)
    mapped = mapped_on or chip
    room = {} if fidelity == "roofline" else allotments(app, workloads, mapped)
    try:
        loads = [
            stream_load(app, stream, workloads, chip, mapped, objective, fidelity, room)
            for stream in app.streams
        ]
    except UnmappableError as error:
        return unmappable(base, error), None
    timeline: Timeline | None = None
    whole: Timeline | None = None
    usage = utilization(loads, chip)
    tasks = app_tasks(app, loads, chip) if fidelity == "simulate" else ()
    excess = _too_many(app, tasks, usage)
    engine: Engine | None = None
    if fidelity == "simulate" and not excess:
        policy = policy_of(app, seed, max(load.latency_s for load in loads))
        engine = played_engine(chip, tasks, policy, trace=trace)
    company = covered(app, loads)

    def figures(at: Chip, nominal: Chip = chip) -> Evaluation:
        nonlocal timeline, whole
        here = replace(base, f_hz=at.f_hz, voltage_v=at.voltage_v)
        if engine is None:
            return expected(here, app, heated(loads, nominal, at), at, usage, company)
        reprice(engine, at)
        timeline = timeline_of(engine)
        whole = as_whole(timeline, pipelines(app, tasks))
        return played(here, whole, at)

    watts = die_watts(loads, chip, usage, engine, company)
    record, junction = settled(app, chip, watts, figures)
    if other_clock(chip, junction.chip) and clocks_left:
        return evaluate_app(
            app, workloads, junction.chip, fidelity, objective=objective, seed=seed, trace=trace,
            mapped_on=mapped_on or chip, clocks_left=clocks_left - 1,
        )  # fmt: skip
    loads, chip = heated(loads, chip, junction.chip), junction.chip
    stats = {} if whole is None else {entry.name: entry for entry in task_stats(whole, tasks)}
    exact = whole is not None and whole.mean is not None and whole.mean.exact
    chains = _chains(app, loads, whole)
    record = common(record, app, loads, task_rows(loads, stats, exact=exact), chains, chip)
    held = rooms(app, loads, chip, whole.jobs if whole else ())
    record = replace(record, offered_load=usage, memory=as_table(held))
    record = with_junction(record, app, junction, timeline)
    record, waiting = on_sample(record, app, whole)
    reasons = [
        *excess,
        *poor(_verdicts(loads)),
        *_placed_elsewhere(app),
        *overfull(held),
        *overload(usage, loads),
        *late(record, loads, whole),
        *waiting,
        *too_hot(timeline),
        *heat_reasons(app, record, junction),
        *product_reasons(app, record),
    ]
    return decided(record, fidelity, reasons), timeline


def _chains(app: App, loads: Sequence[Load], whole: Timeline | None) -> tuple[ChainRow, ...]:
    """Rows of the app's chains: as played, else from the streams' own latencies."""
    if whole is not None:
        return chain_rows(app, whole.jobs, whole.horizon_s)
    return isolated_chains(app, {load.stream.id: load.latency_s for load in loads})


def _only_chip(platform: Platform) -> Chip:
    """The chip of a platform that has no other; InputError if it has."""
    if len(platform.chips) > 1:
        raise InputError(
            f"a platform of {len(platform.chips)} chips without a link between them",
            field="chip",
            mend="give it a link and cloud terms, or a platform file",
        )
    return platform.chip


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


def _too_many(app: App, tasks: Sequence[Task], usage: Mapping[str, float]) -> list[Cause]:
    """That so many more jobs are asked for than the chip can serve that playing them shows no more.

    Where it could serve them, the simulator refuses them as more than one play may hold.
    """
    jobs = sum(job_counts(tasks, app.observed_s).values())
    if jobs <= MAX_JOBS or max(usage.values()) <= 1.0:
        return []
    text = (
        f"{jobs:.3g} jobs in {app.observed_s:g} s are asked for: too many to be played one by one, "
        "figures are those of the analytic level"
    )
    return [Cause(text, "load")]


def app_tasks(app: App, loads: Sequence[Load], chip: Chip) -> tuple[Task, ...]:
    """What the simulator plays of an app, pinned core by core if the app says so."""
    runs: dict[str, Runs] = {load.stream.id: load.runs for load in loads if load.runs}
    allowed = {load.stream.id: load.allowed for load in loads}
    tasks = stream_tasks(app, runs, allowed, chip)
    return partition(tasks, chip, app.observed_s) if app.partition else tasks


def pipelines(app: App, tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """The tasks of each pipeline, by the name of the first."""
    by_name = {task.name: task for task in tasks}
    return {
        names[0]: [by_name[name] for name in names]
        for stream in app.streams
        if stream.pipeline is not None
        for names in (part_names(stream, index) for index in range(stream.instances))
        if names[0] in by_name
    }


def decided(record: Evaluation, fidelity: Fidelity, reasons: Sequence[Cause]) -> Evaluation:
    """The record with its verdict: only a simulation may call an app feasible, and only if nothing
    in it is undecided; what breaks a demand breaks it whatever the undecided rest does."""
    broken = any(reason.kind != "horizon" for reason in reasons)
    good = True if fidelity == "simulate" and not reasons else None
    judged = replace(record, feasible=False if broken else good, reasons=tuple(reasons))
    return with_finite_verdict(judged)


def on_sample(
    record: Evaluation, app: App, whole: Timeline | None
) -> tuple[Evaluation, list[Cause]]:
    """The record with what is to be known of the observed jobs, and what they leave open."""
    notes = cut_notes(app)
    if whole is None:
        return replace(record, notes=(*record.notes, *notes)), []
    waiting, needed_s = undecided(app, record, whole.horizon_s)
    notes += notes_on_samples(app, record, whole)
    return replace(record, notes=(*record.notes, *notes), decided_at_s=needed_s), waiting


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


def poor(verdicts: Sequence[QualityVerdict]) -> list[Cause]:
    """Streams whose quality is below their floor."""
    return [
        Cause(f"stream {v.stream}: {v.reason}", "quality", v.stream)
        for v in verdicts
        if not v.passes
    ]


def _placed_elsewhere(app: App) -> list[Cause]:
    return [
        Cause(
            f"stream {stream.id}: placed {stream.placement!r}, and this chip has no data centre "
            "behind it (give a platform)",
            "placement",
            stream.id,
        )
        for stream in app.streams
        if stream.placement not in ("device", "auto")
    ]


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
        dram_bytes=mean.link_bytes.get("dram", 0.0),
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
        dram_bytes=sum(load.rate_hz * load.bytes_over("dram") for load in loads) * frames,
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
    verdicts = _verdicts(loads)
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


def _verdicts(loads: Sequence[Load]) -> list[QualityVerdict]:
    return [load.verdict for load in loads]

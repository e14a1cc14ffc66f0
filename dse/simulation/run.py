"""``simulate``: check, play, and put what happened into a :class:`Timeline`."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dse.hardware.chip import LINKS, Chip
from dse.hardware.kinds import core_kinds, kind_named
from dse.mapping import Program
from dse.simulation.checks import DEADLINE_SLACK, check
from dse.simulation.engine import Engine
from dse.simulation.finishing import Finishing
from dse.simulation.load import loads, reasons, too_hot
from dse.simulation.means import mean_of
from dse.simulation.plan import PowerTable
from dse.simulation.power import Floats, PowerTrace, Recorded, assemble, dynamic_w
from dse.simulation.scheduler import LiveJob
from dse.simulation.task import Hotspot, Interval, Job, Policy, Task, Timeline, Trace
from dse.simulation.usage import network_busy_s, usage
from dse.simulation.work import Work


def simulate(chip: Chip, tasks: Sequence[Task], policy: Policy, *, trace: bool = False) -> Timeline:
    """Play ``tasks`` on ``chip`` from 0 to ``policy.horizon_s``.

    Jobs are released before the horizon and the play ends there, whatever is left; an over-full
    chip ends as fast as any other and says so in ``Timeline.reasons``. With ``policy.finish_s`` it
    goes on until what was observed is decided, and ``Timeline.mean`` holds long-run means.

    Args:
        trace: also record which layer ran where and when (``Timeline.intervals``).

    Raises:
        InputError: a rate that is not positive, duplicate names, an unknown stream in a trigger, a
            ring of triggers, cores the chip lacks, a program for another chip.
    """
    return timeline(played_engine(chip, tasks, policy, trace=trace))


def played_engine(
    chip: Chip, tasks: Sequence[Task], policy: Policy, *, trace: bool = False
) -> Engine:
    """The engine of :func:`simulate` after its play; :func:`timeline` makes the record of it."""
    check(chip, tasks, policy)
    make = Engine if policy.finish_s is None else Finishing
    engine = make(chip, tasks, policy, trace=trace)
    engine.play()
    return engine


def simulate_alone(
    chip: Chip, program: Program, *, trace: bool = False, kind: str | None = None
) -> Timeline:
    """One inference alone on the chip at its own operating point; the horizon is its end.

    The task is called as the program. Nothing heats up or throttles: the inference is taken from
    a chip in its steady state. The window of the peak power is 1 ms, or the whole inference if
    that is shorter. ``kind`` of core, the first one unless named: the program was mapped for it.
    """
    chip = replace(chip, thermal=None, dvfs=None)
    cores = core_kinds(chip)[0].cores if kind is None else kind_named(chip, kind).cores
    task = Task(program.name, program, Trace((0.0,)), cores=cores[: program.cores])
    horizon_s = Work(task, (chip,), PowerTable(chip)).alone_s
    if chip.network is not None:  # which may slow it down
        horizon_s = _finish_s(chip, task, horizon_s)
    policy = Policy(scheduler="fifo", preemption="none", horizon_s=horizon_s)
    return simulate(chip, [task], policy, trace=trace)


def _finish_s(chip: Chip, task: Task, horizon_s: float) -> float:
    """When the one job of a task ends, found by playing it to ever later horizons."""
    while True:
        horizon_s *= 4.0
        (job,) = simulate(chip, [task], Policy("fifo", "none", horizon_s=horizon_s)).jobs
        if job.finish_s is not None:
            return job.finish_s


def timeline(engine: Engine) -> Timeline:
    """The record of a finished play."""
    chip, policy, horizon = engine.chip, engine.policy, engine.end_s
    ordered = sorted(engine.jobs, key=lambda job: (job.order, job.index))
    jobs = [_job(job, horizon) for job in ordered if job.root_release_s < policy.horizon_s]
    later = [_job(job, horizon) for job in ordered if job.root_release_s >= policy.horizon_s]
    completed = {task.name: 0 for task in engine.tasks}
    backlog = {task.name: 0 for task in engine.tasks}
    for job in jobs:
        if job.finish_s is not None:
            completed[job.task] += 1
        elif not job.dropped:
            backlog[job.task] += 1
    link_bytes, host_s = _moved(engine)
    busy = {f"core{core}": _length(spans) for core, spans in enumerate(engine.spans)}
    for name in LINKS:
        rate = chip.links[name].bytes_per_s if name in chip.links else 0.0
        busy[name] = link_bytes[name] / rate if rate > 0.0 else 0.0
    busy["host"] = host_s
    played = [seg for work in engine.works.values() for seg in work.all_segs()]
    busy.update(network_busy_s(played, engine.network.names))
    heat, modes = engine.control.heat, engine.modes
    recorded = Recorded(engine.table, engine.logs, engine.gates, modes, heat)
    power = assemble(chip.pmic, recorded, horizon, policy.window_s)
    load = loads(chip, engine.tasks, engine.works, policy.horizon_s, engine.network.names)
    found = Timeline(
        horizon_s=horizon,
        jobs=tuple(jobs),
        intervals=_until(engine.intervals or (), horizon),
        edges_s=_packed(power.edges),
        power_w={name: _packed(values) for name, values in power.power.items()},
        module_w=_packed(power.module),
        energy_j=power.energy_j,
        scope_energy_j=power.scope_energy_j,
        peak_power_w=power.peak_power_w,
        busy_s=busy,
        link_bytes=link_bytes,
        events=engine.events,
        completed=completed,
        scope_of=power.scope_of,
        state_energy_j=power.state_energy_j,
        static_j=power.static_j,
        offered_load=load,
        backlog=backlog,
        reasons=(
            *reasons(chip, engine.tasks, engine.works, load, backlog, policy.horizon_s),
            *(too_hot(chip, heat) if heat else ()),
        ),
        hotspots=_hotspots(engine),
        clock_hz=tuple(
            (time, modes.chips[point].f_hz)
            for time, point in zip(modes.times, modes.points, strict=True)
        ),
        junction_c=tuple(zip(heat.times, heat.celsius, strict=True)) if heat else (),
        throttled=heat.throttled if heat else 0,
        usage=usage(engine.trails, engine.network.names, engine.spans, horizon)
        if engine.trails is not None
        else None,
        core_kinds=tuple(kind.name for kind in chip.kinds for _ in kind.cores),
        kind_energy_j=_by_kind(engine, power),
        observed_s=policy.horizon_s,
        later=tuple(later),
    )
    if not isinstance(engine, Finishing):
        return found
    overloaded = any(reason.kind == "overload" for reason in found.reasons)
    return replace(found, mean=mean_of(engine, power, found, overloaded=overloaded))


def _packed(values: Floats) -> Sequence[float]:
    """Numbers that compare, and take a quarter of the room that a tuple of them would."""
    return array("d", values.tobytes())


def _until(intervals: Sequence[Interval], end_s: float) -> tuple[Interval, ...]:
    """Intervals up to the end of the play; closed forms note them ahead."""
    if all(one.end_s <= end_s for one in intervals):
        return tuple(intervals)
    return tuple(
        replace(one, end_s=min(one.end_s, end_s)) for one in intervals if one.start_s < end_s
    )


def _by_kind(engine: Engine, power: PowerTrace) -> dict[str, float]:
    """What the cores of each kind used, at work and at rest; empty if all are of one."""
    out: dict[str, float] = {}
    for kind in engine.chip.kinds:
        logs = [engine.logs[core] for core in kind.cores]
        own = {part.component for part in engine.chip.static if part.kind == kind.name}
        static = sum(joules for name, joules in power.static_j.items() if name in own)
        widths = np.diff(power.edges)
        dynamic = sum(
            float(np.sum(dynamic_w(engine.table, log, power.edges) * widths)) for log in logs
        )
        out[kind.name] = static + dynamic
    return out


def _job(job: LiveJob, horizon_s: float) -> Job:
    limit = job.release_s + (job.deadline_s - job.release_s) * (1.0 + DEADLINE_SLACK)
    finish = job.finish_s
    late = limit < horizon_s if finish is None else finish > limit
    waiting = finish is None and job.start_s is None
    dropped = job.dropped or (waiting and horizon_s > job.last_start_s)
    return Job(
        task=job.task.name,
        index=job.index,
        release_s=job.release_s,
        start_s=job.start_s,
        finish_s=finish,
        dropped=dropped,
        missed=dropped or late,
        root_release_s=job.root_release_s,
        first_stage_s=job.first_stage_s,
    )


def _moved(engine: Engine) -> tuple[dict[str, float], float]:
    """Bytes by link and seconds of the host, of all that was played."""
    moved, host_s = [0.0 for _ in LINKS], 0.0
    for work in engine.works.values():
        for seg in work.all_segs():
            for k, amount in enumerate(seg.link_bytes):
                moved[k] += seg.steps * amount
            host_s += seg.steps * seg.host_s
    return dict(zip(LINKS, moved, strict=True)), host_s


def _hotspots(engine: Engine) -> dict[str, Hotspot]:
    out: dict[str, Hotspot] = {}
    for name, work in engine.works.items():
        taken: dict[tuple[int, int], float] = {}
        alone: dict[tuple[int, int], float] = {}
        longest: dict[tuple[int, int], tuple[float, str]] = {}
        for number, plan in work.variants():
            for seg in plan.all_segs():
                key = (number, seg.layer)
                taken[key] = taken.get(key, 0.0) + seg.elapsed_s
                alone[key] = alone.get(key, 0.0) + seg.steps * seg.step_s
                if seg.elapsed_s > longest.get(key, (0.0, ""))[0]:
                    longest[key] = (seg.elapsed_s, seg.bottleneck)
        total = sum(taken.values())
        if total > 0.0:
            worst = max(taken, key=lambda key: taken[key])
            out[name] = Hotspot(
                layer=work.plans[worst[0]].layer_name(worst[1]),
                bottleneck=longest[worst][1],
                seconds=taken[worst],
                share=taken[worst] / total,
                stretch=taken[worst] / alone[worst] if alone[worst] > 0.0 else 1.0,
            )
    return out


def _length(spans: Sequence[tuple[float, float]]) -> float:
    return sum((end - start for start, end in spans), 0.0)

"""Long-run means of a play: what as long a time as was observed holds on average over all time.

Over whole periods where everything repeats; else weighted by how often what was played comes
(:mod:`dse.simulation.stretches`), and what then still lacks of a stream's stated rate counts as
jobs alone on the chip. So a mean does not depend on how much was played, and is that of the
arithmetic (:mod:`dse.evaluation`) wherever that is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dse.hardware.chip import LINKS, SCOPES
from dse.simulation.checks import rates_hz
from dse.simulation.finishing import Finishing
from dse.simulation.gating import ACTIVE, IDLE, SLEEP
from dse.simulation.periods import whole_slots
from dse.simulation.plan import SHARED, Seg
from dse.simulation.power import PowerTrace, component_names, dynamic_w
from dse.simulation.states import state_power_w
from dse.simulation.stretches import Weights, weights
from dse.simulation.task import Mean, Task, Timeline
from dse.simulation.work import Work

#: Share of a slot: a job that comes as a slot begins is in it, one that ends with it too, whatever
#: the rounding.
_AT_ONCE = 1e-9


@dataclass(frozen=True)
class _Share:
    """Of one task: jobs per second that are asked for beyond those that the weights hold, share of
    its jobs that run, seconds per second that it holds its cores, seconds it was played."""

    lacking_hz: float
    run: float
    busy: float
    played_s: float


def mean_of(engine: Finishing, power: PowerTrace, whole: Timeline, *, overloaded: bool) -> Mean:
    """The means of a finished play.

    Args:
        whole: its record, of all the time that was played.
        overloaded: more is asked for than the chip can do: what it did counts, not what was asked.
    """
    regime, horizon, end = engine.regime, engine.policy.horizon_s, engine.end_s
    exact = engine.repeats
    carried = engine.decided_s - horizon
    period = 0.0 if regime.rare else regime.slot_s
    if regime.exact and end == horizon and _same(whole_slots(regime, horizon), horizon):
        return Mean(
            horizon,
            whole.energy_j,
            whole.scope_energy_j,
            whole.busy_s,
            whole.link_bytes,
            {name: float(count) for name, count in whole.completed.items()},
            whole.kind_energy_j,
            exact,
            period,
            carried,
        )
    rates = rates_hz(engine.tasks, horizon)
    over = weights(engine.jobs, engine.served, regime, rates, horizon, end)
    shares = _shares(engine, over, rates, estimated=not (regime.exact or overloaded))
    lacking = {name: share.lacking_hz * share.run for name, share in shares.items()}
    watts = {name: over.mean(power.edges, values) for name, values in power.power.items()}
    for task in engine.tasks:
        for name, joules in _of_job(engine, task).items() if lacking[task.name] else ():
            watts[name] = watts.get(name, 0.0) + lacking[task.name] * joules
    scope_w = _by_scope(engine, over, power, watts, lacking)
    busy, moved = _use(engine, over, shares, rates, lacking)
    done = _completed(engine, over, rates, shares, counted=overloaded)
    kinds = _kinds(engine, over, power)
    return Mean(
        horizon,
        {name: value * horizon for name, value in watts.items()},
        {name: value * horizon for name, value in scope_w.items()},
        {name: value * horizon for name, value in busy.items()},
        {name: value * horizon for name, value in moved.items()},
        {name: value * horizon for name, value in done.items()},
        {name: value * horizon for name, value in kinds.items()},
        exact,
        period,
        carried,
    )


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _AT_ONCE * other


def _shares(
    engine: Finishing, over: Weights, rates: Mapping[str, float], *, estimated: bool
) -> dict[str, _Share]:
    out = {}
    rounding = _AT_ONCE * engine.regime.slot_s
    for task in engine.tasks:
        jobs = [job for job in engine.jobs if job.task is task]
        begun = sum(job.start_s is not None for job in jobs)
        gone = begun + sum(job.dropped for job in jobs)
        lacking = rates[task.name] - over.per_s([job.release_s + rounding for job in jobs])
        served = engine.served[task.name]
        out[task.name] = _Share(
            lacking if estimated else 0.0,
            begun / gone if gone else 1.0,
            over.busy(served),
            sum(stop - start for start, stop in served),
        )
    return out


def _of_job(engine: Finishing, task: Task) -> dict[str, float]:
    """Energy that one job alone on the chip adds to a chip that rests, by component, J."""
    table, work = engine.table, engine.works[task.name]
    names = component_names(table)
    out: dict[str, float] = {}
    for seg, steps in work.totals():
        row, seconds = table.rows[seg.row] if seg.row >= 0 else ({}, 1.0)
        for column, joules in row.items():
            share = joules * steps * seg.step_s / seconds
            out[names[column]] = out.get(names[column], 0.0) + share
    states = state_power_w(engine.modes.chips, engine.gates)[engine.modes.top]
    for (part, _), drawn in zip(engine.gates.sleepers, states, strict=True):
        cores = set(engine.chip.cores_of(part)) & set(work.cores)
        count = min(len(cores), work.width) if part.per_core else 1
        resting_w = drawn[-1] if len(drawn) > SLEEP else drawn[IDLE]
        name = f"static.{part.component}"
        above_j = (drawn[ACTIVE] - resting_w) * count * work.service_s
        out[name] = out.get(name, 0.0) + above_j
    return out


def _by_scope(
    engine: Finishing,
    over: Weights,
    power: PowerTrace,
    watts: Mapping[str, float],
    lacking: Mapping[str, float],
) -> dict[str, float]:
    """Mean power of the nested scopes, W. What jobs that lack add to the chip's mean is converted
    while they run, at what a job draws on top of that mean."""
    out, running = {}, 0.0
    for scope in SCOPES[:-1]:
        running += sum(value for name, value in watts.items() if power.scope_of[name] == scope)
        out[scope] = running
    pmic, supplied = (
        engine.chip.pmic,
        over.mean(power.edges, np.sum([*power.power.values()], axis=0)),
    )
    module = over.mean(power.edges, power.module)
    for task in engine.tasks:
        rate, seconds = lacking[task.name], engine.works[task.name].service_s
        if rate:
            drawn = supplied + sum(_of_job(engine, task).values()) / seconds
            module += rate * seconds * (pmic.input_w(drawn) - pmic.input_w(supplied))
    out[SCOPES[-1]] = module
    return out


def _use(
    engine: Finishing,
    over: Weights,
    shares: Mapping[str, _Share],
    rates: Mapping[str, float],
    lacking: Mapping[str, float],
) -> tuple[dict[str, float], dict[str, float]]:
    """Share of time in which each resource is busy, and bytes per second over each link."""
    busy = {f"core{core}": over.busy(spans) for core, spans in enumerate(engine.spans)}
    names = (*SHARED, *engine.network.names)
    used = dict.fromkeys(names, 0.0)
    moved = dict.fromkeys(LINKS, 0.0)
    for task in engine.tasks:
        work, share = engine.works[task.name], shares[task.name]
        alone = lacking[task.name] * work.service_s
        for core in work.cores:
            busy[f"core{core}"] += alone * work.width / len(work.cores)
        if share.played_s > 0.0:
            total, factor = _played(work, names), (share.busy + alone) / share.played_s
        else:
            total, factor = _alone(work, names), rates[task.name] * share.run
        for name, amount in total.items():
            used[name] += amount * factor
    for name in LINKS:
        moved[name] = used[name]
        rate = engine.chip.links[name].bytes_per_s if name in engine.chip.links else 0.0
        busy[name] = moved[name] / rate if rate > 0.0 else 0.0
    busy.update({name: used[name] for name in names[len(LINKS) :]})
    return busy, moved


def _played(work: Work, names: Sequence[str]) -> dict[str, float]:
    return _total(names, [(seg, seg.steps) for seg in work.all_segs()])


def _alone(work: Work, names: Sequence[str]) -> dict[str, float]:
    return _total(names, work.totals())


def _total(names: Sequence[str], played: Sequence[tuple[Seg, float]]) -> dict[str, float]:
    """Bytes over each link, seconds of the host and of each link between cores."""
    out = dict.fromkeys(names, 0.0)
    for seg, steps in played:
        for name, amount in zip(LINKS, seg.link_bytes, strict=True):
            out[name] += steps * amount
        out["host"] += steps * seg.host_s
        for name, share in zip(names[len(SHARED) :], seg.use[len(SHARED) :], strict=False):
            out[name] += steps * seg.step_s * share
    return out


def _completed(
    engine: Finishing,
    over: Weights,
    rates: Mapping[str, float],
    shares: Mapping[str, _Share],
    *,
    counted: bool,
) -> dict[str, float]:
    """Jobs of each task that end in a second."""
    out = {}
    rounding = _AT_ONCE * engine.regime.slot_s
    for task in engine.tasks:
        ends = [
            job.finish_s - rounding
            for job in engine.jobs
            if job.task is task and job.finish_s is not None
        ]
        if counted:
            out[task.name] = over.per_s(ends)
        else:
            out[task.name] = rates[task.name] * shares[task.name].run
    return out


def _kinds(engine: Finishing, over: Weights, power: PowerTrace) -> dict[str, float]:
    """Power of the cores of each kind, at work and at rest, W; empty if all are of one."""
    out: dict[str, float] = {}
    for kind in engine.chip.kinds:
        own = {part.component for part in engine.chip.static if part.kind == kind.name}
        total = np.zeros(len(power.edges) - 1)
        for core in kind.cores:
            total = total + dynamic_w(engine.table, engine.logs[core], power.edges)
        for name, values in power.power.items():
            if name.startswith("static.") and name.split(".")[1] in own:
                total = total + values
        out[kind.name] = over.mean(power.edges, total)
    return out

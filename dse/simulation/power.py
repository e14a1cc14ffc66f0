"""Power over time from what ran and what idled; energy is its integral.

Power is piecewise constant between ``edges``: a layer's energy spreads evenly over its nominal
duration and slows down with it, static power follows the states of each part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dse.hardware.chip import SCOPES, Pmic
from dse.hardware.modes import SleepState
from dse.simulation.fabric import PowerLog
from dse.simulation.gating import SLEEP, Gates
from dse.simulation.governor import Modes
from dse.simulation.plan import PowerTable
from dse.simulation.states import state_power_w
from dse.simulation.thermal import Heat, leakage_scale

Floats = NDArray[np.float64]
#: States whose energies :attr:`PowerTrace.state_energy_j` always tells apart.
STATES = ("active", "idle", "gated", "wake")


@dataclass(frozen=True)
class PowerTrace:
    """Power by component over ``edges`` (n+1 times, s; n values, W) and what follows from it."""

    edges: Floats
    power: dict[str, Floats]
    scope_of: dict[str, str]
    module: Floats
    energy_j: dict[str, float]
    scope_energy_j: dict[str, float]
    state_energy_j: dict[str, float]
    static_j: dict[str, float]
    peak_power_w: dict[str, float]


@dataclass(frozen=True)
class Recorded:
    """What a play recorded: which rows ran when, states, operating points, temperature."""

    table: PowerTable
    logs: Sequence[PowerLog]
    gates: Gates
    modes: Modes
    heat: Heat | None


def assemble(pmic: Pmic, recorded: Recorded, horizon_s: float, window_s: float) -> PowerTrace:
    """The power of the whole chip over the horizon.

    Args:
        window_s: of the peak power.
    """
    gates, modes, heat = recorded.gates, recorded.modes, recorded.heat
    times = [np.asarray(log.times) for log in recorded.logs]
    times += [np.asarray(one.times) for _, several in gates.sleepers for one in several]
    if modes.top or heat is not None:
        times.append(np.asarray([*modes.times, *(t for pulse in modes.pulses for t in pulse)]))
        times.append(np.asarray(heat.times if heat else [0.0]))
    joint = np.unique(np.concatenate([np.array([0.0, horizon_s]), *times]))
    edges = joint[joint <= horizon_s]
    starts = edges[:-1]
    widths = np.diff(edges)
    power, scope_of = _dynamic(recorded.table, recorded.logs, starts)
    static_j: dict[str, float] = {}
    state_j = dict.fromkeys(STATES, 0.0)
    points = np.asarray(modes.points)[at(modes.times, starts)]
    by_point = state_power_w(modes.chips, gates)
    for number, (part, sleepers) in enumerate(gates.sleepers):
        watts = np.array([table[number] for table in by_point])
        scale = _scale(heat, part.component, starts)
        total = np.zeros(len(starts))
        for sleeper in sleepers:
            where = at(sleeper.times, starts)
            states = np.asarray(sleeper.states)[where]
            drawn = watts[points, states] * scale + np.asarray(sleeper.extra_w)[where]
            total += drawn
            for code in np.unique(states):
                name = _state_name(gates.ladders[number], int(code))
                joules = float(np.sum((drawn * widths)[states == code]))
                state_j[name] = state_j.get(name, 0.0) + joules
        name = f"static.{part.component}"
        if scope_of.setdefault(name, part.scope) != part.scope:
            name = f"{name}.{part.scope}"
            scope_of[name] = part.scope
        power[name] = power[name] + total if name in power else total
        joules = float(np.sum(total * widths))
        static_j[part.component] = static_j.get(part.component, 0.0) + joules
    if modes.pulses:
        moving = np.zeros(len(starts))
        for start, end in modes.pulses:
            inside = (starts >= start) & (starts < end)
            moving[inside] += modes.transition_j / (end - start)
        power["static.dvfs"], scope_of["static.dvfs"] = moving, "npu"
        static_j["dvfs"] = state_j["transition"] = float(np.sum(moving * widths))
    return _sum_up(pmic, edges, power, scope_of, state_j, static_j, window_s)


def at(times: Sequence[float], when: Floats) -> NDArray[np.intp]:
    """Which entry of a step function (``times`` ascend from 0) holds at each of ``when``."""
    found: NDArray[np.intp] = np.searchsorted(np.asarray(times), when, side="right") - 1
    return found


def _scale(heat: Heat | None, component: str, starts: Floats) -> Floats | float:
    if heat is None:
        return 1.0
    scales = [leakage_scale(heat.thermal, component, celsius) for celsius in heat.celsius]
    held: Floats = np.asarray(scales)[at(heat.times, starts)]
    return held


def _state_name(steps: Sequence[tuple[float, SleepState]], code: int) -> str:
    return steps[code - SLEEP][1].name if code >= SLEEP else ("active", "idle", "wake")[code]


def module_power(pmic: Pmic, load_w: Floats) -> Floats:
    """Power at the module's supply for ``load_w``: the PMIC's ``input_w`` for whole arrays."""
    efficiency: Floats = np.interp(load_w, np.asarray(pmic.load_w), np.asarray(pmic.efficiency))
    return load_w / efficiency


def window_peak(edges_s: ArrayLike, power_w: ArrayLike, window_s: float) -> float:
    """The largest mean of piecewise-constant ``power_w`` over any window within ``edges_s``, W.

    Args:
        edges_s: n+1 ascending times.
        power_w: n values between them.
        window_s: length of the window.

    The energy in a sliding window is piecewise linear in the window's start and has its corners
    where an end of the window meets an edge, so the largest is at a corner: the result is exact.
    A window longer than the trace gives the mean over the trace.
    """
    edges, power = np.asarray(edges_s, dtype=np.float64), np.asarray(power_w, dtype=np.float64)
    first, last = float(edges[0]), float(edges[-1])
    window = min(window_s, last - first)
    energy = np.concatenate([[0.0], np.cumsum(power * np.diff(edges))])
    starts = np.concatenate([edges, edges - window])
    starts = np.clip(starts, first, last - window)
    gained = np.interp(starts + window, edges, energy) - np.interp(starts, edges, energy)
    return float(np.max(gained)) / window


def _dynamic(
    table: PowerTable, logs: Sequence[PowerLog], starts: Floats
) -> tuple[dict[str, Floats], dict[str, str]]:
    names = component_names(table)
    watts = np.zeros((len(table.rows) + 1, len(names)))  # the last row is row -1: nothing runs
    for number, (row, seconds) in enumerate(table.rows):
        for column, joules in row.items():
            watts[number, column] = joules / seconds
    ran = []
    for log in logs:
        if len(log.times) == 1 and log.rows[0] < 0:
            continue
        where = at(log.times, starts)
        ran.append((np.asarray(log.rows)[where], np.asarray(log.speeds)[where]))
    power = {}
    for column, name in enumerate(names):  # one by one: long plays have millions of edges
        total = np.zeros(len(starts))
        for rows, speeds in ran:
            total += watts[rows, column] * speeds
        power[name] = total
    scope_of = {name: scope for name, (_, scope) in zip(names, table.components, strict=True)}
    return power, scope_of


def component_names(table: PowerTable) -> list[str]:
    """Names of the columns of a table: the group of actions, with its scope if it spans several."""
    groups = [group for group, _ in table.components]
    return [
        group if groups.count(group) == 1 else f"{group}.{scope}"
        for group, scope in table.components
    ]


def dynamic_w(table: PowerTable, log: PowerLog, edges: Floats) -> Floats:
    """Power of all that ran under one log, between ``edges``, W."""
    watts = np.array([*(sum(row.values()) / seconds for row, seconds in table.rows), 0.0])
    where = at(log.times, edges[:-1])
    drawn: Floats = watts[np.asarray(log.rows)[where]] * np.asarray(log.speeds)[where]
    return drawn


def _sum_up(
    pmic: Pmic,
    edges: Floats,
    power: dict[str, Floats],
    scope_of: Mapping[str, str],
    state_j: dict[str, float],
    static_j: dict[str, float],
    window_s: float,
) -> PowerTrace:
    widths = np.diff(edges)
    by_scope: dict[str, Floats] = {}
    running = np.zeros(len(widths))
    for scope in SCOPES[:-1]:
        parts = [values for name, values in power.items() if scope_of[name] == scope]
        running = running + (np.sum(parts, axis=0) if parts else 0.0)
        by_scope[scope] = running
    module = module_power(pmic, running)
    by_scope[SCOPES[-1]] = module
    return PowerTrace(
        edges=edges,
        power=power,
        scope_of=dict(scope_of),
        module=module,
        energy_j={name: float(np.sum(values * widths)) for name, values in power.items()},
        scope_energy_j={
            scope: float(np.sum(values * widths)) for scope, values in by_scope.items()
        },
        state_energy_j=state_j,
        static_j=static_j,
        peak_power_w={
            scope: window_peak(edges, values, window_s) for scope, values in by_scope.items()
        },
    )

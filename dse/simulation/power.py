"""Power over time from what ran and what idled; energy is its integral.

Power is piecewise constant between ``edges``: a layer's energy spreads evenly over its nominal
duration and slows down with it, static power follows the states of each part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dse.hardware.chip import SCOPES, Chip, Pmic, StaticPower
from dse.simulation.fabric import PowerLog
from dse.simulation.gating import break_even_s
from dse.simulation.plan import PowerTable

Floats = NDArray[np.float64]
Span = tuple[float, float]
#: States whose energies :attr:`PowerTrace.state_energy_j` tells apart.
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
class _Steps:
    """A step function: ``values[i]`` from ``times[i]`` on; times ascend from 0."""

    times: Floats
    values: Floats

    def at(self, times: Floats) -> Floats:
        found: Floats = self.values[np.searchsorted(self.times, times, side="right") - 1]
        return found


def assemble(
    chip: Chip,
    table: PowerTable,
    logs: Sequence[PowerLog],
    spans: Sequence[Sequence[Span]],
    horizon_s: float,
    window_s: float,
) -> PowerTrace:
    """The power of the whole chip over the horizon.

    Args:
        table: what each row of the logs costs.
        logs: per core, which row ran when and how fast.
        spans: per core, when it was busy (waking included).
        window_s: of the peak power.
    """
    state_j = dict.fromkeys(STATES, 0.0)
    static: list[tuple[StaticPower, list[_Steps]]] = []
    together = merge([span for one in spans for span in one])
    for part in chip.static:
        wait = break_even_s(part, chip)
        busy = [merge(one) for one in spans] if part.per_core else [together]
        static.append((part, [_static(part, one, wait, horizon_s, state_j) for one in busy]))
    times = [np.asarray(log.times) for log in logs]
    times += [steps.times for _, several in static for steps in several]
    joint = np.unique(np.concatenate([np.array([0.0, horizon_s]), *times]))
    edges = joint[joint <= horizon_s]
    starts = edges[:-1]
    static_j: dict[str, float] = {}
    power, scope_of = _dynamic(table, logs, starts)
    for part, several in static:
        name = f"static.{part.component}"
        total = np.sum([steps.at(starts) for steps in several], axis=0)
        if scope_of.setdefault(name, part.scope) != part.scope:
            name = f"{name}.{part.scope}"
            scope_of[name] = part.scope
        power[name] = power[name] + total if name in power else total
        joules = float(np.sum(total * np.diff(edges)))
        static_j[part.component] = static_j.get(part.component, 0.0) + joules
    return _sum_up(chip.pmic, edges, power, scope_of, state_j, static_j, window_s)


def merge(spans: Sequence[Span]) -> list[Span]:
    """Spans joined where they overlap or touch, in order."""
    out: list[Span] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


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
    groups = [group for group, _ in table.components]
    names = [
        group if groups.count(group) == 1 else f"{group}.{scope}"
        for group, scope in table.components
    ]
    watts = np.zeros((len(table.rows) + 1, len(names)))  # the last row is row -1: nothing runs
    for number, (row, seconds) in enumerate(table.rows):
        for column, joules in row.items():
            watts[number, column] = joules / seconds
    total = np.zeros((len(starts), len(names)))
    for log in logs:
        if len(log.times) == 1 and log.rows[0] < 0:
            continue
        where = np.searchsorted(np.asarray(log.times), starts, side="right") - 1
        rows = np.asarray(log.rows)[where]
        total += watts[rows] * np.asarray(log.speeds)[where][:, None]
    power = {name: np.ascontiguousarray(total[:, column]) for column, name in enumerate(names)}
    scope_of = {name: scope for name, (_, scope) in zip(names, table.components, strict=True)}
    return power, scope_of


def _static(
    part: StaticPower,
    busy: Sequence[Span],
    wait_s: float,
    horizon_s: float,
    state_j: dict[str, float],
) -> _Steps:
    """Power of one part that is busy over given spans; adds its energy by state to ``state_j``."""
    times: list[float] = [0.0]
    values: list[float] = [part.idle_w]

    def add(time: float, value: float) -> None:
        times.append(time)
        values.append(value)

    free = 0.0
    for start, end in [*busy, (horizon_s, math.inf)]:
        gap = start - free
        gated = gap > wait_s
        wake_end = start
        if gated:
            off = free + wait_s
            pulse_w = part.wake_j / (start - off) if part.wake_s == 0.0 else 0.0
            if end == math.inf:
                pulse_w = 0.0
            add(off, part.gated_w + pulse_w)
            state_j["idle"] += part.idle_w * wait_s
            state_j["gated"] += part.gated_w * (start - off)
            state_j["wake"] += pulse_w * (start - off)
            if part.wake_s > 0.0 and end < math.inf:
                wake_end = min(start + part.wake_s, horizon_s)
                wake_w = part.idle_w + part.wake_j / part.wake_s
                add(start, wake_w)
                state_j["wake"] += wake_w * (wake_end - start)
        else:
            state_j["idle"] += part.idle_w * gap
        if end < math.inf:
            add(wake_end, part.active_w)
            add(end, part.idle_w)
            state_j["active"] += part.active_w * (end - wake_end)
            free = end
    return _Steps(np.asarray(times), np.asarray(values))


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

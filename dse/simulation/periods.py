"""In what time the streams of a load repeat, and what of it must be played for long-run means.

Streams that arrive at regular times repeat together after a whole number of periods of each. A mean
over such a time is the mean over all time. Streams that arrive at random, or too seldom to be
played to a common period, are *rare*: time then falls into stretches in which jobs of theirs are
at work and the rest, and how much there is of either follows from their rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.simulation.checks import rates_hz, root
from dse.simulation.task import Periodic, Task, Triggered

#: Share of a job by which a count may miss a whole number and still be one: rounding of rates.
WHOLE = 1e-6
#: Share of its jobs by which a stream may miss whole periods where no common one is short enough.
NEARLY = 2e-3
#: Most multiples of the longest period that are tried.
_MULTIPLES = 20_000
#: Runs (of a program, once) that may be played beyond the horizon for means, as a multiple of those
#: before it, and however few these are.
BEYOND, FEW_RUNS = 2.0, 400.0
#: Equal parts of the horizon that stretches are told apart by where no stream is regular.
_PARTS = 100


@dataclass(frozen=True)
class Regime:
    """What repeats. ``slot_s``: the streams that are not ``rare`` repeat in it. ``exact``: all
    streams are regular and repeat in it to the last job."""

    slot_s: float
    rare: frozenset[str] = frozenset()
    exact: bool = False


def common_s(rates: Sequence[float], least_s: float, most_s: float) -> tuple[float, bool] | None:
    """The shortest time, s, that holds whole numbers of periods of all rates.

    One up to ``least_s`` is taken before a longer one up to ``most_s``, and of each one that holds
    them to the last job before one that does so :data:`NEARLY`. The second value tells which it is;
    None if there is none.
    """
    different = sorted(set(rates))
    slowest = different[0]
    count = min(_MULTIPLES, int(most_s * slowest * (1.0 + WHOLE)))
    if count < 1:
        return None
    many = np.arange(1, count + 1)[:, None] * (np.asarray(different) / slowest)[None, :]
    missed = np.abs(many - np.rint(many))
    wholly = np.flatnonzero(np.all(missed <= WHOLE, axis=1))
    nearly = np.flatnonzero(np.all(missed <= np.maximum(WHOLE, NEARLY * many), axis=1))
    for limit_s in (least_s, most_s):
        for found, exact in ((wholly, True), (nearly, False)):
            if len(found) and (found[0] + 1) / slowest <= limit_s * (1.0 + WHOLE):
                return float(found[0] + 1) / slowest, exact
    return None


def regime_of(tasks: Sequence[Task], horizon_s: float) -> Regime:
    """What repeats in a load, given the horizon that is played anyway."""
    by_name = {task.name: task for task in tasks}
    rates = rates_hz(tasks, horizon_s)
    runs = {task.name: float(sum(stage.repeat for stage in task.parts)) for task in tasks}
    played = sum(max(1.0, rates[name] * horizon_s) * runs[name] for name in runs)
    per_s = sum(rates[name] * runs[name] for name in runs)
    most_s = max(horizon_s, max(BEYOND * played, FEW_RUNS) / per_s if per_s > 0.0 else 0.0)
    steady = {task.name for task in tasks if _regular(task, by_name)}
    starts = {root(task, by_name).name for task in tasks if task.name in steady}
    kept = sorted(starts, key=lambda name: -rates[name])
    while kept:
        found = common_s([rates[name] for name in kept], horizon_s, most_s)
        if found is not None:
            return _regime(tasks, by_name, steady, set(kept), found)
        kept.pop()
    return Regime(horizon_s / _PARTS, frozenset(by_name))


def _regime(
    tasks: Sequence[Task],
    by_name: dict[str, Task],
    steady: set[str],
    kept: set[str],
    found: tuple[float, bool],
) -> Regime:
    slot_s, whole = found
    dense = {
        task.name for task in tasks if task.name in steady and root(task, by_name).name in kept
    }
    rare = frozenset(by_name) - dense
    late = any(isinstance(task.release, Periodic) and task.release.jitter_s for task in tasks)
    return Regime(slot_s, rare, whole and not rare and not late)


def _regular(task: Task, by_name: dict[str, Task]) -> bool:
    """Whether a task's jobs come at regular times, or follow each one of a task whose do."""
    release = task.release
    while isinstance(release, Triggered):
        if release.probability < 1.0:
            return False
        release = by_name[release.after].release
    return isinstance(release, Periodic)


def whole_slots(regime: Regime, horizon_s: float) -> float:
    """The longest whole number of slots within the horizon, one at least, s."""
    return max(1, math.floor(horizon_s / regime.slot_s * (1.0 + WHOLE))) * regime.slot_s

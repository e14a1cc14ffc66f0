"""A finished play at other prices: the same jobs and times, on a chip of another temperature.

As long as the clock stays, temperature changes what things cost and not when they happen. So a play
is not repeated: the counts of its actions and the time in every state are priced anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.hardware.chip import Chip
from dse.hardware.kinds import core_kinds
from dse.simulation.engine import Engine
from dse.simulation.power import at
from dse.simulation.states import state_power_w


def reprice(engine: Engine, chip: Chip) -> None:
    """Let what a finished play recorded be at the prices of ``chip``, the same one at another
    temperature; what is made of the engine from now on is."""
    if chip is engine.chip:
        return
    points = (*(chip.dvfs.points if chip.dvfs else ()), chip)
    hot = _views(engine.modes.chips, points)
    engine.table = engine.table.repriced(hot, _ratio)
    engine.modes.chips = points
    if chip.dvfs is not None:
        engine.modes.transition_j = chip.dvfs.transition_j
    engine.chip = chip


class DieEnergy:
    """What the die used in a finished play, for any temperature of it."""

    def __init__(self, engine: Engine, end_s: float) -> None:
        self._chips = engine.modes.chips
        self._gates = engine.gates
        self._actions = _by_action(engine, end_s)
        self._state_s: list[np.ndarray] = []
        self._extra_j = 0.0
        points = np.asarray(engine.modes.points)
        for part, sleepers in engine.gates.sleepers:
            codes = 3 + len(engine.gates.ladders[len(self._state_s)])
            held = np.zeros((len(self._chips), codes))
            for sleeper in sleepers if part.scope != "die_dram" else ():
                cuts = _cuts(sleeper.times, engine.modes.times, end_s)
                starts, widths = cuts[:-1], np.diff(cuts)
                where = at(sleeper.times, starts)
                state = np.asarray(sleeper.states)[where]
                np.add.at(held, (points[at(engine.modes.times, starts)], state), widths)
                self._extra_j += float(np.sum(np.asarray(sleeper.extra_w)[where] * widths))
            self._state_s.append(held)

    def joules(self, chip: Chip) -> float:
        """Energy of the die over the play if it were ``chip``, J."""
        points = (*(chip.dvfs.points if chip.dvfs else ()), chip)
        total = self._extra_j
        views = _views(self._chips, points)
        for (_, action), (joules, cold) in self._actions.items():
            total += joules * _ratio(action, cold, views[id(cold)])
        for watts, held in zip(
            zip(*state_power_w(points, self._gates), strict=True), self._state_s, strict=True
        ):
            total += float(np.sum(np.asarray(watts) * held))
        return total


def _cuts(times: Sequence[float], others: Sequence[float], end_s: float) -> np.ndarray:
    joint = np.unique(np.concatenate([np.array([0.0, end_s]), times, others]))
    return joint[joint <= end_s]


def _by_action(engine: Engine, end_s: float) -> dict[tuple[int, str], tuple[float, Chip]]:
    """Energy of the die by chip and action over the play, at the prices it was played at."""
    table = engine.table
    runs = np.zeros(len(table.rows) + 1)  # the last one is row -1: nothing runs
    for log in engine.logs:
        times = np.minimum(np.append(np.asarray(log.times), end_s), end_s)
        np.add.at(runs, np.asarray(log.rows), np.diff(times) * np.asarray(log.speeds))
    out: dict[tuple[int, str], tuple[float, Chip]] = {}
    for (energy_j, chip), (_, seconds), played_s in zip(
        table.sources, table.rows, runs[:-1].tolist(), strict=True
    ):
        for action, joules in energy_j.items() if played_s else ():
            if chip.action_scope.get(action, "npu") == "die_dram":
                continue
            before, _ = out.get((id(chip), action), (0.0, chip))
            out[(id(chip), action)] = (before + joules * played_s / seconds, chip)
    return out


def _views(cold: Sequence[Chip], hot: Sequence[Chip]) -> dict[int, Chip]:
    """The hot chip of each cold one, operating point by point and kind by kind, by identity."""
    return {
        id(before.chip): after.chip
        for one, other in zip(cold, hot, strict=True)
        for before, after in zip(core_kinds(one), core_kinds(other), strict=True)
    }


def _ratio(action: str, cold: Chip, hot: Chip) -> float:
    """Price of an action at the hot chip over that at the cold one."""
    if action == "noc_hops":
        before, after = cold.network, hot.network
        return after.hop_j_per_bit / before.hop_j_per_bit if before and after else 1.0
    price = cold.prices.get(action, 0.0)
    return hot.prices[action] / price if price else 1.0

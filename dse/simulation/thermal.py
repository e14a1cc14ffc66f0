"""Junction temperature in a play, and what it does to leakage and to the clock."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from dse.hardware.modes import Thermal
from dse.simulation.fabric import PowerLog
from dse.simulation.gating import Gates
from dse.simulation.governor import Modes
from dse.simulation.plan import PowerTable
from dse.simulation.states import state_power_w


def leakage_scale(thermal: Thermal, component: str, celsius: float) -> float:
    """Static power of a component at a temperature over that at the chip's own; 1 if unknown."""
    row = thermal.scale.get(component)
    if row is None:
        return 1.0
    logs = [math.log(max(value, 1e-12)) for value in row]
    return float(math.exp(np.interp(celsius, thermal.grid_c, logs)))


def settle_c(thermal: Thermal, celsius: float, watts: float, seconds: float) -> float:
    """Temperature after ``seconds`` of constant power: the exact solution of the RC equation."""
    final = thermal.ambient_c + watts * thermal.resistance_k_per_w
    tau = thermal.resistance_k_per_w * thermal.capacitance_j_per_k
    return final + (celsius - final) * math.exp(-seconds / tau)


class Heat:
    """Temperature so far: ``celsius[i]`` holds from ``times[i]`` on."""

    def __init__(self, thermal: Thermal) -> None:
        self.thermal = thermal
        self.times: list[float] = [0.0]
        self.celsius: list[float] = [thermal.start_c]
        self.throttled = 0
        self.stuck_c = -math.inf

    def advance(self, now: float, die_j: float) -> float:
        """Book the die's energy since the last tick; the temperature now, C."""
        seconds = now - self.times[-1]
        watts = die_j / seconds
        self.times.append(now)
        self.celsius.append(settle_c(self.thermal, self.celsius[-1], watts, seconds))
        return self.celsius[-1]


class Meter:
    """Energy of the die since it was last read, from what has been recorded so far."""

    def __init__(
        self, modes: Modes, table: PowerTable, logs: Sequence[PowerLog], gates: Gates
    ) -> None:
        self._modes = modes
        self._table = table
        self._logs = logs
        self._gates = gates
        self._row_w: list[float] = []
        self._since = 0.0
        self._watts = state_power_w(modes.chips, gates)

    def read_j(self, now: float, thermal: Thermal, celsius: float) -> float:
        """Joules of the die since the last reading, static power at ``celsius``.

        An operating point that changed since then counts as if it had held all along.
        """
        since, self._since = self._since, now
        self._price_rows()
        joules = 0.0
        for log in self._logs:
            for index, seconds in _held(log.times, since, now):
                row = log.rows[index]
                if row >= 0:
                    joules += self._row_w[row] * log.speeds[index] * seconds
        watts = self._watts[self._modes.now]
        for states, (part, sleepers) in zip(watts, self._gates.sleepers, strict=True):
            if part.scope == "die_dram":
                continue
            scale = leakage_scale(thermal, part.component, celsius)
            for sleeper in sleepers:
                for index, seconds in _held(sleeper.times, since, now):
                    power = states[sleeper.states[index]] * scale + sleeper.extra_w[index]
                    joules += power * seconds
        return joules

    def _price_rows(self) -> None:
        table = self._table
        for row, seconds in table.rows[len(self._row_w) :]:
            die = [j for column, j in row.items() if table.components[column][1] != "die_dram"]
            self._row_w.append(sum(die) / seconds)


def _held(times: Sequence[float], since: float, now: float) -> Iterator[tuple[int, float]]:
    """Which entries of a step function hold between two times, and for how long each."""
    index = max(0, bisect_right(times, since) - 1)
    while index < len(times) and times[index] < now:
        end = times[index + 1] if index + 1 < len(times) else now
        seconds = min(end, now) - max(times[index], since)
        if seconds > 0.0:
            yield index, seconds
        index += 1

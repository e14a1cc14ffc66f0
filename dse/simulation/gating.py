"""The states of every part: when idle ones go to sleep, and what waking them costs.

A part that idles goes down its ladder of states by the lower-envelope rule, which needs no
knowledge of the future: it enters a state once it has been idle so long that having been there
from the start would have been as cheap (Irani, Shukla and Gupta, ACM TECS 2003). With one state
that is the break-even time of ski rental, ``max(wake_j / (idle_w - gated_w), wake_s)``; the energy
lost over a gap is at most about twice what the best rule with knowledge of the future loses. Die
parts are power-gated only if the chip has power gating; parts at the ``die_dram`` scope (the DRAM,
whose gated state is self-refresh) need none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dse.hardware.chip import Chip, StaticPower
from dse.hardware.modes import SleepState

#: Codes of the states that every part has; those of its ladder follow.
ACTIVE, IDLE, WAKE, SLEEP = 0, 1, 2, 3


def ladder(part: StaticPower, chip: Chip) -> list[tuple[float, SleepState]]:
    """The states that pay for a part and after how much idle time it enters each, s."""
    states = list(part.sleeps)
    if chip.power_gating or part.scope == "die_dram":
        gated = SleepState("gated", part.gated_w, wake_s=part.wake_s, wake_j=part.wake_j)
        states.append(gated)
    found: list[tuple[float, SleepState]] = []
    for state in states:
        cost_j = state.entry_j + state.wake_j
        start = _start_s(found[-1][1] if found else None, part.idle_w, state, cost_j)
        while found and start <= found[-1][0]:  # the state above never pays
            found.pop()
            start = _start_s(found[-1][1] if found else None, part.idle_w, state, cost_j)
        if start < math.inf:
            if found:  # it is reached from the state above, once that has been entered
                start = max(start, found[-1][0] + found[-1][1].entry_s)
            found.append((start, state))
    return found


def _start_s(above: SleepState | None, idle_w: float, state: SleepState, cost_j: float) -> float:
    """When the energy of a state, paid from the start of the gap, equals that of the one above."""
    watts = idle_w if above is None else above.power_w
    spent = 0.0 if above is None else above.entry_j + above.wake_j
    saved = watts - state.power_w
    if saved <= 0.0:
        return math.inf
    return max((cost_j - spent) / saved, state.entry_s + state.wake_s)


class Sleeper:
    """The states of one part of one core (or of the chip) as they come.

    ``times``, ``states`` and ``extra_w`` tell from when on it is in which state and what it draws
    beyond that state's power. What would follow if it stayed idle is always there already.
    """

    __slots__ = ("_into", "_ladder", "_ready_s", "extra_w", "part", "states", "times")

    def __init__(self, part: StaticPower, steps: list[tuple[float, SleepState]]) -> None:
        self.part = part
        self._ladder = steps
        self.times: list[float] = []
        self.states: list[int] = []
        self.extra_w: list[float] = []
        self._into: list[int] = []  # the state being entered; -1 if none
        self._ready_s = 0.0
        self.idle(0.0)

    def idle(self, now: float) -> None:
        """Nothing needs the part from now on."""
        self._add(now, IDLE, 0.0)
        above = IDLE
        for number, (wait, state) in enumerate(self._ladder):
            begin = max(now + wait, self.times[-1])  # the state above has been entered by then
            if state.entry_s > 0.0:
                self._add(begin, above, state.entry_j / state.entry_s, number)
            self._add(begin + state.entry_s, SLEEP + number, 0.0)
            above = SLEEP + number

    def take(self, now: float) -> float:
        """Something needs the part from now on; when it is awake, s."""
        while self.times and self.times[-1] >= now:
            self._pop()
        if not self.times or self.states[-1] == ACTIVE:
            if not self.times:
                self._add(now, ACTIVE, 0.0)
            return self._ready_s
        code, start, into = self.states[-1], now, self._into[-1]
        if into >= 0:  # on the way into a state: it must get there
            start = max(now, self.times[-1] + self._ladder[into][1].entry_s)
            code = SLEEP + into
        if code >= SLEEP:
            state = self._ladder[code - SLEEP][1]
            if state.wake_s > 0.0:
                self._add(start, WAKE, state.wake_j / state.wake_s)
                start += state.wake_s
            else:  # over the time asleep, or on the way there
                self.extra_w[-1] += state.wake_j / (start - self.times[-1])
        self._ready_s = start
        self._add(start, ACTIVE, 0.0)
        return start

    def _add(self, time: float, state: int, extra_w: float, into: int = -1) -> None:
        self.times.append(time)
        self.states.append(state)
        self.extra_w.append(extra_w)
        self._into.append(into)

    def _pop(self) -> None:
        self.times.pop()
        self.states.pop()
        self.extra_w.pop()
        self._into.pop()


class Gates:
    """All sleepers of a chip; tells how long a job must wait for the parts it needs to wake."""

    def __init__(self, chip: Chip) -> None:
        self.sleepers: list[tuple[StaticPower, list[Sleeper]]] = []
        self.ladders = [ladder(part, chip) for part in chip.static]
        self._of_core: list[list[Sleeper]] = [[] for _ in range(chip.cores)]
        self._of_chip: list[Sleeper] = []
        for part, steps in zip(chip.static, self.ladders, strict=True):
            cores = chip.cores_of(part)
            made = [Sleeper(part, steps) for _ in cores or (0,)]
            self.sleepers.append((part, made))
            if part.per_core:
                for core, sleeper in zip(cores, made, strict=True):
                    self._of_core[core].append(sleeper)
            else:
                self._of_chip += made
        self._busy = 0
        self._chip_ready_s = 0.0

    def take(self, cores: Sequence[int], now: float) -> float:
        """Mark cores busy; seconds until they and the shared parts are awake."""
        ready = now
        for core in cores:
            for sleeper in self._of_core[core]:
                ready = max(ready, sleeper.take(now))
        if self._busy == 0:
            for sleeper in self._of_chip:
                self._chip_ready_s = max(self._chip_ready_s, sleeper.take(now))
        self._busy += len(cores)
        return max(ready, self._chip_ready_s) - now

    def free(self, cores: Sequence[int], now: float) -> None:
        """Mark cores idle from now on."""
        for core in cores:
            for sleeper in self._of_core[core]:
                sleeper.idle(now)
        self._busy -= len(cores)
        if self._busy == 0:
            for sleeper in self._of_chip:
                sleeper.idle(now)

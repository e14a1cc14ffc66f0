"""Operating points in a play: which one holds when, and who decides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dse.hardware.chip import Chip
from dse.hardware.modes import Governor
from dse.simulation.checks import rates_hz
from dse.simulation.scheduler import LiveJob
from dse.simulation.task import Task
from dse.simulation.work import Work

#: Most jobs that the deadline-aware governor looks ahead over; more than that are late anyway.
_LOOK_AHEAD = 64


class Modes:
    """The points of a chip, slowest first (the last one is its own), and which one held when.

    ``times`` and ``points`` tell from when on which point holds. ``cap`` is the fastest allowed.
    """

    def __init__(self, chip: Chip, governor: Governor | None) -> None:
        dvfs = chip.dvfs
        self.chips: tuple[Chip, ...] = (*(dvfs.points if dvfs else ()), chip)
        self.governor: Governor = governor or (dvfs.governor if dvfs else "fixed")
        self.transition_s = dvfs.transition_s if dvfs else 0.0
        self.transition_j = dvfs.transition_j if dvfs else 0.0
        self.margin = dvfs.margin if dvfs else 0.0
        self.top = self.cap = self.now = len(self.chips) - 1
        self.times: list[float] = [0.0]
        self.points: list[int] = [self.top]
        self.pulses: list[tuple[float, float]] = []  # spans of transitions

    @property
    def fixed(self) -> bool:
        """Whether the point never changes but by throttling."""
        return self.governor == "fixed" or self.top == 0

    def set(self, time_s: float, point: int) -> None:
        self.now = point
        if self.times[-1] == time_s:
            self.points[-1] = point
        else:
            self.times.append(time_s)
            self.points.append(point)


def sustained_point(
    modes: Modes, tasks: Sequence[Task], works: Mapping[str, Work], horizon_s: float
) -> int:
    """The slowest point at which the load as a whole can meet its deadlines.

    Static voltage scaling for EDF (Pillai and Shin, SOSP 2001) with densities: on every set of
    cores, ``sum(time / min(deadline, interval))`` of the tasks that can run nowhere else must stay
    below the cores there are, less the margin. The fastest if none will do.
    """
    rates = rates_hz(tasks, horizon_s)
    used = {task.name: frozenset(works[task.name].cores) for task in tasks}
    sets = [*used.values(), frozenset().union(*used.values())]
    for point in range(modes.top):
        worst = 0.0
        for cores in sets:
            density = 0.0
            for task in tasks:
                if used[task.name] <= cores:
                    rate, work = rates[task.name], works[task.name]
                    interval = 1.0 / rate if rate > 0.0 else math.inf
                    window = min(interval, task.deadline_s or math.inf)
                    density += work.service_at_s(point) * work.width / window
            worst = max(worst, density / len(cores))
        if worst <= 1.0 - modes.margin:
            return point
    return modes.top


def sufficient_point(modes: Modes, floor: int, jobs: Sequence[LiveJob], now: float) -> int:
    """The slowest point, from ``floor`` on, at which all present jobs meet their deadlines.

    Jobs are put on their cores most urgent first, each with its remaining time at the point and the
    margin; a point other than the present one costs a transition first.
    """
    ranked = sorted(jobs, key=lambda job: job.key)[:_LOOK_AHEAD]
    for point in range(floor, modes.top):
        start = now if point == modes.now else now + modes.transition_s
        free: dict[int, float] = {}
        for job in ranked:
            need = job.remaining_s(point) * (1.0 + modes.margin)
            chosen = job.work.cores
            if job.work.width == 1:
                chosen = (min(chosen, key=lambda core: free.get(core, start)),)
            end = max(free.get(core, start) for core in chosen) + need
            free.update(dict.fromkeys(chosen, end))
            if end > job.deadline_s:
                break
        else:
            return point
    return modes.top

"""What changes the operating point of a play: the governor and the temperature."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from simpy.events import Event

from dse.hardware.chip import Chip
from dse.simulation.fabric import Clock, Fabric, PowerLog
from dse.simulation.gating import Gates
from dse.simulation.governor import Modes, sufficient_point, sustained_point
from dse.simulation.plan import PowerTable
from dse.simulation.running import Run
from dse.simulation.scheduler import LiveJob
from dse.simulation.task import Policy, Task
from dse.simulation.thermal import Heat, Meter
from dse.simulation.work import Work

#: Most updates of the temperature in one play.
_MAX_TICKS = 20_000


class Machine(Protocol):
    """What the control needs of the engine that it halts, moves and starts again."""

    chip: Chip
    tasks: tuple[Task, ...]
    policy: Policy
    clock: Clock
    fabric: Fabric
    table: PowerTable
    modes: Modes
    gates: Gates
    works: dict[str, Work]
    logs: list[PowerLog]
    runs: list[Run | None]

    def live_jobs(self) -> list[LiveJob]:
        """Jobs that run or wait now."""
        ...


class Control:
    """Sets the operating point of an engine's chip.

    ``steady``: the point can never change. ``heat`` is the temperature, None if it is left out.
    """

    def __init__(self, engine: Machine) -> None:
        self._engine = engine
        self._modes = engine.modes
        thermal = engine.chip.thermal
        self.heat = Heat(thermal) if thermal is not None else None
        self.steady = self._modes.fixed and self.heat is None
        self._meter = Meter(self._modes, engine.table, engine.logs, engine.gates)
        self._moving = False
        self._floor = self._modes.top
        if self._modes.governor == "deadline_aware":
            self._floor = sustained_point(
                self._modes, engine.tasks, engine.works, engine.policy.horizon_s
            )
        if not self._modes.fixed:  # nothing runs yet: no transition
            self._modes.set(0.0, 0 if self._modes.governor == "race_to_idle" else self._floor)

    def start(self) -> None:
        """Begin to watch the temperature."""
        if self.heat is not None:
            self._engine.clock.process(self._watch(self.heat))

    def govern(self) -> None:
        """Move to the point that the governor wants now, as far as the temperature lets it."""
        if self.steady or self._moving:
            return
        wanted = min(self._wanted(), self._modes.cap)
        if wanted != self._modes.now:
            self._moving = True
            self._engine.clock.process(self._move(wanted))

    def _wanted(self) -> int:
        modes, engine = self._modes, self._engine
        if modes.fixed:
            return modes.top
        jobs = engine.live_jobs()
        if modes.governor == "race_to_idle":
            return modes.top if jobs else 0
        return sufficient_point(modes, self._floor, jobs, engine.clock.now)

    def _move(self, point: int) -> Generator[Event, None, None]:
        """Halt, change clock and rails, go on at the new point."""
        engine, modes, clock = self._engine, self._modes, self._engine.clock
        engine.fabric.halt()
        if modes.transition_s > 0.0:
            start = clock.now
            yield clock.at(start + modes.transition_s)
            modes.pulses.append((start, clock.now))
        modes.set(clock.now, point)
        for core, run in enumerate(engine.runs):
            if run is None or run.cores[0] != core:
                continue
            run.set_point(point)
            flow = run.flow
            if flow.seg is not None and flow.end > clock.now:
                engine.fabric.swap(flow, run.counterpart(flow.seg) or flow.seg)
        engine.fabric.resume()
        self._moving = False
        self.govern()

    def _watch(self, heat: Heat) -> Generator[Event, None, None]:
        clock, modes, thermal = self._engine.clock, self._modes, heat.thermal
        tick_s = max(thermal.tick_s, self._engine.policy.horizon_s / _MAX_TICKS)
        while True:
            yield clock.at(clock.now + tick_s)
            joules = self._meter.read_j(clock.now, thermal, heat.celsius[-1])
            celsius = heat.advance(clock.now, joules)
            if celsius >= thermal.limit_c:
                lower = min(modes.cap, modes.now) - 1
                if lower >= 0:
                    modes.cap = lower
                    heat.throttled += 1
                    self.govern()
                elif not self._moving:
                    heat.stuck_c = max(heat.stuck_c, celsius)
            elif celsius <= thermal.limit_c - thermal.hysteresis_k and modes.cap < modes.top:
                modes.cap += 1
                self.govern()

"""The clock and the shared links: who progresses how fast, and when the next stretch ends.

Running segments are fluid. Each link (and the host) has a capacity of 1; a segment at full speed
takes the shares ``use`` of them. If the sum fits, all run at full speed. Otherwise speeds follow
from the chip's discipline (:mod:`dse.simulation.sharing`).

A segment is touched only when its own speed changes, so events grow with changes, and what happens
on links it does not use leaves no trace, not even in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappush

import simpy
from simpy.events import Event, EventPriority

from dse.hardware.modes import Arbitration
from dse.simulation.plan import Seg
from dse.simulation.sharing import discipline

#: Order of events at one instant: the end of a play, SimPy's urgent (0) and normal (1), then
#: scheduling decisions.
FIRST, NORMAL, DECIDE = EventPriority(-1), EventPriority(1), EventPriority(2)


class Clock(simpy.Environment):
    """A SimPy environment that also takes absolute times, so that they are exact."""

    def at(self, time_s: float, priority: EventPriority = NORMAL) -> Event:
        """An event that happens at ``time_s`` (not ``now + delay``, which may round)."""
        event = Event(self)
        event._ok = True
        event._value = None
        heappush(self._queue, (time_s, priority, next(self._eid), event))
        return event

    def call(
        self, time_s: float, what: Callable[[Event], None], priority: EventPriority = NORMAL
    ) -> None:
        """Call ``what`` at ``time_s``."""
        event = self.at(time_s, priority)
        assert event.callbacks is not None
        event.callbacks.append(what)


class PowerLog:
    """Which power row runs on a core from when on, and how fast; row -1 is nothing."""

    __slots__ = ("rows", "speeds", "times")

    def __init__(self) -> None:
        self.times: list[float] = [0.0]
        self.rows: list[int] = [-1]
        self.speeds: list[float] = [0.0]

    def note(self, time_s: float, row: int, speed: float) -> None:
        if row == self.rows[-1] and speed == self.speeds[-1]:
            return
        if time_s == self.times[-1]:
            self.rows[-1] = row
            self.speeds[-1] = speed
            return
        self.times.append(time_s)
        self.rows.append(row)
        self.speeds.append(speed)


class Flow:
    """What a core (or group of cores, led by its first) runs now: ``done`` of ``target`` steps."""

    __slots__ = (
        "alarm",
        "begun",
        "core",
        "done",
        "end",
        "log",
        "seg",
        "since",
        "speed",
        "started_s",
        "target",
    )

    def __init__(self, core: int, log: PowerLog) -> None:
        self.core = core
        self.log = log
        self.seg: Seg | None = None
        self.begun = 0.0
        self.done = 0.0
        self.target = 0.0
        self.since = 0.0
        self.speed = 1.0
        self.end = 0.0
        self.started_s = 0.0
        self.alarm: Event | None = None


Trail = list[tuple[float, Seg | None, float]]


class Fabric:
    """The flows that run now, kept in order of their cores.

    Args:
        trails: per core, the list to which (time, segment or None, speed) is added whenever that
            changes; none unless wanted.
    """

    def __init__(
        self,
        clock: Clock,
        arbitration: Arbitration = "processor_sharing",
        trails: list[Trail] | None = None,
    ) -> None:
        self.clock = clock
        self.flows: list[Flow] = []
        self.trails = trails
        self._speeds = discipline(arbitration)
        self._halted = False

    def start(self, flow: Flow, seg: Seg, done: float = 0.0) -> Event:
        """Let ``flow`` run ``seg`` from step ``done`` on; the event of its end."""
        now = self.clock.now
        if flow.seg is None:
            self.flows.append(flow)
            self.flows.sort(key=lambda one: one.core)
        flow.seg = seg
        flow.begun = flow.done = done
        flow.target = seg.count
        flow.since = flow.started_s = now
        flow.speed = 0.0
        self._share(flow)
        assert flow.alarm is not None
        return flow.alarm

    def stop(self, flow: Flow) -> None:
        """The core runs nothing; the others may speed up."""
        flow.log.note(self.clock.now, -1, 0.0)
        self.trace(flow.core, self.clock.now, None, 0.0)
        if flow.seg is None:
            return
        flow.seg = None
        flow.alarm = None
        self.flows.remove(flow)
        self._share(None)

    def alone(self, flow: Flow) -> bool:
        """Whether nothing else runs."""
        return not self.flows or (len(self.flows) == 1 and self.flows[0] is flow)

    def leave(self, flow: Flow) -> None:
        """Take out a flow that runs alone, to be advanced in closed form."""
        if flow.seg is not None:
            flow.seg = flow.alarm = None
            self.flows.remove(flow)

    def cut(self, flow: Flow) -> Event | None:
        """End the flow at its next whole step instead of the end of its segment.

        Returns:
            The event of its new end; None if it stays as it was.
        """
        seg = flow.seg
        if seg is None or seg.count == 1 or flow.end <= self.clock.now:
            return None
        done = flow.done + (self.clock.now - flow.since) * flow.speed / seg.step_s
        target = max(math.ceil(done - 1e-9), flow.begun)
        if target >= flow.target:
            return None
        flow.target = target
        self._aim(flow)
        return flow.alarm

    def settle(self) -> None:
        """Bring the progress of all flows to the present."""
        now = self.clock.now
        for flow in self.flows:
            assert flow.seg is not None
            flow.done += (now - flow.since) * flow.speed / flow.seg.step_s
            flow.since = now

    def book(self, flow: Flow) -> None:
        """Count what was played of the flow's segment since it was last counted."""
        seg = flow.seg
        assert seg is not None
        seg.steps += flow.done - flow.begun
        seg.elapsed_s += self.clock.now - flow.started_s
        flow.begun = flow.done
        flow.started_s = self.clock.now

    def swap(self, flow: Flow, seg: Seg) -> None:
        """Go on with the same step of another version of the segment; call :meth:`resume` then."""
        self.book(flow)
        flow.seg = seg

    def shift(self, flow: Flow, seconds: float) -> None:
        """Let a flow go on later as if it had gone on now."""
        flow.since += seconds
        flow.started_s += seconds
        flow.end += seconds
        alarm = self.clock.at(flow.end)
        if flow.alarm is not None and flow.alarm.callbacks:
            alarm.callbacks = flow.alarm.callbacks
            flow.alarm.callbacks = []
        flow.alarm = alarm

    def halt(self) -> None:
        """Stop all flows where they are (but those that end at this instant)."""
        self.settle()
        self._halted = True
        for flow in self.flows:
            if flow.end > self.clock.now:
                flow.speed = 0.0
                self._aim(flow)

    def resume(self) -> None:
        """Let all flows run (again), at speeds that fit their segments."""
        self.settle()
        self._halted = False
        for flow in self.flows:
            if flow.end > self.clock.now:
                flow.speed = -1.0  # whatever it was, it must be aimed anew
        self._share(None)

    def trace(self, core: int, time_s: float, seg: Seg | None, speed: float) -> None:
        if self.trails is not None:
            self.trails[core].append((time_s, seg, speed))

    def _share(self, fresh: Flow | None) -> None:
        flows = self.flows
        segs = [flow.seg for flow in flows if flow.seg is not None]
        if self._halted:
            wanted = [0.0] * len(flows)
        elif len(flows) == 1:
            wanted = [1.0 if segs[0].dominant <= 1.0 else 1.0 / segs[0].dominant]
        else:
            wanted = self._speeds(
                [seg.use for seg in segs],
                [seg.dominant for seg in segs],
                [seg.step_s for seg in segs],
            )
        now = self.clock.now
        for flow, speed in zip(flows, wanted, strict=True):
            if flow is fresh:
                flow.speed = speed
            elif speed == flow.speed or (flow.end <= now and flow.speed >= 0.0):
                continue
            else:
                assert flow.seg is not None
                if flow.speed > 0.0:
                    flow.done += (now - flow.since) * flow.speed / flow.seg.step_s
                flow.since = now
                flow.speed = speed
            self._aim(flow)

    def _aim(self, flow: Flow) -> None:
        """Set the alarm for the end of the flow at its present speed."""
        seg = flow.seg
        assert seg is not None
        if flow.speed > 0.0:
            end = flow.since + (flow.target - flow.done) * seg.step_s / flow.speed
            flow.end = max(end, self.clock.now)
            alarm = self.clock.at(flow.end)
        else:
            flow.end = math.inf
            alarm = Event(self.clock)
        if flow.alarm is not None and flow.alarm.callbacks:
            # Whoever waits for the old alarm now waits for the new one; the old one rings unheard.
            alarm.callbacks = flow.alarm.callbacks
            flow.alarm.callbacks = []
        flow.alarm = alarm
        flow.log.note(self.clock.now, seg.row, flow.speed)
        self.trace(flow.core, self.clock.now, seg, flow.speed)

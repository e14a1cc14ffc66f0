"""The clock and the shared links: who progresses how fast, and when the next stretch ends.

Running segments are fluid. Each link (and the host) has a capacity of 1; a segment at full speed
takes the shares ``use`` of them. If the sum fits, all run at full speed. Otherwise speeds follow
from progressive filling of the dominant share (dominant resource fairness, Ghodsi et al., NSDI
2011): all grow together, each until its own demand, and a link that is full stops those that use
it. With one contended link this is max-min fairness in bytes per second ("water filling").

A segment is touched only when its own speed changes, so events grow with changes, and what happens
on links it does not use leaves no trace, not even in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappush

import simpy
from simpy.events import Event, EventPriority

from dse.simulation.plan import SHARED, Seg

#: Order of events at one instant: SimPy's urgent (0) and normal (1), then scheduling decisions.
NORMAL, DECIDE = EventPriority(1), EventPriority(2)
#: A link counts as full only beyond this excess, which is rounding.
_SLACK = 1e-12


class Clock(simpy.Environment):
    """A SimPy environment that also takes absolute times, so that they are exact."""

    def at(self, time_s: float, priority: EventPriority = NORMAL) -> Event:
        """An event that happens at ``time_s`` (not ``now + delay``, which may round)."""
        event = Event(self)
        event._ok = True
        event._value = None
        heappush(self._queue, (time_s, priority, next(self._eid), event))
        return event


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


def speeds(uses: Sequence[Sequence[float]], dominants: Sequence[float]) -> list[float]:
    """Progress of each segment relative to being alone (0 to 1], by progressive filling.

    Args:
        uses: for each segment its share of every link at full speed, each at most 1.
        dominants: the largest share of each segment.
    """
    links = range(len(SHARED))
    if sum(dominants) <= 1.0 or all(sum(use[k] for use in uses) <= 1.0 + _SLACK for k in links):
        return [1.0] * len(uses)
    out = [1.0] * len(uses)
    open_ = [index for index, dominant in enumerate(dominants) if dominant > 0.0]
    taken = [0.0 for _ in links]
    while open_:
        level, full = min(dominants[index] for index in open_), -1
        for k in links:
            slope = sum(uses[index][k] / dominants[index] for index in open_)
            if slope > 0.0:
                reach = max(0.0, 1.0 - taken[k]) / slope
                if reach < level:
                    level, full = reach, k
        left = []
        for index in open_:
            if full < 0 and dominants[index] <= level:
                speed = 1.0
            elif full >= 0 and uses[index][full] > 0.0:
                speed = level / dominants[index]
            else:
                left.append(index)
                continue
            out[index] = speed
            for k in links:
                taken[k] += speed * uses[index][k]
        open_ = left
    return out


class Fabric:
    """The flows that run now, kept in order of their cores."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.flows: list[Flow] = []

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
        if flow.seg is None:
            return
        flow.seg = None
        flow.alarm = None
        self.flows.remove(flow)
        self._share(None)

    def cut(self, flow: Flow) -> None:
        """End the flow at its next whole step instead of the end of its segment."""
        seg = flow.seg
        if seg is None or seg.count == 1 or flow.end <= self.clock.now:
            return
        done = flow.done + (self.clock.now - flow.since) * flow.speed / seg.step_s
        target = max(math.ceil(done - 1e-9), flow.begun)
        if target < flow.target:
            flow.target = target
            self._aim(flow)

    def settle(self) -> None:
        """Bring the progress of all flows to the present."""
        now = self.clock.now
        for flow in self.flows:
            assert flow.seg is not None
            flow.done += (now - flow.since) * flow.speed / flow.seg.step_s
            flow.since = now

    def _share(self, fresh: Flow | None) -> None:
        flows = self.flows
        if len(flows) == 1:
            wanted = [1.0]
        else:
            segs = [flow.seg for flow in flows if flow.seg is not None]
            wanted = speeds([seg.use for seg in segs], [seg.dominant for seg in segs])
        now = self.clock.now
        for flow, speed in zip(flows, wanted, strict=True):
            if flow is fresh:
                flow.speed = speed
            elif speed == flow.speed or flow.end <= now:
                continue
            else:
                assert flow.seg is not None
                flow.done += (now - flow.since) * flow.speed / flow.seg.step_s
                flow.since = now
                flow.speed = speed
            self._aim(flow)

    def _aim(self, flow: Flow) -> None:
        """Set the alarm for the end of the flow at its present speed."""
        seg = flow.seg
        assert seg is not None
        end = flow.since + (flow.target - flow.done) * seg.step_s / flow.speed
        flow.end = max(end, self.clock.now)
        alarm = self.clock.at(flow.end)
        if flow.alarm is not None and flow.alarm.callbacks:
            # Whoever waits for the old alarm now waits for the new one; the old one rings unheard.
            alarm.callbacks = flow.alarm.callbacks
            flow.alarm.callbacks = []
        flow.alarm = alarm
        flow.log.note(self.clock.now, seg.row, flow.speed)

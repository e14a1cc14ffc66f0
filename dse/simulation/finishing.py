"""A play that goes on after its horizon until every job it observed is decided."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dse.hardware.chip import Chip
from dse.simulation.checks import MAX_JOBS, rates_hz
from dse.simulation.engine import Engine
from dse.simulation.periods import WHOLE, regime_of
from dse.simulation.scheduler import LiveJob
from dse.simulation.stretches import SETTLE, quiet
from dse.simulation.task import Policy, Task, Trace

#: How often a play is made longer to see the chip without jobs of rare streams.
_TRIES = 2
#: Share by which latencies of a job and of the one a period later may differ: parts are awake when
#: a play begins.
ALIKE = 0.01


class Finishing(Engine):
    """An engine whose policy says ``finish_s``.

    Jobs go on arriving as before, so that the last observed ones meet the company that they would;
    only jobs of chains that start before the horizon are observed. ``regime`` says what repeats,
    ``decided_s`` when the last observed job was decided (or time was up), ``repeats`` whether the
    observed jobs hold all that ever come.
    """

    def __init__(self, chip: Chip, tasks: Sequence[Task], policy: Policy, *, trace: bool) -> None:
        super().__init__(chip, tasks, policy, trace=trace)
        self.cut_s = math.inf
        self.regime = regime_of(tasks, policy.horizon_s)
        self.decided_s = policy.horizon_s
        self.repeats = False
        self._awaited_s = max((_last_s(task, policy.horizon_s) for task in tasks), default=0.0)

    def play(self) -> None:
        """Run to the horizon; until all observed jobs are decided; as far as means need."""
        horizon, finish_s = self.policy.horizon_s, self.policy.finish_s or 0.0
        self.start()
        self.run_to(horizon)
        self.open_jobs = [job for job in self.jobs if not _decided(job, horizon)]
        if self.open_jobs or self._awaited_s > horizon:
            self._finish(self.open_jobs, horizon + finish_s)
        self.decided_s = self.end_s
        if self.open_jobs:  # time is up
            pass
        elif self.regime.rare:
            self._see_quiet()
        else:
            self._see_period(horizon, self.decided_s - horizon)
        self._close(self.end_s)

    def _see_period(self, horizon_s: float, carried_s: float) -> None:
        """Go on until a whole period was seen, and of one that was observed from its start, when
        nothing was left of a period before, how the next one begins."""
        slot = self.regime.slot_s
        if slot > horizon_s * (1.0 + WHOLE):
            self._continue(slot + carried_s)
            return
        self.repeats = self.regime.exact
        if self.repeats and carried_s > 0.0 and horizon_s < slot + carried_s:
            self._continue(max(self.end_s, slot + 2.0 * carried_s))
            self.repeats = self._begins_alike(slot, carried_s)

    def _begins_alike(self, slot_s: float, until_s: float) -> bool:
        """Whether the jobs released up to a time fare as those one slot later."""
        rates = rates_hz(self.tasks, self.policy.horizon_s)
        found = {(job.task.name, job.index): job for job in self.jobs}
        for job in self.jobs:
            if job.release_s >= until_s:
                continue
            later = round(rates[job.task.name] * slot_s)
            image = found.get((job.task.name, job.index + later))
            if image is not None and job.dropped and image.dropped:
                continue
            if image is None or job.finish_s is None or image.finish_s is None:
                return False
            took_s, takes_s = job.finish_s - job.release_s, image.finish_s - image.release_s
            late, lates = job.finish_s > job.due_s, image.finish_s > image.due_s
            if late != lates or abs(takes_s - took_s) > ALIKE * took_s:
                return False
        return True

    def _finish(self, open_jobs: list[LiveJob], last_s: float) -> None:
        """Go on until no observed job is open, or time is up."""
        clock, awaited_s = self.clock, min(self._awaited_s, last_s)
        chunk = max(work.service_s for work in self.works.values())
        while open_jobs or clock.now < awaited_s:
            if self.expected_s >= last_s or len(self.jobs) >= MAX_JOBS:
                break
            stop = min(last_s, self.expected_s + chunk)
            self.expect(self.expected_s, stop)
            self.expected_s, chunk = stop, 2.0 * chunk
            while (open_jobs or clock.now < awaited_s) and clock.peek() <= stop:
                clock.step()
                self.events += 1
                while open_jobs and _decided(open_jobs[-1], clock.now):
                    open_jobs.pop()
        self.end_s = self.expected_s if open_jobs else max(clock.now, self.policy.horizon_s)

    def _see_quiet(self) -> None:
        """Go on until the rest of the load was seen without jobs of rare streams."""
        slot = self.regime.slot_s
        for _ in range(_TRIES):
            if quiet(self.jobs, self.regime, self.end_s).any():
                return
            self._continue((math.floor(self.end_s / slot) + SETTLE + 1) * slot)

    def _continue(self, end_s: float) -> None:
        if end_s > self.expected_s:
            self.expect(self.expected_s, end_s)
            self.expected_s = end_s
        self.run_to(end_s)
        self.end_s = end_s


def _last_s(task: Task, horizon_s: float) -> float:
    """When the last job of a recording is released that belongs to a chain from before the horizon;
    0 if all are before it."""
    release = task.release
    if not isinstance(release, Trace) or release.roots_s is None:
        return 0.0
    pairs = zip(release.times_s, release.roots_s, strict=True)
    return max((time for time, root in pairs if root < horizon_s <= time), default=0.0)


def _decided(job: LiveJob, now: float) -> bool:
    """Whether what becomes of a job is known: finished, dropped, or late without having begun."""
    return job.decided or (job.start_s is None and now > job.due_s)

"""Leaping over runs that repeat: jobs of many equal runs (tokens) side by side on several cores.

When a run of a program ends and everything on the chip is as it was when the run before it ended,
what happened in between happens again until a job arrives or one of those at work goes on to other
work. It is then written down as often as it fits, not played. Alone on the chip a job needs none of
this (:meth:`dse.simulation.running.Run.play_ahead`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dse.simulation.fabric import Fabric, PowerLog
from dse.simulation.plan import Plan
from dse.simulation.running import Run

#: Share of a segment by which two states may differ and still be one: rounding.
_SAME = 1e-9
#: Fewest periods worth a leap.
_FEWEST = 2


@dataclass(frozen=True)
class _Mark:
    """How things stood at the end of a run: ``key`` and ``done`` of all that runs, what had been
    counted of each plan, how long the power logs were."""

    time_s: float
    key: tuple[object, ...]
    done: tuple[float, ...]
    rounds: tuple[int, ...]
    counted: tuple[tuple[Plan, list[float], list[float]], ...]
    logged: tuple[int, ...]


class Leaps:
    """Marks of one play. ``logs`` of all cores."""

    def __init__(self, fabric: Fabric, logs: Sequence[PowerLog]) -> None:
        self._fabric = fabric
        self._logs = logs
        self._marks: dict[int, _Mark] = {}

    def over(
        self, run: Run, runs: Sequence[Run | None], epoch: int, limit_s: float
    ) -> float | None:
        """Leap as far as all repeats, at the end of a run of ``run``; until when, or None.

        Args:
            runs: on each core; nothing may wait.
            epoch: a number that changes whenever a job comes, starts or ends.
            limit_s: when the next job arrives.
        """
        others = [
            one
            for core, one in enumerate(runs)
            if one is not None and one is not run and one.cores[0] == core
        ]
        mark = self._mark(run, others, epoch)
        before = self._marks.get(id(run))
        if mark is None:
            self._marks.pop(id(run), None)
            return None
        self._marks[id(run)] = mark
        if before is None or before.key != mark.key or not _close(before.done, mark.done):
            return None
        period_s = mark.time_s - before.time_s
        made = [now - then for now, then in zip(mark.rounds, before.rounds, strict=True)]
        if min(made) < 1 or period_s <= 0.0:
            return None
        times = int((limit_s - mark.time_s) / period_s * (1.0 - _SAME))
        for one, rounds in zip((run, *others), made, strict=True):
            job = one.job
            times = min(times, (job.work.parts[job.part][1] - 1 - job.rounds) // rounds)
        if times < _FEWEST:
            return None
        self._leap(before, mark, times, period_s)
        for one, rounds in zip((run, *others), made, strict=True):
            one.job.rounds += times * rounds
            if one is not run:
                self._fabric.shift(one.flow, times * period_s)
        del self._marks[id(run)]
        return mark.time_s + times * period_s

    def _mark(self, run: Run, others: Sequence[Run], epoch: int) -> _Mark | None:
        """How things stand; None if something is under way that does not repeat."""
        if not others or len(self._fabric.flows) != len(others) + 1:
            return None
        now = self._fabric.clock.now
        key: list[object] = [epoch, id(run.job), run.job.part]
        done = []
        for one in others:
            flow, job = one.flow, one.job
            seg = flow.seg
            if seg is None or job.position >= len(one.plan.segs):
                return None
            if seg is not one.plan.segs[job.position]:
                return None
            key += [id(job), job.part, job.position]
            reached = flow.done + (now - flow.since) * flow.speed / seg.step_s
            # What is under way must also have begun alike: it is counted when it ends.
            spent = (now - flow.started_s) / seg.step_s
            done += [value / seg.count for value in (reached, flow.begun, spent)]
        plans = {id(one.plan): one.plan for one in (run, *others)}
        return _Mark(
            now,
            tuple(key),
            tuple(done),
            tuple(one.job.rounds for one in (run, *others)),
            tuple(
                (plan, [seg.steps for seg in plan.segs], [seg.elapsed_s for seg in plan.segs])
                for plan in plans.values()
            ),
            tuple(len(log.times) for log in self._logs),
        )

    def _leap(self, before: _Mark, mark: _Mark, times: int, period_s: float) -> None:
        """Count and log so many more periods like the last one."""
        for plan, steps, elapsed in before.counted:
            for seg, then, then_s in zip(plan.segs, steps, elapsed, strict=True):
                seg.steps += times * (seg.steps - then)
                seg.elapsed_s += times * (seg.elapsed_s - then_s)
        for log, first in zip(self._logs, before.logged, strict=True):
            at, rows, speeds = log.times[first:], log.rows[first:], log.speeds[first:]
            for number in range(1, times + 1):
                log.times.extend([time + number * period_s for time in at])
            log.rows.extend(rows * times)
            log.speeds.extend(speeds * times)


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(abs(a - b) <= _SAME for a, b in zip(one, other, strict=True))

"""Who is next: urgency of jobs, and the ready queues they wait in."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence

from dse.simulation.checks import DEADLINE_SLACK, root
from dse.simulation.task import Periodic, Poisson, Policy, Task, Trace
from dse.simulation.work import Work

Key = tuple[float, float, int, int]


class LiveJob:
    """A job in the making.

    ``part`` and ``rounds``: which part of its work runs and how often that has run already;
    ``origin_s``: release of the job, or of the one that it continues; deadlines count from there.
    ``due_s``: the deadline with room for rounding: later than that it is missed.
    ``position`` and ``done``: the next segment of its program and its finished steps.
    """

    __slots__ = (
        "deadline_s",
        "done",
        "dropped",
        "due_s",
        "finish_s",
        "first_stage_s",
        "index",
        "key",
        "last_start_s",
        "order",
        "origin_s",
        "part",
        "position",
        "release_s",
        "root_release_s",
        "rounds",
        "start_s",
        "task",
        "work",
    )

    def __init__(
        self,
        task: Task,
        order: int,
        work: Work,
        index: int,
        release_s: float,
        root_s: float,
        origin_s: float,
    ) -> None:
        self.task = task
        self.order = order
        self.work = work
        self.part = self.rounds = 0
        self.index = index
        self.release_s = release_s
        self.root_release_s = root_s
        self.origin_s = origin_s
        due = origin_s if task.deadline_from == "release" else root_s
        self.deadline_s = math.inf if task.deadline_s is None else due + task.deadline_s
        self.due_s = release_s + (self.deadline_s - release_s) * (1.0 + DEADLINE_SLACK)
        self.last_start_s = math.inf
        if task.late == "drop":
            self.last_start_s = self.deadline_s
        elif task.late == "skip":
            self.last_start_s = self.deadline_s - work.alone_s + 1e-9 * (task.deadline_s or 0.0)
        self.start_s: float | None = None
        self.finish_s: float | None = None
        self.first_stage_s: float | None = None
        self.dropped = False
        self.position = 0
        self.done = 0.0
        self.key: Key = (0.0, 0.0, 0, 0)

    @property
    def decided(self) -> bool:
        """Whether it has finished or was dropped."""
        return self.finish_s is not None or self.dropped

    @property
    def begun(self) -> bool:
        """Whether a run of its program was left in the middle."""
        return self.position > 0 or self.done > 0.0

    def next_run(self, now: float) -> bool:
        """Go on to the next run of a program, which has just ended; False if that was the last."""
        self.position = 0
        self.rounds += 1
        if self.rounds == self.work.parts[self.part][1]:
            if self.part == 0 and self.task.stages:
                self.first_stage_s = now
            self.part += 1
            self.rounds = 0
            return self.part < len(self.work.parts)
        return True

    def remaining_s(self, point: int) -> float:
        """Time of the rest alone at an operating point, s."""
        return self.work.remaining_s(self.part, self.rounds, self.position, self.done, point)


def period_s(task: Task, by_name: Mapping[str, Task]) -> float:
    """The period that rate-monotonic scheduling ranks by: that of the start of the task's chain."""
    release = root(task, by_name).release
    if isinstance(release, Periodic | Poisson):
        return 1.0 / release.rate_hz
    assert isinstance(release, Trace)
    times = release.times_s
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else math.inf


class Urgency:
    """The order of jobs under a policy: smaller keys go first, and no two are equal."""

    def __init__(self, tasks: Sequence[Task], policy: Policy) -> None:
        by_name = {task.name: task for task in tasks}
        self._scheduler = policy.scheduler
        self._period = {task.name: period_s(task, by_name) for task in tasks}

    def key(self, job: LiveJob) -> Key:
        if self._scheduler == "edf":
            rank = job.deadline_s
        elif self._scheduler == "fixed":
            rank = float(job.task.priority)
        elif self._scheduler == "rm":
            rank = self._period[job.task.name]
        else:
            rank = job.release_s
        return (rank, job.release_s, job.order, job.index)


class Queue:
    """Waiting jobs that may use the same cores; ``width`` cores each, taken together."""

    def __init__(self, cores: tuple[int, ...], width: int) -> None:
        self.width = width
        self.cores = cores[:width] if width > 1 else cores
        self._heap: list[tuple[Key, LiveJob]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def waiting(self) -> list[LiveJob]:
        """Jobs that wait, in no order."""
        return [job for _, job in self._heap]

    def push(self, job: LiveJob) -> None:
        heapq.heappush(self._heap, (job.key, job))

    def pop(self) -> LiveJob:
        return heapq.heappop(self._heap)[1]

    def head(self, now: float) -> LiveJob | None:
        """The most urgent job, once late ones that may be dropped are dropped."""
        heap = self._heap
        while heap:
            job = heap[0][1]
            if job.start_s is not None or now <= job.last_start_s:
                return job
            job.dropped = True
            heapq.heappop(heap)
        return None

    def place(self, free: Sequence[bool]) -> tuple[int, ...] | None:
        """The cores for the head: all of a group, or the first that is free; None if it waits."""
        if self.width > 1:
            return self.cores if all(free[core] for core in self.cores) else None
        for core in self.cores:
            if free[core]:
                return (core,)
        return None

"""Who is next: urgency of jobs, and the ready queues they wait in."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence

from dse.simulation.checks import root
from dse.simulation.plan import Plan
from dse.simulation.task import Periodic, Poisson, Policy, Task, Trace

Key = tuple[float, float, int, int]


class LiveJob:
    """A job in the making. ``position`` and ``done``: the next segment and its finished steps."""

    __slots__ = (
        "deadline_s",
        "done",
        "dropped",
        "finish_s",
        "index",
        "key",
        "last_start_s",
        "order",
        "plan",
        "position",
        "release_s",
        "start_s",
        "task",
    )

    def __init__(self, task: Task, order: int, plan: Plan, index: int, release_s: float) -> None:
        self.task = task
        self.order = order
        self.plan = plan
        self.index = index
        self.release_s = release_s
        self.deadline_s = math.inf if task.deadline_s is None else release_s + task.deadline_s
        self.last_start_s = math.inf
        if task.late == "drop":
            self.last_start_s = self.deadline_s
        elif task.late == "skip":
            self.last_start_s = self.deadline_s - plan.service_s + 1e-9 * (task.deadline_s or 0.0)
        self.start_s: float | None = None
        self.finish_s: float | None = None
        self.dropped = False
        self.position = 0
        self.done = 0.0
        self.key: Key = (0.0, 0.0, 0, 0)


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

"""A job while it holds its cores."""

from __future__ import annotations

from dse.simulation.fabric import Flow
from dse.simulation.plan import Plan, Seg
from dse.simulation.scheduler import LiveJob


class Run:
    """A job on its cores, from dispatch to completion or preemption.

    ``plan``: of the part that runs, at the operating point that holds.
    """

    __slots__ = ("cores", "flow", "job", "layer_since_s", "plan", "since_s", "wake_s")

    def __init__(
        self, job: LiveJob, cores: tuple[int, ...], flow: Flow, since_s: float, wake_s: float
    ) -> None:
        self.job = job
        self.cores = cores
        self.flow = flow
        self.since_s = self.layer_since_s = since_s
        self.wake_s = wake_s
        self.plan: Plan

    def set_point(self, point: int) -> None:
        """Take the plan of the part that runs now at an operating point."""
        self.plan = self.job.work.plan(self.job.part, point, self.cores)

    def counterpart(self, seg: Seg) -> Seg | None:
        """What ``seg``, which runs now, is in :attr:`plan`."""
        if seg.stage == "refill":
            return self.plan.refill(self.job.position)
        if seg.stage == "save":
            return self.plan.save(self.job.position)
        return self.plan.segs[self.job.position]

"""A job while it holds its cores."""

from __future__ import annotations

from dse.simulation.fabric import Flow
from dse.simulation.plan import Plan, Seg
from dse.simulation.scheduler import LiveJob


class Run:
    """A job on its cores, from dispatch to completion or preemption.

    ``plan``: of the part that runs, at the operating point that holds.
    """

    __slots__ = ("ahead", "cores", "flow", "job", "layer_since_s", "plan", "since_s", "wake_s")

    def __init__(
        self, job: LiveJob, cores: tuple[int, ...], flow: Flow, since_s: float, wake_s: float
    ) -> None:
        self.job = job
        self.cores = cores
        self.flow = flow
        self.since_s = self.layer_since_s = since_s
        self.wake_s = wake_s
        self.plan: Plan
        #: Time and segment from which on it was last advanced in closed form.
        self.ahead: tuple[float, int] | None = None

    def set_point(self, point: int) -> None:
        """Take the plan of the part that runs now at an operating point."""
        self.plan = self.job.work.plan(self.job.part, point, self.cores)

    def take_back(self, end_s: float) -> None:
        """Uncount what was advanced in closed form beyond the end of the play."""
        if self.ahead is None:
            return
        time, first = self.ahead
        for seg in self.plan.segs[first : self.job.position]:
            stop = time + seg.count * seg.step_s
            if stop > end_s:
                undone_s = stop - max(time, end_s)
                seg.steps -= undone_s / seg.step_s
                seg.elapsed_s -= undone_s
            time = stop

    def counterpart(self, seg: Seg) -> Seg | None:
        """What ``seg``, which runs now, is in :attr:`plan`."""
        if seg.stage == "refill":
            return self.plan.refill(self.job.position)
        if seg.stage == "save":
            return self.plan.save(self.job.position)
        return self.plan.segs[self.job.position]

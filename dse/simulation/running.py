"""A job while it holds its cores."""

from __future__ import annotations

from collections.abc import Callable

from dse.simulation.fabric import Fabric, Flow
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

    def play_ahead(
        self, fabric: Fabric, limit_s: float, note: Callable[[Run, Seg, float], None]
    ) -> float | None:
        """Play whole segments alone, up to a time or the end of the program, adding up as they are
        played one by one; when the last of them ends, None if none fits.

        Args:
            note: told at the end of each layer but the last.
        """
        job, flow, segs = self.job, self.flow, self.plan.segs
        time, position = fabric.clock.now, job.position
        if time + segs[position].count * segs[position].step_s > limit_s:
            return None
        fabric.leave(flow)
        self.ahead = (time, position)
        while position < len(segs):
            seg = segs[position]
            end = time + seg.count * seg.step_s
            if end > limit_s:
                break
            flow.log.note(time, seg.row, 1.0)
            fabric.trace(flow.core, time, seg, 1.0)
            seg.steps += seg.count
            seg.elapsed_s += end - time
            time = end
            position += 1
            if position < len(segs) and segs[position].layer != seg.layer:
                note(self, seg, time)
        job.position = position
        return time

    def has_output(self, before: bool) -> bool:
        """Whether a tile of the layer (or fused group) that comes next was made and is still in the
        buffer, after it was played ahead; ``before``: whether one was when that began."""
        assert self.ahead is not None
        position, segs = self.job.position, self.plan.segs
        if position == len(segs):
            return False
        for seg in reversed(segs[self.ahead[1] : position]):
            if not self.plan.together(seg.layer, segs[position].layer):
                return False
            if seg.stage == "steps":
                return True
        return before

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

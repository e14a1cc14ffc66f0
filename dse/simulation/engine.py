"""The play itself: sources release jobs, a dispatcher places them, a process per core runs them."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from simpy.events import Event

from dse.hardware.chip import Chip
from dse.simulation.fabric import DECIDE, Clock, Fabric, Flow, PowerLog
from dse.simulation.gating import Gates
from dse.simulation.plan import Plan, PowerTable, Seg
from dse.simulation.release import Dice, release_times
from dse.simulation.scheduler import LiveJob, Queue, Urgency
from dse.simulation.task import Interval, Policy, Task, Triggered

Play = Generator[Event, None, None]


class Run:
    """A job on its cores, from dispatch to completion or preemption."""

    __slots__ = ("cores", "flow", "job", "since_s", "wake_s")

    def __init__(
        self, job: LiveJob, cores: tuple[int, ...], flow: Flow, since_s: float, wake_s: float
    ) -> None:
        self.job = job
        self.cores = cores
        self.flow = flow
        self.since_s = since_s
        self.wake_s = wake_s


class Engine:
    """One simulation; after :meth:`play` its attributes hold what happened.

    Args:
        fine: play segment by segment even where whole jobs could be advanced at once (for tests).
    """

    def __init__(
        self, chip: Chip, tasks: Sequence[Task], policy: Policy, *, trace: bool, fine: bool = False
    ) -> None:
        self.chip = chip
        self.tasks = tuple(tasks)
        self.policy = policy
        self.clock = Clock()
        self.fabric = Fabric(self.clock)
        self.table = PowerTable(chip)
        self.plans = {task.name: Plan(task.name, task.program, chip, self.table) for task in tasks}
        self.logs = [PowerLog() for _ in range(chip.cores)]
        self.spans: list[list[tuple[float, float]]] = [[] for _ in range(chip.cores)]
        self.jobs: list[LiveJob] = []
        self.intervals: list[Interval] | None = [] if trace else None
        self.events = 0
        self._urgency = Urgency(tasks, policy)
        self._gates = Gates(chip)
        self._queues: dict[tuple[tuple[int, ...], int], Queue] = {}
        self._queue_of: dict[str, Queue] = {}
        for task in tasks:
            key = (task.cores, task.program.cores)
            queue = self._queues.setdefault(key, Queue(task.cores, task.program.cores))
            self._queue_of[task.name] = queue
        self._runs: list[Run | None] = [None] * chip.cores
        self._held: list[LiveJob | None] = [None] * chip.cores
        self._go = [Event(self.clock) for _ in range(chip.cores)]
        self._released = dict.fromkeys(self.plans, 0)
        self._followers: dict[str, list[tuple[int, Task, Dice]]] = {}
        self._waiting = 0
        self._deciding = False
        self._whole_jobs = not fine and self._undisturbed()

    def play(self) -> None:
        """Run to the horizon, events at the horizon itself included."""
        clock, horizon = self.clock, self.policy.horizon_s
        for order, task in enumerate(self.tasks):
            if isinstance(task.release, Triggered):
                dice = Dice(self.policy.seed, task.name, task.release.probability)
                followers = self._followers.setdefault(task.release.after, [])
                followers.append((order, task, dice))
            else:
                times = release_times(task, self.policy.seed, horizon)
                clock.process(self._source(order, task, times))
        for core in range(self.chip.cores):
            clock.process(self._core(core))
        events, step, peek = 0, clock.step, clock.peek
        while peek() <= horizon:
            step()
            events += 1
        self.events = events
        self._close(horizon)

    # Arrivals and decisions

    def _undisturbed(self) -> bool:
        """Whether a running job has the chip to itself and cannot be preempted."""
        used = {core for task in self.tasks for core in task.cores}
        together = len(used) == 1 or all(task.program.cores == len(used) for task in self.tasks)
        policy = self.policy
        return together and (policy.preemption == "none" or policy.scheduler == "fifo")

    def _source(self, order: int, task: Task, times: list[float]) -> Play:
        for time in times:
            yield self.clock.at(time)
            self._release(order, task)

    def _release(self, order: int, task: Task) -> None:
        index = self._released[task.name]
        self._released[task.name] = index + 1
        job = LiveJob(task, order, self.plans[task.name], index, self.clock.now)
        job.key = self._urgency.key(job)
        self.jobs.append(job)
        self._enqueue(job)

    def _enqueue(self, job: LiveJob) -> None:
        self._queue_of[job.task.name].push(job)
        self._waiting += 1
        self._decide_soon()

    def _decide_soon(self) -> None:
        """Decide once everything else of this instant has happened."""
        if not self._deciding:
            self._deciding = True
            event = self.clock.at(self.clock.now, DECIDE)
            assert event.callbacks is not None
            event.callbacks.append(self._decide)

    def _decide(self, _: Event) -> None:
        """Place waiting jobs, most urgent first; a group that must wait keeps its free cores."""
        self._deciding = False
        now = self.clock.now
        free = [run is None for run in self._runs]
        blocked: set[int] = set()
        while any(free):
            best: tuple[LiveJob, Queue] | None = None
            for number, queue in enumerate(self._queues.values()):
                job = None if number in blocked else queue.head(now)
                if job is not None and (best is None or job.key < best[0].key):
                    best, best_number = (job, queue), number
            if best is None:
                break
            job, queue = best
            cores = queue.place(free)
            if cores is None:
                blocked.add(best_number)
                cores = queue.cores if queue.width > 1 else ()
            else:
                queue.pop()
                self._begin(job, cores)
            for core in cores:
                free[core] = False
        self._waiting = sum(len(queue) for queue in self._queues.values())
        if self._waiting and self.policy.preemption == "segment":
            for core, run in enumerate(self._runs):
                if run is not None and run.cores[0] == core and self._wanted(run):
                    self.fabric.cut(run.flow)

    def _begin(self, job: LiveJob, cores: tuple[int, ...]) -> None:
        now = self.clock.now
        if job.start_s is None:
            job.start_s = now
        wake_s = self._gates.take(cores, now)
        run = Run(job, cores, Flow(cores[0], self.logs[cores[0]]), now, wake_s)
        for core in cores:
            self._runs[core] = run
        self._go[cores[0]].succeed()

    def _wanted(self, run: Run) -> bool:
        """Whether a more urgent job waits that could start if this run gave up its cores."""
        now = self.clock.now
        for queue in self._queues.values():
            if not any(core in queue.cores for core in run.cores):
                continue
            job = queue.head(now)
            if job is None or not job.key < run.job.key:
                continue
            others = [self._runs[core] for core in queue.cores]
            if queue.width == 1:
                if all(other is not None for other in others):
                    return True
            elif all(other is None or job.key < other.job.key for other in others):
                return True
        return False

    # Cores

    def _core(self, core: int) -> Play:
        clock, runs = self.clock, self._runs
        while True:
            yield self._go[core]
            self._go[core] = Event(clock)
            run = runs[core]
            assert run is not None
            if run.wake_s > 0.0:
                yield clock.at(clock.now + run.wake_s)
            if self._whole_jobs:
                yield self._advance_whole(run)
                ended = True
            else:
                ended = yield from self._run(run)
            self._end(run, ended)

    def _run(self, run: Run) -> Generator[Event, None, bool]:
        """Play the job segment by segment; False if it was preempted."""
        fabric, flow, job = self.fabric, run.flow, run.job
        clock, policy = self.clock, self.policy
        plan, segs = job.plan, job.plan.segs
        by_layer, by_step = policy.preemption == "layer", policy.preemption == "segment"
        held = self._held[run.cores[0]]
        if (job.position or job.done) and held is not job:
            refill = plan.refill(job.position if not job.done else job.position)
            if refill is not None:
                yield from self._stretch(run, refill)
        for core in run.cores:
            self._held[core] = job
        begun = clock.now
        while True:
            seg = segs[job.position]
            start = clock.now
            yield fabric.start(flow, seg, job.done)
            done = flow.target
            seg.steps += done - job.done
            seg.elapsed_s += clock.now - start
            if done < seg.count:
                job.done = done
            else:
                job.done = 0.0
                job.position += 1
            if job.position == len(segs):
                self._note(run, seg, begun)
                return True
            follower = segs[job.position]
            if follower.layer != seg.layer:
                self._note(run, seg, begun)
                begun = clock.now
            elif by_layer:
                continue
            stops = by_layer or (by_step and follower.stage != "drain")
            if stops and self._waiting and self._wanted(run):
                if begun < clock.now:
                    self._note(run, seg, begun)
                return False

    def _stretch(self, run: Run, seg: Seg) -> Play:
        start = self.clock.now
        yield self.fabric.start(run.flow, seg)
        seg.steps += 1.0
        seg.elapsed_s += self.clock.now - start
        self._note(run, seg, start)

    def _advance_whole(self, run: Run) -> Event:
        """Play a whole job alone in closed form, exactly as segment by segment; its end."""
        job, log = run.job, run.flow.log
        segs, horizon = job.plan.segs, self.policy.horizon_s
        time = begun = self.clock.now
        last = len(segs) - 1
        for index, seg in enumerate(segs):
            log.note(time, seg.row, 1.0)
            end = time + seg.count * seg.step_s
            if end > horizon:
                job.position = index
                job.done = (horizon - time) / seg.step_s
                seg.steps += job.done
                seg.elapsed_s += horizon - time
                self._note(run, seg, begun, horizon)
                return self.clock.at(end)
            seg.steps += seg.count
            seg.elapsed_s += end - time
            time = end
            if index == last or segs[index + 1].layer != seg.layer:
                self._note(run, seg, begun, time)
                begun = time
        log.note(time, -1, 0.0)
        job.position, job.done = len(segs), 0.0
        return self.clock.at(time)

    def _end(self, run: Run, finished: bool) -> None:
        now, job = self.clock.now, run.job
        if not self._whole_jobs:
            self.fabric.stop(run.flow)
        for core in run.cores:
            self._runs[core] = None
            self.spans[core].append((run.since_s, now))
        self._gates.free(run.cores, now)
        if not finished:
            self._enqueue(job)
            return
        job.finish_s = now
        for core in run.cores:
            self._held[core] = None
        for order, task, dice in self._followers.get(job.task.name, ()):
            if dice.hits(job.index) and now < self.policy.horizon_s:
                self._release(order, task)
        if self._waiting:
            self._decide_soon()

    def _note(self, run: Run, seg: Seg, start_s: float, end_s: float | None = None) -> None:
        """Record an interval for the trace, one per core of the run."""
        if self.intervals is None:
            return
        end_s = self.clock.now if end_s is None else end_s
        job, name = run.job, run.job.plan.layer_name(seg.layer)
        layer = f"{name} (refill)" if seg.stage == "refill" else name
        for core in run.cores:
            self.intervals.append(
                Interval(core, job.task.name, job.index, layer, start_s, end_s, seg.bottleneck)
            )

    def _close(self, horizon: float) -> None:
        """Account for what is still running at the horizon."""
        self.clock.at(horizon)
        while self.clock.now < horizon:
            self.clock.step()
        self.fabric.settle()
        for core, run in enumerate(self._runs):
            if run is None:
                continue
            self.spans[core].append((run.since_s, horizon))
            seg = run.flow.seg
            if seg is not None and run.cores[0] == core:
                done = run.flow.done - run.flow.begun
                seg.steps += done
                self._note(run, seg, run.flow.started_s)

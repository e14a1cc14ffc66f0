"""The play itself: sources release jobs, a dispatcher places them, a process per core runs them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Generator, Sequence

from simpy.events import Event

from dse.hardware.chip import Chip
from dse.simulation.control import Control
from dse.simulation.fabric import DECIDE, FIRST, Clock, Fabric, Flow, PowerLog, Trail
from dse.simulation.gating import Gates
from dse.simulation.governor import Modes
from dse.simulation.leap import Leaps
from dse.simulation.noc import Network
from dse.simulation.plan import PowerTable, Seg
from dse.simulation.release import Dice, release_times
from dse.simulation.running import Run
from dse.simulation.scheduler import LiveJob, Queue, Urgency
from dse.simulation.task import Interval, Policy, Task, Trace, Triggered
from dse.simulation.work import Work

Play = Generator[Event, None, None]


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
        self.trails: list[Trail] | None = [[] for _ in range(chip.cores)] if trace else None
        self.fabric = Fabric(self.clock, chip.arbitration, self.trails)
        self.table = PowerTable(chip)
        self.modes = Modes(chip, policy.governor)
        self.network = Network(chip)
        self.works = {
            task.name: Work(task, self.modes.chips, self.table, self.network) for task in tasks
        }
        self.logs = [PowerLog() for _ in range(chip.cores)]
        self.spans: list[list[tuple[float, float]]] = [[] for _ in range(chip.cores)]
        self.served: dict[str, list[tuple[float, float]]] = {task.name: [] for task in tasks}
        self.jobs: list[LiveJob] = []
        self.intervals: list[Interval] | None = [] if trace else None
        self.events = 0
        self._urgency = Urgency(tasks, policy)
        self.gates = Gates(chip)
        self._queues: dict[tuple[tuple[int, ...], int], Queue] = {}
        self._queue_of: dict[str, Queue] = {}
        for task in tasks:
            key = (task.cores, task.program.cores)
            queue = self._queues.setdefault(key, Queue(task.cores, task.program.cores))
            self._queue_of[task.name] = queue
        self.runs: list[Run | None] = [None] * chip.cores
        self._held: list[LiveJob | None] = [None] * chip.cores
        self._go = [Event(self.clock) for _ in range(chip.cores)]
        self._released = dict.fromkeys(self.works, 0)
        self._followers: dict[str, list[tuple[int, Task, Dice]]] = {}
        self._waiting = 0
        self._deciding = False
        #: Where closed forms are cut off, and where the play ends.
        self.cut_s = self.end_s = policy.horizon_s
        self.expected_s = policy.horizon_s  # all arrivals up to then are on the clock
        #: Observed jobs released after the horizon are added to it, once it is one.
        self.open_jobs: list[LiveJob] | None = None
        # Jobs of one task never preempt each other, nor do any under first in, first out.
        self._by_layer = policy.preemption == "layer"
        self._by_step = policy.preemption == "segment"
        self._whole = policy.scheduler == "fifo" or len(tasks) < 2
        self._whole = self._whole or policy.preemption == "none"
        if not self._whole:
            for work in self.works.values():
                for plan in work.plans:
                    plan.prepare_extras()
        self.control = Control(self)
        #: Whether a job that runs while no other does may be advanced in closed form.
        self._solo = self.control.steady and chip.network is None and not fine
        self._closed = self._solo and self._one_at_a_time() and (self._whole or self._by_layer)
        self._leaps = Leaps(self.fabric, self.logs) if self._solo and not trace else None
        self._epoch = 0
        self._next_s: dict[int, float] = {}  # when each source releases its next job

    def play(self) -> None:
        """Run to the horizon, events at the horizon itself included."""
        self.start()
        self.run_to(self.policy.horizon_s)
        self._close(self.end_s)

    def start(self) -> None:
        """Begin: cores, arrivals before the horizon, temperature."""
        for order, task in enumerate(self.tasks):
            if isinstance(task.release, Triggered):
                dice = Dice(self.policy.seed, task.name, task.release.probability)
                followers = self._followers.setdefault(task.release.after, [])
                followers.append((order, task, dice))
        self.expect(0.0, self.policy.horizon_s)
        for core in range(self.chip.cores):
            self.clock.process(self._core(core))
        self.control.start()

    def expect(self, start_s: float, stop_s: float) -> None:
        """Let the jobs arrive that are released from one time up to another."""
        for order, task in enumerate(self.tasks):
            if not isinstance(task.release, Triggered):
                times = release_times(task, self.policy.seed, stop_s)
                first = bisect_left(times, start_s)
                roots = task.release.roots_s if isinstance(task.release, Trace) else None
                roots = None if roots is None else roots[first:]
                self.clock.process(self._source(order, task, times[first:], roots))

    def run_to(self, end_s: float) -> None:
        """Let everything up to and at a time happen."""
        events, step, peek = 0, self.clock.step, self.clock.peek
        while peek() <= end_s:
            step()
            events += 1
        self.events += events

    # Arrivals and decisions

    def _one_at_a_time(self) -> bool:
        """Whether only one job can run at any time, so that nobody shares its links."""
        used = {core for task in self.tasks for core in task.cores}
        return len(used) == 1 or all(task.program.cores == len(used) for task in self.tasks)

    def _source(
        self, order: int, task: Task, times: Sequence[float], roots: Sequence[float] | None
    ) -> Play:
        source = len(self._next_s)
        for number, time in enumerate(times):
            self._next_s[source] = time
            yield self.clock.at(time)
            self._release(order, task, root_s=None if roots is None else roots[number])
        self._next_s[source] = math.inf

    def _release(
        self, order: int, task: Task, cause: LiveJob | None = None, root_s: float | None = None
    ) -> None:
        index = self._released[task.name]
        self._released[task.name] = index + 1
        now = self.clock.now
        if root_s is None:
            root_s = now if cause is None else cause.root_release_s
        origin_s = now if cause is None or not task.continues else cause.origin_s
        job = LiveJob(task, order, self.works[task.name], index, now, root_s, origin_s)
        job.key = self._urgency.key(job)
        self.jobs.append(job)
        if self.open_jobs is not None and root_s < self.policy.horizon_s:
            self.open_jobs.append(job)
        self._enqueue(job)

    def _enqueue(self, job: LiveJob) -> None:
        self._epoch += 1
        self._queue_of[job.task.name].push(job)
        self._waiting += 1
        self._decide_soon()

    def _decide_soon(self) -> None:
        """Decide once everything else of this instant has happened."""
        if not self._deciding:
            self._deciding = True
            self.clock.call(self.clock.now, self._decide, DECIDE)

    def _decide(self, _event: Event) -> None:
        """Place waiting jobs, most urgent first; a group that must wait keeps its free cores."""
        self._deciding = False
        now = self.clock.now
        queues = list(self._queues.values())
        free = [run is None for run in self.runs]
        blocked: set[int] = set()
        while any(free):
            heads = [
                (job.key, number, job)
                for number, queue in enumerate(queues)
                if number not in blocked and (job := queue.head(now)) is not None
            ]
            if not heads:
                break
            _, number, job = min(heads)
            queue = queues[number]
            cores = queue.place(free)
            if cores is None:
                blocked.add(number)
                cores = queue.cores if queue.width > 1 else ()
            else:
                queue.pop()
                self._begin(job, cores)
            for core in cores:
                free[core] = False
        self._waiting = sum(len(queue) for queue in queues)
        if self._waiting and self._by_step:
            for core, run in enumerate(self.runs):
                if run is not None and run.cores[0] == core and self._wanted(run):
                    self.fabric.cut(run.flow)
        self.control.govern()

    def live_jobs(self) -> list[LiveJob]:
        """Jobs that run or wait now."""
        out = [
            run.job
            for core, run in enumerate(self.runs)
            if run is not None and run.cores[0] == core
        ]
        for queue in self._queues.values():
            out += queue.waiting()
        return out

    def _begin(self, job: LiveJob, cores: tuple[int, ...]) -> None:
        now = self.clock.now
        if job.start_s is None:
            job.start_s = now
        self._epoch += 1
        wake_s = self.gates.take(cores, now)
        run = Run(job, cores, Flow(cores[0], self.logs[cores[0]]), now, wake_s)
        run.set_point(self.modes.now)
        for core in cores:
            self.runs[core] = run
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
            others = [self.runs[core] for core in queue.cores]
            if queue.width == 1:
                if all(other is not None for other in others):
                    return True
            elif all(other is None or job.key < other.job.key for other in others):
                return True
        return False

    # Cores

    def _core(self, core: int) -> Play:
        clock, runs = self.clock, self.runs
        while True:
            yield self._go[core]
            self._go[core] = Event(clock)
            run = runs[core]
            assert run is not None
            if run.wake_s > 0.0:
                yield clock.at(clock.now + run.wake_s)
            finished = yield from self._run(run)
            self._end(run, finished)

    def _run(self, run: Run) -> Generator[Event, None, bool]:
        """Play the job segment by segment; False if it was preempted."""
        clock, fabric, flow, job = self.clock, self.fabric, run.flow, run.job
        # Who came while it woke up or loaded again found nothing that could be cut short.
        unseen = clock.now > run.since_s
        evicted = any(self._held[core] is not job for core in run.cores)
        if evicted and job.begun:
            yield from self._stretch(run, run.plan.refill(job.position))
            unseen = True
        for core in run.cores:
            self._held[core] = job
        run.layer_since_s = clock.now
        made = False  # whether a tile of output has come to the buffer that is not put away yet
        while True:
            if self._closed:
                yield self._advance(run)
                segs = run.plan.segs
                seg = segs[job.position - 1]
            elif (alone := self._advance_alone(run)) is not None:
                yield alone
                unseen, made = False, run.has_output(made)
                segs = run.plan.segs
                seg = segs[job.position - 1]
            else:
                yield from self._delay(run, run.plan.segs[job.position])
                end = fabric.start(flow, run.plan.segs[job.position], job.done)
                if unseen and self._by_step and self._waiting and self._wanted(run):
                    end = fabric.cut(flow) or end
                unseen = False
                yield end
                segs, played = run.plan.segs, flow.seg
                assert played is not None
                seg, flow.done = played, flow.target
                made = made or (seg.stage == "steps" and flow.done > job.done)
                fabric.book(flow)
                if flow.done < seg.count:
                    job.done = flow.done
                else:
                    job.done = 0.0
                    job.position += 1
            if job.position == len(segs):
                self._note(run, seg, clock.now)
                if not job.next_run(clock.now):
                    return True
                run.set_point(self.modes.now)
                if self._waiting and self._wanted(run):
                    return False
                if (there := self._leap(run)) is not None:
                    yield there
                continue
            follower = segs[job.position]
            inside = run.plan.together(follower.layer, seg.layer)
            made = made and inside
            if follower.layer != seg.layer:
                self._note(run, seg, clock.now)
                self.control.govern()
            if inside:
                stops = self._by_step and follower.stage != "drain"
            else:
                stops = self._by_layer or self._by_step
            if stops and self._waiting and self._wanted(run):
                self._note(run, seg, clock.now)
                if inside and made and seg.stage == "steps":
                    yield from self._stretch(run, run.plan.save(job.position))
                return False

    def _delay(self, run: Run, seg: Seg) -> Play:
        """Wait for the first byte of a transfer to cross the network between the cores."""
        if seg.delay_s > 0.0:
            self.fabric.stop(run.flow)
            yield self.clock.at(self.clock.now + seg.delay_s)

    def _stretch(self, run: Run, seg: Seg | None) -> Play:
        """Play a refill or a save; nothing if there is none."""
        if seg is None:
            return
        run.layer_since_s = self.clock.now
        yield from self._delay(run, seg)
        yield self.fabric.start(run.flow, run.counterpart(seg) or seg)
        played = run.flow.seg
        assert played is not None
        run.flow.done = run.flow.target
        self.fabric.book(run.flow)
        if self._closed:  # what follows does not pass through the fabric
            self.fabric.stop(run.flow)
        self._note(run, played, self.clock.now)

    def _advance(self, run: Run) -> Event:
        """Play alone to the end of the layer (or job) in closed form, added up as :meth:`_run`
        does segment by segment, to the last bit; the event of that end."""
        job, log, core = run.job, run.flow.log, run.cores[0]
        segs, horizon = run.plan.segs, self.cut_s
        time, position = self.clock.now, job.position
        run.ahead = (time, position)
        stop = len(segs) if self._whole else run.plan.layer_end[position]
        while position < stop:
            seg = segs[position]
            log.note(time, seg.row, 1.0)
            self.fabric.trace(core, time, seg, 1.0)
            end = time + seg.count * seg.step_s
            if end > horizon:
                job.position, job.done = position, (horizon - time) / seg.step_s
                seg.steps += job.done
                seg.elapsed_s += horizon - time
                self._note(run, seg, horizon)
                return self.clock.at(end)
            seg.steps += seg.count
            seg.elapsed_s += end - time
            time = end
            position += 1
            if position < stop and segs[position].layer != seg.layer:
                self._note(run, seg, time)
        job.position = position
        return self.clock.at(time)

    def _advance_alone(self, run: Run) -> Event | None:
        """Play on in closed form while no other job runs or waits: whole segments up to the next
        event, or to the end of the program; the event of that end, None if none fits."""
        if not self._solo or self._waiting or run.job.done > 0.0 or not self.fabric.alone(run.flow):
            return None
        limit_s = min(self.clock.peek(), self.expected_s)
        end_s = run.play_ahead(self.fabric, limit_s, self._note)
        return None if end_s is None else self.clock.at(end_s)

    def _leap(self, run: Run) -> Event | None:
        """Leap over runs that repeat, between two runs of a program; the event of the end."""
        if self._leaps is None or self._waiting or len(self.fabric.flows) < 2:
            return None
        limit_s = min(self.expected_s, *self._next_s.values(), math.inf)
        there_s = self._leaps.over(run, self.runs, self._epoch, limit_s)
        return None if there_s is None else self.clock.at(there_s)

    def _end(self, run: Run, finished: bool) -> None:
        now, job = self.clock.now, run.job
        self._epoch += 1
        self.fabric.stop(run.flow)
        for core in run.cores:
            self.runs[core] = None
            self.spans[core].append((run.since_s, now))
        self.served[job.task.name].append((run.since_s, now))
        self.gates.free(run.cores, now)
        if not finished:
            self._enqueue(job)
            return
        for core in run.cores:
            self._held[core] = None
        if drain_s := job.work.drain_at_s(self.modes.now):
            self.clock.call(now + drain_s, lambda _event: self._complete(job))
        else:
            self._complete(job)
        if self._waiting or not self.control.steady:
            self._decide_soon()

    def _complete(self, job: LiveJob) -> None:
        """The results of a job are out."""
        now = job.finish_s = self.clock.now
        for order, task, dice in self._followers.get(job.task.name, ()):
            if dice.hits(job.index) and now < self.cut_s:
                self._release(order, task, job)

    def _note(self, run: Run, seg: Seg, end_s: float) -> None:
        """Record what ran since the last note, one interval per core of the run."""
        start_s, run.layer_since_s = run.layer_since_s, end_s
        if self.intervals is None or start_s == end_s:
            return
        job, name = run.job, run.plan.layer_name(seg.layer)
        layer = f"{name} ({seg.stage})" if seg.stage in ("refill", "save") else name
        for core in run.cores:
            self.intervals.append(
                Interval(core, job.task.name, job.index, layer, start_s, end_s, seg.bottleneck)
            )

    def _close(self, end_s: float) -> None:
        """Account for what is still running at the end."""
        self.clock.at(end_s, FIRST)
        self.clock.step()
        self.fabric.settle()
        for core, run in enumerate(self.runs):
            if run is None:
                continue
            self.spans[core].append((run.since_s, end_s))
            if run.cores[0] != core:
                continue
            self.served[run.job.task.name].append((run.since_s, end_s))
            if run.flow.seg is not None:
                self.fabric.book(run.flow)
                self._note(run, run.flow.seg, end_s)
            elif self.cut_s > end_s:
                run.take_back(end_s)

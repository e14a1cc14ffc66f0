"""Playing an app on device, link and data centre together.

The device is played by the simulator. What leaves it queues for the link (first come, first
served, each direction for itself), is lost with the link's unavailability, waits for a data-centre
chip and is served there. Streams that follow a remote one are released by its replies, so device
and link are played in turn until the releases no longer change: cause comes before effect by at
least one trip, so each round settles more of the time and the last one is exact.

Waiting in the data centre is drawn from the usual two-moment approximation of a queue with ``c``
servers and fixed service at the stated utilization ``u`` (Sakasegawa 1977): a request waits with
probability ``u ** (sqrt(2 (c + 1)) - 1)``, and then an exponential time of mean
``service / (2 c (1 - u))``.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dse.apps import App, Stream
from dse.apps.tasks import Pipeline, stream_task, task_name
from dse.errors import InputError
from dse.evaluation.loads import stream_rate_hz
from dse.evaluation.placement import Leg, Placed
from dse.hardware.chip import Platform
from dse.simulation.engine import Engine
from dse.simulation.release import Dice, generator, release_times
from dse.simulation.run import played_engine
from dse.simulation.run import timeline as timeline_of
from dse.simulation.task import Job, Policy, Task, Timeline, Trace

#: Rounds of device and link after which the play gives up (each settles at least one trip's time).
MAX_ROUNDS = 1000


@dataclass(frozen=True)
class PlatformPlay:
    """What happened: the device's timeline and the engine that played it, the observed jobs by
    stream instance, and of those of each stream that leaves the device the share that was sent and
    the share that was answered."""

    timeline: Timeline
    engine: Engine
    jobs: tuple[Job, ...]
    sent: Mapping[str, float]
    answered: Mapping[str, float]
    rounds: int


@dataclass
class _Trip:
    """A job on its way out and back."""

    stream: Stream
    task: str
    index: int
    release_s: float
    root_s: float
    ready_s: float
    first_s: float | None = None
    finish_s: float | None = None
    lost: bool = False


Events = list[tuple[float, int, str, _Trip]]


@dataclass
class _Remote:
    """One round of link and data centre over given device jobs."""

    app: App
    platform: Platform
    legs: Mapping[str, Leg]
    policy: Policy
    heads: frozenset[str]
    trips: list[_Trip] = field(default_factory=list)
    spawned: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=dict)
    _free_s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _number: Iterator[int] = field(default_factory=itertools.count)
    _dice: dict[str, Dice] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _draws: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)
    _events: Events = field(default_factory=list)

    def play(self, device: Mapping[str, Sequence[Job]], own: Mapping[str, list[float]]) -> None:
        """Everything that leaves the device, given its jobs and the releases of cloud streams."""
        for stream in self.app.streams:
            for number in range(stream.instances):
                name = task_name(stream, number)
                if stream.id in self.legs and stream.id in self.heads:
                    for job in device.get(name, ()):
                        if job.finish_s is not None:
                            start, root = job.release_s, job.root_release_s
                            trip = _Trip(stream, name, job.index, start, root, job.finish_s)
                            self._depart(trip)
                elif stream.id in self.legs and stream.after is None:
                    for index, time in enumerate(own[name]):
                        self._depart(_Trip(stream, name, index, time, time, time))
        # Device jobs that trigger what runs elsewhere.
        for stream in self.app.streams:
            if stream.id in self.legs:
                continue
            for number in range(stream.instances):
                jobs = device.get(task_name(stream, number), ())
                done = [(job.finish_s, job) for job in jobs if job.finish_s is not None]
                for finish, job in sorted(done, key=lambda pair: pair[0]):
                    root = job.root_release_s
                    self._follow(stream, number, job.index, finish, root, remote_only=True)
        while self._events:
            time, _, kind, trip = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(time, trip)

    @property
    def last_s(self) -> float:
        """Nothing leaves the device from then on."""
        return self.policy.horizon_s + (self.policy.finish_s or 0.0)

    def _count(self, into: dict[str, int], trip: _Trip) -> None:
        """One more job of a stream, if it is an observed one."""
        if trip.root_s < self.policy.horizon_s:
            into[trip.stream.id] = into.get(trip.stream.id, 0) + 1

    def _depart(self, trip: _Trip) -> None:
        self.trips.append(trip)
        heapq.heappush(self._events, (trip.ready_s, next(self._number), "up", trip))

    def _transfer(self, way: int, time: float, amount: float, rate: float) -> float:
        start = max(time, self._free_s[way])
        self._free_s[way] = start + amount / rate
        assert self.platform.link is not None
        return self._free_s[way] + self.platform.link.rtt_s / 2.0

    def _up(self, time: float, trip: _Trip) -> None:
        link, leg = self.platform.link, self.legs[trip.stream.id]
        assert link is not None
        if time >= self.last_s:
            return
        self._count(self.sent, trip)
        arrive = self._transfer(0, time, leg.up_bytes, link.up_bytes_per_s)
        luck, waits, long = self._draw(trip)
        if luck >= link.availability:
            trip.lost = True
            return
        begin = arrive + self._wait_s(leg, waits, long)
        trip.first_s = begin + leg.first_s + link.rtt_s / 2.0
        self._count(self.served, trip)
        done = begin + leg.service_s
        heapq.heappush(self._events, (done, next(self._number), "reply", trip))

    def _reply(self, time: float, trip: _Trip) -> None:
        link, leg = self.platform.link, self.legs[trip.stream.id]
        assert link is not None
        finish = self._transfer(1, time, leg.reply_bytes, link.down_bytes_per_s)
        heapq.heappush(self._events, (finish, next(self._number), "done", trip))

    def _done(self, time: float, trip: _Trip) -> None:
        trip.finish_s = time
        number = 0 if trip.stream.instances == 1 else int(trip.task.rpartition(".")[2])
        self._follow(trip.stream, number, trip.index, time, trip.root_s, remote_only=False)

    def _follow(
        self,
        stream: Stream,
        number: int,
        index: int,
        time: float,
        root: float,
        *,
        remote_only: bool,
    ) -> None:
        """Release what follows a finished job."""
        if time >= self.last_s:
            return
        for follower in self.app.streams:
            if follower.after != stream.id:
                continue
            whole = follower.id in self.legs and follower.id not in self.heads
            if remote_only and not whole:
                continue  # the device's own simulation does that
            for own in range(follower.instances):
                if own % stream.instances != number:
                    continue
                name = task_name(follower, own)
                dice = self._dice.setdefault(
                    name, Dice(self.policy.seed, name, follower.probability)
                )
                if not dice.hits(index):
                    continue
                if whole:
                    count = self._numbers.get(name, 0)
                    self._numbers[name] = count + 1
                    self._depart(_Trip(follower, name, count, time, root, time))
                else:
                    self.spawned.setdefault(name, []).append((time, root))

    def _draw(self, trip: _Trip) -> tuple[float, float, float]:
        """Three numbers of a job: the same ones whatever else happens."""
        drawn = self._draws.setdefault(trip.task, [])
        if len(drawn) <= trip.index:
            rng = generator(self.policy.seed, f"{trip.task}#link")
            count = 1 << max(6, trip.index.bit_length() + 1)
            drawn[:] = [tuple(row) for row in rng.random((count, 3)).tolist()]
        return drawn[trip.index]

    def _wait_s(self, leg: Leg, waits: float, long: float) -> float:
        terms = self.platform.cloud
        assert terms is not None
        servers, busy = self.platform.chips[1].cores, terms.utilization
        if waits >= busy ** (math.sqrt(2.0 * (servers + 1)) - 1.0):
            return 0.0
        mean = leg.service_s / (2.0 * servers * (1.0 - busy))
        return -mean * math.log(1.0 - long)


def play(app: App, placed: Sequence[Placed], platform: Platform, policy: Policy, *, trace: bool
         ) -> PlatformPlay:  # fmt: skip
    """All streams at their placements, from 0 to the horizon."""
    legs = {place.stream.id: place.leg for place in placed if place.leg is not None}
    heads = frozenset(p.stream.id for p in placed if p.leg is not None and p.local is not None)
    own = _own_releases(app, placed, legs, heads, policy)
    releases: dict[str, list[tuple[float, float]]] = {}
    rounds = 0
    while True:
        rounds += 1
        if rounds > MAX_ROUNDS:
            raise InputError(
                f"device and link did not settle in {MAX_ROUNDS} rounds",
                field="horizon_s",
                mend="shorten the horizon, or place chained streams on one side",
            )
        tasks = _device_tasks(app, placed, platform, legs, releases)
        engine = played_engine(platform.chip, tasks, policy, trace=trace)
        timeline = timeline_of(engine)
        device = _by_task((*timeline.jobs, *timeline.later))
        round_ = _Remote(app, platform, legs, policy, heads)
        round_.play(device, own)
        found = {name: sorted(times) for name, times in round_.spawned.items()}
        if found == releases:
            break
        releases = found
    jobs = [job for name, some in device.items() for job in some if _stream_of(name) not in legs]
    jobs += _merged(round_, device, heads, timeline.horizon_s)
    jobs = [job for job in jobs if job.root_release_s < policy.horizon_s]
    seen = Counter(_stream_of(job.task) for job in jobs)
    return PlatformPlay(
        timeline=timeline,
        engine=engine,
        jobs=tuple(jobs),
        sent={name: round_.sent.get(name, 0) / seen[name] for name in legs if seen[name]},
        answered={name: round_.served.get(name, 0) / seen[name] for name in legs if seen[name]},
        rounds=rounds,
    )


def _stream_of(task: str) -> str:
    return task.partition(".")[0]


def _own_releases(
    app: App,
    placed: Sequence[Placed],
    legs: Mapping[str, Leg],
    heads: frozenset[str],
    policy: Policy,
) -> dict[str, list[float]]:
    """Release times of streams that run in the data centre from the start."""
    out: dict[str, list[float]] = {}
    for place in placed:
        stream = place.stream
        if stream.id not in legs or stream.id in heads or stream.after is not None:
            continue
        runs = place.load.runs
        assert runs is not None
        assert not isinstance(runs, Pipeline)
        for index in range(stream.instances):
            task = stream_task(app, stream, index, runs, (0,))
            last_s = policy.horizon_s + (policy.finish_s or 0.0)
            out[task.name] = release_times(task, policy.seed, last_s)
    return out


def _device_tasks(
    app: App,
    placed: Sequence[Placed],
    platform: Platform,
    legs: Mapping[str, Leg],
    releases: Mapping[str, Sequence[tuple[float, float]]],
) -> list[Task]:
    """What the device runs; streams behind a remote one at the times its replies gave."""
    link = platform.link
    assert link is not None
    tasks = []
    for place in placed:
        runs = place.local.runs if place.local else None
        if runs is None or place.local is None or isinstance(runs, Pipeline):
            continue
        stream = place.stream
        for index in range(stream.instances):
            task = stream_task(app, stream, index, runs, place.local.allowed)
            if stream.after in legs:
                task = replace(task, release=_replies(app, stream, releases.get(task.name, ())))
            if place.leg is not None and task.deadline_s is not None:
                rest = task.deadline_s - place.leg.isolated_s(link)
                task = replace(task, deadline_s=max(rest, place.local.latency_s))
            tasks.append(task)
    return tasks


def _by_task(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    out: dict[str, list[Job]] = {}
    for job in jobs:
        out.setdefault(job.task, []).append(job)
    return out


def _replies(app: App, stream: Stream, pairs: Sequence[tuple[float, float]]) -> Trace:
    """Releases by replies that came over the link: their times, and the roots of their chains."""
    rate = stream_rate_hz(app, stream) / stream.instances
    return Trace(
        tuple(time for time, _ in pairs),
        length_s=len(pairs) / rate if pairs else None,
        roots_s=tuple(root for _, root in pairs),
    )


def _merged(
    round_: _Remote, device: Mapping[str, Sequence[Job]], heads: frozenset[str], end_s: float
) -> list[Job]:
    """Jobs of remote and split streams from release to reply; ``end_s``: of the device's play."""
    out: list[Job] = []
    gone = {(trip.task, trip.index) for trip in round_.trips}
    for trip in round_.trips:
        finish = trip.finish_s
        due = trip.release_s + (trip.stream.due_s or math.inf) * (1.0 + 1e-9)
        late = finish > due if finish is not None else due < end_s
        first = trip.first_s if trip.stream.request and finish is not None else None
        out.append(
            Job(
                task=trip.task,
                index=trip.index,
                release_s=trip.release_s,
                start_s=trip.release_s,
                finish_s=finish,
                dropped=trip.lost,
                missed=late or trip.lost,
                root_release_s=trip.root_s,
                first_stage_s=first,
            )
        )
    for name in device:
        if _stream_of(name) in heads:
            out.extend(
                replace(job, finish_s=None)
                for job in device[name]
                if (job.task, job.index) not in gone
            )
    return out

"""What each stream of an app asks of a chip: how often, for how long, how many bytes and joules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dse.apps import App, QualityVerdict, Stream, judge_quality
from dse.apps.score import stream_quality
from dse.apps.tasks import Pipeline, Runs
from dse.errors import InputError
from dse.evaluation.core_choice import Seat, built, preferred, seats
from dse.evaluation.energy import counted_j, dynamic_by_scope_j, rest_w
from dse.evaluation.model_run import link_totals
from dse.evaluation.room import Allotment, Allotments
from dse.evaluation.terms import Fidelity
from dse.hardware.chip import Chip
from dse.hardware.kinds import core_kinds
from dse.mapping import (
    Objective,
    Program,
    chip_number,
    map_network,
    program_interval_s,
    program_latency_s,
    restarted,
    roofline,
)
from dse.registry import Remembered
from dse.simulation.pipeline import bytes_between, pipeline_parts
from dse.simulation.task import Stage
from dse.workload import Workload

#: Mapped networks remembered: neighbours in a search often differ only in what mapping does not
#: see (converter, host, package, volume).
PROGRAMS = 32
_programs = Remembered("evaluation.loads.programs", PROGRAMS)
#: Bounds remembered: a design's is asked for before it is chosen and when it is evaluated, and
#: neighbours that differ in one network share the others.
BOUNDS = 2048
_rooflines = Remembered("evaluation.loads.rooflines", BOUNDS)


@dataclass(frozen=True)
class Part:
    """One network of a stream, run ``repeat`` times in a row per job.

    Times, bytes and joules are of one run; ``interval_s`` is for how long it holds its cores.
    ``program`` is None at the roofline, where they are bounds.
    """

    name: str
    workload: Workload
    program: Program | None
    repeat: int
    latency_s: float
    link_bytes: Mapping[str, float]
    dynamic_j: Mapping[str, float]
    interval_s: float


@dataclass(frozen=True)
class Load:
    """One stream on a chip: its parts in order, how often, and its quality verdict.

    ``cores`` is how many a job takes together, ``allowed`` which it may use, ``kind`` their kind
    (empty on a chip of equal cores, or where a bound holds for several), ``view`` the chip as they
    see it. The parts of a pipeline follow each other on ``allowed``.
    """

    stream: Stream
    parts: tuple[Part, ...]
    rate_hz: float
    cores: int
    verdict: QualityVerdict
    view: Chip
    allowed: tuple[int, ...]
    kind: str = ""

    @property
    def workload(self) -> Workload:
        """The network of the first part."""
        return self.parts[0].workload

    @property
    def longest(self) -> Part:
        """The part that takes most of a job's time."""
        return max(self.parts, key=lambda part: part.repeat * part.latency_s)

    @property
    def model(self) -> str:
        """The network that takes most of a job's time; of a pipeline the whole one."""
        name = self.longest.workload.name
        return (
            name.rpartition("[")[0] if self.longest.name.startswith(self.stream.id + "/") else name
        )

    @property
    def latency_s(self) -> float:
        """One job alone on the chip, s."""
        return sum(part.repeat * part.latency_s for part in self.parts)

    @property
    def busy_s(self) -> float:
        """For how long one job holds its cores, s: less than its latency where the next one may
        follow while its last results come out."""
        if len(self.parts) > 1 or self.parts[0].repeat > 1:
            return self.latency_s  # each run waits for the one before
        return self.parts[0].interval_s

    @property
    def macs(self) -> float:
        """Multiply-accumulates of one job."""
        return sum(part.repeat * part.workload.macs for part in self.parts)

    @property
    def ttft_s(self) -> float | None:
        """First stage of a request alone on the chip, s; None for a plain stream."""
        if self.stream.request is None:
            return None
        return self.parts[0].repeat * self.parts[0].latency_s

    @property
    def tpot_s(self) -> float | None:
        """Mean time of a run after the first stage, alone on the chip, s."""
        first, repeats = self.ttft_s, sum(part.repeat for part in self.parts[1:])
        return None if first is None or not repeats else (self.latency_s - first) / repeats

    def bytes_over(self, link: str) -> float:
        """Bytes of one job over a link."""
        return sum(part.repeat * part.link_bytes.get(link, 0.0) for part in self.parts)

    def dynamic_j(self, scope: str) -> float:
        """Dynamic energy of one job, J."""
        return sum(part.repeat * part.dynamic_j[scope] for part in self.parts)

    @property
    def runs(self) -> Runs | None:
        """What the simulator plays; None at the roofline."""
        stages: list[Stage] = []
        for part in self.parts:
            if part.program is None:
                return None
            stages.append(Stage(part.program, part.repeat, part.name))
        if self.stream.pipeline is not None:
            pieces = [part.workload for part in self.parts]
            return Pipeline(tuple(stage.program for stage in stages), bytes_between(pieces))
        if self.stream.request is None:
            return stages[0].program
        return tuple(stages)

    def energy_j(self, chip: Chip) -> float:
        """What one job adds to a chip that rests without it, J: its dynamic energy, and the static
        power of the cores it takes and of what all share above what they draw at rest, over its
        latency."""
        above_w = sum(
            (self.cores if part.per_core else 1) * (part.active_w - rest_w(chip, part))
            for part in chip.static
        )
        return self.dynamic_j("die_dram") + above_w * self.latency_s


def part_keys(stream: Stream) -> list[tuple[str, str, int]]:
    """Key of each network of a stream in the ``workloads`` mapping, its label and its repeats.

    A plain stream has one, under its id; a request one for each stage: the first under the id, the
    others as ``id.label``.
    """
    if stream.request is None:
        return [(stream.id, stream.id, 1)]
    out = []
    for index, stage in enumerate(stream.request.parts):
        label = stage.name or f"stage{index}"
        out.append((stream.id if index == 0 else f"{stream.id}.{label}", label, stage.repeat))
    return out


def stream_rate_hz(app: App, stream: Stream) -> float:
    """Mean jobs per second of all instances, chains and their probabilities followed."""
    if stream.arrivals is not None:
        arrived = sum(time < app.observed_s for time in stream.arrivals.times_s)
        return arrived / app.observed_s * stream.instances
    if stream.after is None:
        return (stream.rate_hz or 0.0) * stream.instances
    source = app.stream(stream.after)
    share = stream.probability * stream.instances / source.instances
    return stream_rate_hz(app, source) * share


def stream_load(
    app: App,
    stream: Stream,
    workloads: Mapping[str, Workload],
    chip: Chip,
    mapped_on: Chip,
    objective: Objective,
    fidelity: Fidelity,
    room: Allotments | None = None,
) -> Load:
    """One stream's networks mapped onto ``mapped_on`` and timed on ``chip``.

    On a chip with several kinds of cores it runs on the one that it names, else on the one that
    the objective prefers (:mod:`dse.evaluation.core_choice`); at the roofline the bounds hold for
    all that it may use. ``room`` is what its networks may use of the memory that all share
    (:mod:`dse.evaluation.allotments`).

    Raises:
        UnmappableError: a network that the chip, or the kind, cannot run.
        ImpossibleChipError: cores or kinds that the chip lacks.
    """
    places = seats(stream, chip, mapped_on)

    def on(seat: Seat, view: Chip) -> tuple[Load, float, float]:
        made = _load(app, stream, workloads, seat, view, objective, fidelity, room or {})
        return made, made.latency_s, made.energy_j(view)

    if fidelity == "roofline" and len(places) > 1:
        return _bounds([(seat.kind, partial(on, seat, seat.view)) for seat in places], chip)
    options = [(seat.kind, partial(on, seat, seat.mapped_on)) for seat in places]
    number, load = preferred(options, objective, stream.due_s)
    seat = places[number]
    return load if seat.view is seat.mapped_on else on(seat, seat.view)[0]


def _bounds(
    options: Sequence[tuple[str, Callable[[], tuple[Load, float, float]]]], chip: Chip
) -> Load:
    """What no kind of core that runs the load can beat: the least of each figure over them."""
    found = [load for _, (load, _, _) in built(options)]
    parts = tuple(
        replace(
            same[0],
            latency_s=min(part.latency_s for part in same),
            interval_s=min(part.interval_s for part in same),
            link_bytes={
                name: min(part.link_bytes[name] for part in same) for name in same[0].link_bytes
            },
            dynamic_j={
                name: min(part.dynamic_j[name] for part in same) for name in same[0].dynamic_j
            },
        )
        for same in zip(*(load.parts for load in found), strict=True)
    )
    allowed = tuple(core for load in found for core in load.allowed)
    width = min(load.cores for load in found)
    return replace(found[0], parts=parts, cores=width, view=chip, allowed=allowed, kind="")


def _load(
    app: App,
    stream: Stream,
    workloads: Mapping[str, Workload],
    seat: Seat,
    view: Chip,
    objective: Objective,
    fidelity: Fidelity,
    room: Allotments,
) -> Load:
    """The stream on one kind of core."""
    keys = part_keys(stream)
    shared = len(app.streams) > 1 or len(keys) > 1
    if stream.pipeline is not None:
        shared = _has_company(app, stream, seat)
        parts = _pieces(stream, workloads[stream.id], seat, view, objective, fidelity, shared)
    else:
        parts = tuple(
            make_part(
                label,
                workloads[key],
                repeat,
                view,
                seat.mapped_on,
                objective,
                fidelity,
                cores=seat.width,
                shared=shared,
                room=room.get((workloads[key].digest, seat.width)),
            )
            for key, label, repeat in keys
        )
    width = seat.width
    if stream.pipeline is None and fidelity != "roofline":
        parts, width = _together(parts)
    judged = [stream_quality(stream.quality, workloads[key]) for key, _, _ in keys]
    verdict = _worst([judge_quality(stream.id, stream.quality, found) for found in judged])
    rate = stream_rate_hz(app, stream)
    return Load(stream, parts, rate, width, verdict, view, seat.cores, seat.kind)


def _together(parts: tuple[Part, ...]) -> tuple[tuple[Part, ...], int]:
    """The parts of a job and how many cores it holds: all that the widest of them uses, to its
    end."""
    width = max(part.program.cores for part in parts if part.program is not None)
    return tuple(
        part
        if part.program is None or part.program.cores == width
        else replace(part, program=replace(part.program, cores=width))
        for part in parts
    ), width


def _has_company(app: App, stream: Stream, seat: Seat) -> bool:
    """Whether other streams may need the memory in which a pipeline's weights could stay: the L2,
    which all share, or on a chip without one the buffers of its cores."""
    others = [other for other in app.streams if other.id != stream.id]
    if seat.view.links["l2"].bytes_per_s > 0.0:
        return bool(others)
    own = set(seat.cores[: stream.pipeline])
    return any(own & set(taken.cores) for other in others for taken in seats(other, seat.chip))


def _pieces(
    stream: Stream,
    workload: Workload,
    seat: Seat,
    view: Chip,
    objective: Objective,
    fidelity: Fidelity,
    shared: bool,
) -> tuple[Part, ...]:
    """The parts of a pipeline; at the roofline the whole on all its cores, which bounds them."""
    count = stream.pipeline or 1
    if fidelity == "roofline":
        whole = make_part(
            stream.id, workload, 1, view, view, objective, fidelity, cores=count, shared=False
        )
        return (whole,)
    if count > len(workload.layers):
        raise InputError(
            f"stream {stream.id!r}: {len(workload.layers)} layers cannot be dealt out over {count} "
            "cores",
            field=f"app.{stream.id}.pipeline",
            mend=f"use 2 to {len(workload.layers)}, or leave pipeline out",
        )
    made = pipeline_parts(workload, seat.mapped_on, count, objective, shared=shared)
    return tuple(
        _timed(f"{stream.id}/{number}", piece, program, 1, view)
        for number, (piece, program) in enumerate(made, 1)
    )


def make_part(
    label: str,
    workload: Workload,
    repeat: int,
    chip: Chip,
    mapped_on: Chip,
    objective: Objective,
    fidelity: Fidelity,
    *,
    cores: int,
    shared: bool,
    room: Allotment | None = None,
) -> Part:
    """One network mapped (or bounded, at the roofline)."""
    if fidelity == "roofline":
        key = (id(workload), id(chip), cores)
        bound = _rooflines.of(key, partial(roofline, workload, chip, cores), (workload, chip))
        moved = {"dram": bound.dram_bytes}
        joules = dict.fromkeys(("npu", "die", "die_dram"), bound.dynamic_j)
        return Part(label, workload, None, repeat, bound.latency_s, moved, joules, bound.interval_s)
    program = _program(workload, mapped_on, objective, cores, shared, room)
    return _timed(label, workload, program, repeat, chip)


def _program(
    workload: Workload,
    chip: Chip,
    objective: Objective,
    cores: int,
    shared: bool,
    room: Allotment | None,
) -> Program:
    """:func:`map_network`, once for chips that differ only in what mapping does not see."""
    keep = 0.0
    if room is not None:
        chip, shared, keep = room.seen(chip), True, room.keep_bytes
    seen = (chip_number(chip), tuple(sorted(chip.links.items())))
    key = (id(workload), seen, objective, cores, shared, keep)
    make = partial(
        map_network, workload, chip, objective, cores=cores, shared=shared, keep_bytes=keep
    )
    return _programs.of(key, make, workload)


def _timed(label: str, workload: Workload, program: Program, repeat: int, chip: Chip) -> Part:
    program = restarted(program, chip)
    latency = program_latency_s(program, chip)
    moved, joules = link_totals(program), dynamic_by_scope_j(program, chip)
    held = program_interval_s(program, chip)
    return Part(label, workload, program, repeat, latency, moved, joules, held)


def repriced(load: Load, chip: Chip) -> Load:
    """A load at the prices of ``chip``: the one that it was made for, at another temperature."""
    view = next((kind.chip for kind in chip.kinds if kind.name == load.kind), chip)
    parts = tuple(replace(part, dynamic_j=_dynamic_j(part, load.view, view)) for part in load.parts)
    return replace(load, parts=parts, view=view)


def _dynamic_j(part: Part, cold: Chip, hot: Chip) -> dict[str, float]:
    """Dynamic energy of a run at other prices; of a bound, what none of them can be below."""
    if part.program is None:
        least = min(
            after.chip.prices[name] / price
            for before, after in zip(core_kinds(cold), core_kinds(hot), strict=True)
            for name, price in before.chip.prices.items()
            if price > 0.0
        )
        return {scope: joules * min(least, 1.0) for scope, joules in part.dynamic_j.items()}
    return counted_j(part.program, hot)


def _worst(verdicts: Sequence[QualityVerdict]) -> QualityVerdict:
    """The verdict of a request: its worst part's; parts of which nothing is known do not count
    beside one that is (the metric is the request's, such as MMLU of prefill and decode alike)."""
    known = [verdict for verdict in verdicts if verdict.margin is not None]
    if known:
        return min(known, key=lambda verdict: verdict.margin or 0.0)
    failed = [verdict for verdict in verdicts if not verdict.passes]
    return failed[0] if failed else verdicts[0]


def utilization(loads: Sequence[Load], chip: Chip) -> dict[str, float]:
    """Necessary share of time by resource; above 1 the app cannot be served.

    On a chip with several kinds of cores also by kind (``cores.NAME``), of the loads whose kind is
    known.
    """

    def busy(some: Iterable[Load]) -> float:
        return sum(load.rate_hz * load.busy_s * load.cores for load in some)

    out = {"cores": busy(loads) / chip.cores}
    for kind in chip.kinds:
        own = busy(load for load in loads if load.kind == kind.name)
        out[f"cores.{kind.name}"] = own / len(kind.cores)
    for name, link in chip.links.items():
        if link.bytes_per_s > 0.0:
            moved = sum(load.rate_hz * load.bytes_over(name) for load in loads)
            out[name] = moved / link.bytes_per_s
    return out

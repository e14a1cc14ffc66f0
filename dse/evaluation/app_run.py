"""A whole app on a chip: bounds, isolated latencies, or every frame played in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dse.apps import App, stream_tasks
from dse.apps.tasks import Runs, part_names, policy_of
from dse.errors import InputError, UnmappableError
from dse.evaluation.allotments import allotments
from dse.evaluation.app_figures import (
    app_frame,
    common,
    concluded,
    die_watts,
    expected,
    heated,
    played,
    poor,
    verdicts_of,
)
from dse.evaluation.app_rows import chain_rows, isolated_chains, task_rows
from dse.evaluation.causes import Cause
from dse.evaluation.company import covered
from dse.evaluation.core_choice import laid_in_space
from dse.evaluation.frame import unmappable
from dse.evaluation.heat import MOST_CLOCKS, other_clock, settled
from dse.evaluation.loads import Load, stream_load, stream_rate_hz, utilization
from dse.evaluation.platform_run import evaluate_on_platform
from dse.evaluation.record import ChainRow, Evaluation
from dse.evaluation.terms import Fidelity, check_fidelity
from dse.hardware.chip import Chip, Platform
from dse.mapping import Objective
from dse.simulation.checks import MAX_JOBS, job_counts
from dse.simulation.engine import Engine
from dse.simulation.pipeline import as_whole, partition
from dse.simulation.repricing import reprice
from dse.simulation.run import played_engine
from dse.simulation.run import timeline as timeline_of
from dse.simulation.stats import task_stats
from dse.simulation.task import Task, Timeline
from dse.workload import Workload

__all__ = ["evaluate_app", "stream_rate_hz"]


def evaluate_app(
    app: App,
    workloads: Mapping[str, Workload],
    chip: Chip | Platform,
    fidelity: Fidelity = "simulate",
    *,
    objective: Objective = "edp",
    seed: int = 0,
    trace: bool = False,
    mapped_on: Chip | Platform | None = None,
    clocks_left: int = MOST_CLOCKS,
) -> tuple[Evaluation, Timeline | None]:
    """The app's streams on ``chip``.

    Args:
        app: rates, deadlines, floors and budgets.
        workloads: the network of each stream at its precision, by stream id; of a request's later
            stages as ``id.stage``; for a platform those of the data-centre side too, behind
            ``cloud/`` (see ``stream_workloads``).
        chip: the chip that all streams share, or a platform of device and data centre.
        fidelity: ``roofline`` and ``analytic`` are optimistic; only ``simulate`` may call an app
            feasible (the others leave ``feasible`` None, or False where they can prove it).
        objective: what the mapper minimises per layer.
        seed: of jitter, random arrivals and triggers.
        trace: keep the intervals of every layer in the timeline.
        mapped_on: take the mappings of this chip (the same design at nominal technology).
        clocks_left: how often it may be played again at another clock, where the junction that its
            power gives sets the clock (a chip that pins its voltage alone).

    Returns:
        The record, and the timeline (of the device) if it was simulated.
    """
    check_fidelity(fidelity)
    if isinstance(chip, Platform):
        if chip.reaches_cloud:
            where = mapped_on if isinstance(mapped_on, Platform) else None
            return evaluate_on_platform(
                app, workloads, chip, fidelity, objective, seed, trace=trace, mapped_on=where
            )
        chip = _only_chip(chip)
    if isinstance(mapped_on, Platform):
        mapped_on = mapped_on.chip
    app = laid_in_space(app, chip)
    base = app_frame(app, workloads, chip, fidelity)
    mapped = mapped_on or chip
    room = {} if fidelity == "roofline" else allotments(app, workloads, mapped)
    try:
        loads = [
            stream_load(app, stream, workloads, chip, mapped, objective, fidelity, room)
            for stream in app.streams
        ]
    except UnmappableError as error:
        return unmappable(base, error), None
    usage = utilization(loads, chip)
    play = _Play(app, loads, chip, usage, base)
    if fidelity == "simulate":
        play.begin(seed, trace=trace)
    watts = die_watts(loads, chip, usage, play.engine, play.company)
    record, junction = settled(app, chip, watts, play.figures)
    if other_clock(chip, junction.chip) and clocks_left:
        return evaluate_app(
            app, workloads, junction.chip, fidelity, objective=objective, seed=seed, trace=trace,
            mapped_on=mapped_on or chip, clocks_left=clocks_left - 1,
        )  # fmt: skip
    loads, whole = heated(loads, chip, junction.chip), play.whole
    stats = {} if whole is None else {entry.name: entry for entry in task_stats(whole, play.tasks)}
    exact = whole is not None and whole.mean is not None and whole.mean.exact
    rows = task_rows(loads, stats, exact=exact)
    record = common(record, app, loads, rows, _chains(app, loads, whole), junction.chip)
    known = [*play.excess, *poor(verdicts_of(loads)), *_placed_elsewhere(app)]
    record = concluded(
        record, app, loads, junction, usage, known, play.timeline, jobs=whole, whole=whole
    )
    return record, play.timeline


@dataclass
class _Play:
    """An app as it is played once, with its figures at the prices of any temperature.

    ``excess``: why it is not played. ``timeline`` and ``whole`` (its jobs through pipelines in one
    piece) are of the last temperature asked for; None if nothing was played.
    """

    app: App
    loads: Sequence[Load]
    chip: Chip
    usage: Mapping[str, float]
    base: Evaluation
    tasks: tuple[Task, ...] = ()
    excess: list[Cause] = field(default_factory=list)
    engine: Engine | None = None
    timeline: Timeline | None = None
    whole: Timeline | None = None

    def __post_init__(self) -> None:
        self.company = covered(self.app, self.loads)

    def begin(self, seed: int, *, trace: bool) -> None:
        """Play it, unless it is too much."""
        self.tasks = app_tasks(self.app, self.loads, self.chip)
        self.excess = _too_many(self.app, self.tasks, self.usage)
        if not self.excess:
            policy = policy_of(self.app, seed, max(load.latency_s for load in self.loads))
            self.engine = played_engine(self.chip, self.tasks, policy, trace=trace)

    def figures(self, at: Chip) -> Evaluation:
        """The record with the figures of the chip at another temperature."""
        here = replace(self.base, f_hz=at.f_hz, voltage_v=at.voltage_v)
        if self.engine is None:
            loads = heated(self.loads, self.chip, at)
            return expected(here, self.app, loads, at, self.usage, self.company)
        reprice(self.engine, at)
        self.timeline = timeline_of(self.engine)
        self.whole = as_whole(self.timeline, pipelines(self.app, self.tasks))
        return played(here, self.whole, at)


def _chains(app: App, loads: Sequence[Load], whole: Timeline | None) -> tuple[ChainRow, ...]:
    """Rows of the app's chains: as played, else from the streams' own latencies."""
    if whole is not None:
        return chain_rows(app, whole.jobs, whole.horizon_s)
    return isolated_chains(app, {load.stream.id: load.latency_s for load in loads})


def _only_chip(platform: Platform) -> Chip:
    """The chip of a platform that has no other; InputError if it has."""
    if len(platform.chips) > 1:
        raise InputError(
            f"a platform of {len(platform.chips)} chips without a link between them",
            field="chip",
            mend="give it a link and cloud terms, or a platform file",
        )
    return platform.chip


def _too_many(app: App, tasks: Sequence[Task], usage: Mapping[str, float]) -> list[Cause]:
    """That so many more jobs are asked for than the chip can serve that playing them shows no more.

    Where it could serve them, the simulator refuses them as more than one play may hold.
    """
    jobs = sum(job_counts(tasks, app.observed_s).values())
    if jobs <= MAX_JOBS or max(usage.values()) <= 1.0:
        return []
    text = (
        f"{jobs:.3g} jobs in {app.observed_s:g} s are asked for: too many to be played one by one, "
        "figures are those of the analytic level"
    )
    return [Cause(text, "load")]


def app_tasks(app: App, loads: Sequence[Load], chip: Chip) -> tuple[Task, ...]:
    """What the simulator plays of an app, pinned core by core if the app says so."""
    runs: dict[str, Runs] = {load.stream.id: load.runs for load in loads if load.runs}
    allowed = {load.stream.id: load.allowed for load in loads}
    tasks = stream_tasks(app, runs, allowed, chip)
    return partition(tasks, chip, app.observed_s) if app.partition else tasks


def pipelines(app: App, tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """The tasks of each pipeline, by the name of the first."""
    by_name = {task.name: task for task in tasks}
    return {
        names[0]: [by_name[name] for name in names]
        for stream in app.streams
        if stream.pipeline is not None
        for names in (part_names(stream, index) for index in range(stream.instances))
        if names[0] in by_name
    }


def _placed_elsewhere(app: App) -> list[Cause]:
    return [
        Cause(
            f"stream {stream.id}: placed {stream.placement!r}, and this chip has no data centre "
            "behind it (give a platform)",
            "placement",
            stream.id,
        )
        for stream in app.streams
        if stream.placement not in ("device", "auto")
    ]

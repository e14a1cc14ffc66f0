"""From the streams of an app to the tasks that the simulator plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dse.apps.scenario import App
from dse.apps.stream import Stream
from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.mapping import Program
from dse.simulation.pipeline import pipeline_tasks
from dse.simulation.task import Periodic, Poisson, Policy, Release, Stage, Task, Trace, Triggered


@dataclass(frozen=True)
class Pipeline:
    """One job dealt out over cores: ``programs`` on one core each, in order.

    ``bytes_between``: activations from each part to the next.
    """

    programs: tuple[Program, ...]
    bytes_between: tuple[float, ...]


#: Longest jobs that fit into the time that a play goes on for at most to finish what it observed.
LONGEST = 10.0

#: What one job of a stream runs: one program, the stages of a request, or parts on several cores.
Runs = Program | tuple[Stage, ...] | Pipeline


def stream_tasks(
    app: App,
    runs: Mapping[str, Runs],
    cores: Mapping[str, tuple[int, ...]],
    chip: Chip | None = None,
) -> tuple[Task, ...]:
    """One task per stream instance (one for each part of a pipeline), in the order of the file.

    Args:
        app: the scenario.
        runs: what one job of each stream runs, by stream id; streams that are not there run
            elsewhere and have no task.
        cores: those that each stream may use, by its id.
        chip: needed by pipelines alone.
    """
    return tuple(
        task
        for stream in app.streams
        if stream.id in runs
        for index in range(stream.instances)
        for task in instance_tasks(app, stream, index, runs[stream.id], cores[stream.id], chip)
    )


def task_name(stream: Stream, index: int) -> str:
    """Name of one instance: the stream's id, numbered if there are several."""
    return stream.id if stream.instances == 1 else f"{stream.id}.{index}"


def part_names(stream: Stream, index: int) -> tuple[str, ...]:
    """Names of the tasks of one instance: its own, and those of the further parts of a pipeline."""
    name = task_name(stream, index)
    return (name, *(f"{name}/{part}" for part in range(2, (stream.pipeline or 1) + 1)))


def instance_release(app: App, stream: Stream, index: int) -> Release:
    """When the jobs of one instance arrive."""
    if stream.after is not None:
        source = app.stream(stream.after)
        return Triggered(part_names(source, index % source.instances)[-1], stream.probability)
    if stream.arrivals is not None:
        if not stream.arrivals.times_s:
            raise InputError(
                "the trace of arrivals was not read",
                field=f"app.{stream.id}.arrivals",
                mend="load the app from its file, or give times_s",
            )
        return Trace(stream.arrivals.times_s)
    rate = stream.rate_hz or 1.0
    if stream.release == "poisson":
        return Poisson(rate)
    return Periodic(rate, index / (stream.instances * rate), stream.jitter_s)


def instance_tasks(
    app: App,
    stream: Stream,
    index: int,
    run: Runs,
    cores: tuple[int, ...],
    chip: Chip | None = None,
) -> tuple[Task, ...]:
    """The tasks of one instance of ``stream`` that runs ``run`` per job on ``cores``."""
    if not isinstance(run, Pipeline):
        return (stream_task(app, stream, index, run, cores),)
    if chip is None:
        raise InputError(
            "a pipeline needs its chip", field=f"app.{stream.id}.pipeline", mend="give the chip"
        )
    return pipeline_tasks(
        task_name(stream, index),
        run.programs,
        chip,
        instance_release(app, stream, index),
        cores[: len(run.programs)],
        deadline_s=stream.due_s,
        percentile=stream.percentile,
        bytes_between=run.bytes_between,
        priority=stream.priority,
        late=stream.late,
        names=part_names(stream, index),
    )


def stream_task(
    app: App, stream: Stream, index: int, run: Program | tuple[Stage, ...], cores: tuple[int, ...]
) -> Task:
    """The task of one instance of ``stream`` that runs ``run`` per job."""
    stages = () if isinstance(run, Program) else run
    program = run if isinstance(run, Program) else run[0].program
    return Task(
        name=task_name(stream, index),
        program=program,
        release=instance_release(app, stream, index),
        deadline_s=stream.due_s,
        percentile=stream.percentile,
        priority=stream.priority,
        cores=cores,
        late=stream.late,
        stages=stages,
    )


def policy_of(app: App, seed: int, longest_s: float) -> Policy:
    """The scheduling policy of an app; the play goes on until its jobs are decided.

    At most for as long as it is observed, for :data:`LONGEST` of the longest job alone on the chip
    (``longest_s``), or until the last job is due, whichever is longest.
    """
    dues = [stream.due_s for stream in app.streams if stream.due_s is not None]
    dues += [chain.deadline_s for chain in app.chains]
    last_s = max([app.observed_s, LONGEST * longest_s, *(due * 1.001 for due in dues)])
    return Policy(app.scheduler, app.preemption, app.observed_s, seed, finish_s=last_s)

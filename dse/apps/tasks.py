"""From the streams of an app to the tasks that the simulator plays."""

from __future__ import annotations

from collections.abc import Mapping

from dse.apps.scenario import App
from dse.apps.stream import Stream
from dse.mapping.schedule import Program
from dse.simulation.task import Periodic, Poisson, Policy, Release, Stage, Task, Triggered

#: What one job of a stream runs: one program, or the stages of a request.
Runs = Program | tuple[Stage, ...]


def stream_tasks(app: App, runs: Mapping[str, Runs], cores: int) -> tuple[Task, ...]:
    """One task per stream instance, in the order of the file.

    Args:
        app: the scenario.
        runs: what one job of each stream runs, by stream id; streams that are not there run
            elsewhere and have no task.
        cores: cores of the chip; a stream pinned to a core that is not there uses core 0.
    """
    return tuple(
        stream_task(app, stream, index, runs[stream.id], cores)
        for stream in app.streams
        if stream.id in runs
        for index in range(stream.instances)
    )


def task_name(stream: Stream, index: int) -> str:
    """Name of one instance: the stream's id, numbered if there are several."""
    return stream.id if stream.instances == 1 else f"{stream.id}.{index}"


def instance_release(app: App, stream: Stream, index: int) -> Release:
    """When the jobs of one instance arrive."""
    if stream.after is not None:
        source = app.stream(stream.after)
        return Triggered(task_name(source, index % source.instances), stream.probability)
    rate = stream.rate_hz or 1.0
    if stream.release == "poisson":
        return Poisson(rate)
    return Periodic(rate, index / (stream.instances * rate), stream.jitter_s)


def stream_task(app: App, stream: Stream, index: int, run: Runs, cores: int) -> Task:
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
        cores=stream.cores_of(cores),
        late=stream.late,
        stages=stages,
    )


def policy_of(app: App, seed: int) -> Policy:
    """The scheduling policy of an app."""
    return Policy(app.scheduler, app.preemption, app.horizon_s, seed)

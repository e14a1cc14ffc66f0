"""From the streams of an app to the tasks that the simulator plays."""

from __future__ import annotations

from collections.abc import Mapping

from dse.apps.scenario import App, Stream
from dse.mapping.schedule import Program
from dse.simulation.task import Periodic, Poisson, Policy, Release, Task, Triggered


def stream_tasks(app: App, programs: Mapping[str, Program], cores: int) -> tuple[Task, ...]:
    """One task per stream instance, in the order of the file.

    Args:
        app: the scenario.
        programs: what one inference of each stream runs, by stream id.
        cores: cores of the chip; a stream pinned to a core that is not there uses core 0.
    """
    return tuple(
        _task(app, stream, index, programs[stream.id], cores)
        for stream in app.streams
        for index in range(stream.instances)
    )


def task_name(stream: Stream, index: int) -> str:
    """Name of one instance: the stream's id, numbered if there are several."""
    return stream.id if stream.instances == 1 else f"{stream.id}.{index}"


def _task(app: App, stream: Stream, index: int, program: Program, cores: int) -> Task:
    release: Release
    if stream.after is not None:
        source = app.stream(stream.after)
        release = Triggered(task_name(source, index % source.instances), stream.probability)
    elif stream.release == "poisson":
        release = Poisson(stream.rate_hz or 1.0)
    else:
        rate = stream.rate_hz or 1.0
        release = Periodic(rate, index / (stream.instances * rate), stream.jitter_s)
    if isinstance(stream.cores, str):
        allowed = tuple(range(cores))
    else:
        allowed = tuple(core for core in stream.cores if core < cores) or (0,)
    return Task(
        name=task_name(stream, index),
        program=program,
        release=release,
        deadline_s=stream.deadline_s,
        percentile=stream.percentile,
        priority=stream.priority,
        cores=allowed,
        late=stream.late,
    )


def policy_of(app: App, seed: int) -> Policy:
    """The scheduling policy of an app."""
    return Policy(app.scheduler, app.preemption, app.horizon_s, seed)

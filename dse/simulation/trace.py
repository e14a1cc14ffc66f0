"""Timelines in the Chrome trace event format, which the Perfetto viewer reads.

Format: "Trace Event Format" (Google, 2016): complete events ``X`` and counters ``C`` with times in
microseconds, names of tracks as metadata ``M``, nestable asynchronous pairs ``b`` and ``e``,
instants ``i``. Times are whole nanoseconds, as readers keep them, so that what follows on a track
begins where what was before ends. Process and thread numbers begin above 0, which readers take for
the idle thread, and no two tracks share a thread number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.hardware.chip import SCOPES
from dse.simulation.task import Timeline

_CORES, _POWER, _JOBS, _LINKS = 1, 2, 3, 4
#: Thread numbers of a process start at this many times its own.
_THREADS = 100_000


def chrome_trace(timeline: Timeline) -> dict[str, Any]:
    """The timeline as one JSON object: a track per resource and per task, and counters.

    Tracks of cores and links need a timeline that was simulated with ``trace=True``. Counters are
    power in W, and clock and junction temperature where they change.
    """
    events: list[dict[str, Any]] = []
    labels = ((_CORES, "cores"), (_POWER, "power"), (_JOBS, "jobs"), (_LINKS, "links"))
    for process, label in labels:
        events.append(_name("process_name", process, 0, label))
    cores = sorted(int(name[4:]) for name in timeline.busy_s if name.startswith("core"))
    kinds = timeline.core_kinds
    for core in cores:
        label = f"core{core} ({kinds[core]})" if kinds else f"core{core}"
        events.append(_name("thread_name", _CORES, core, label))
    events.extend(
        _slice(
            _CORES,
            interval.core,
            interval.layer,
            interval.task,
            (interval.start_s, interval.end_s),
            {"task": interval.task, "job": interval.job, "bottleneck": interval.bottleneck},
        )
        for interval in timeline.intervals
    )
    events.extend(_links(timeline))
    events.extend(_jobs(timeline))
    events.extend(_counters(timeline))
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"horizon_s": timeline.horizon_s, "schema_version": 1},
    }


def write_trace(timeline: Timeline, path: str | Path) -> None:
    """Write :func:`chrome_trace` to a file.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        text = json.dumps(chrome_trace(timeline), allow_nan=False)
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the trace cannot be written ({error.strerror})", file=path, mend="give another file"
        ) from None


def _us(nanoseconds: int) -> float:
    """Microseconds that are these whole nanoseconds again when a reader cuts them to such."""
    value = nanoseconds / 1000.0
    return value if int(value * 1000.0) == nanoseconds else math.nextafter(value, math.inf)


def _ts(time_s: float) -> float:
    return _us(round(time_s * 1e9))


def _at(process: int, thread: int) -> dict[str, Any]:
    """Where an event belongs."""
    return {"pid": process, "tid": _THREADS * process + thread + 1}


def _name(kind: str, process: int, thread: int, label: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, **_at(process, thread), "args": {"name": label}}


def _slice(
    process: int,
    thread: int,
    name: str,
    category: str,
    span_s: tuple[float, float],
    args: dict[str, Any],
) -> dict[str, Any]:
    """A complete event from one time to another."""
    start, end = (round(time * 1e9) for time in span_s)
    times = {"ts": _us(start), "dur": _us(end - start)}
    return {"ph": "X", "name": name, "cat": category, **_at(process, thread), **times, "args": args}


def _links(timeline: Timeline) -> list[dict[str, Any]]:
    """For each shared resource when it was in use, and how much of it (the name)."""
    if timeline.usage is None:
        return []
    events: list[dict[str, Any]] = []
    edges = timeline.usage.edges_s
    names = [name for name in timeline.usage.share if not name.startswith("core")]
    for track, name in enumerate(names):
        events.append(_name("thread_name", _LINKS, track, name))
        begun, held = 0.0, 0.0
        for time, share in zip(edges, (*timeline.usage.share[name], 0.0), strict=True):
            if share == held:
                continue
            if held > 0.0:
                span = (begun, time)
                events.append(_slice(_LINKS, track, f"{held:.0%}", "link", span, {"share": held}))
            begun, held = time, share
    return events


def _jobs(timeline: Timeline) -> list[dict[str, Any]]:
    """Each job from release to completion as an async pair, and an instant where one is missed."""
    tracks = {name: number for number, name in enumerate(timeline.completed)}
    events = [_name("thread_name", _JOBS, number, name) for name, number in tracks.items()]
    for job in timeline.jobs:
        track = tracks[job.task]
        end = timeline.horizon_s if job.finish_s is None else job.finish_s
        common = {
            **_at(_JOBS, track),
            "cat": job.task,
            "name": job.task,
            "id": f"{job.task}/{job.index}",
        }
        events.append({"ph": "b", "ts": _ts(job.release_s), **common})
        events.append({"ph": "e", "ts": _ts(end), **common})
        if job.missed:
            text = f"{job.task} #{job.index} {'dropped' if job.dropped else 'missed'}"
            events.append({"ph": "i", "ts": _ts(end), **_at(_JOBS, track), "name": text, "s": "t"})
    return events


def _counters(timeline: Timeline) -> list[dict[str, Any]]:
    """One counter per scope and per component, with a sample wherever its value changes."""
    tracks: dict[str, Sequence[float]] = {}
    count = len(timeline.module_w)
    running = [0.0] * count
    for scope in SCOPES[:-1]:
        parts = [
            values for name, values in timeline.power_w.items() if timeline.scope_of[name] == scope
        ]
        running = [sum(column) for column in zip(running, *parts, strict=True)]
        tracks[f"power.{scope}"] = tuple(running)
    tracks["power.module"] = timeline.module_w
    tracks.update(timeline.power_w)
    events: list[dict[str, Any]] = []
    for label, unit, pairs in (
        ("clock", "Hz", timeline.clock_hz if len(timeline.clock_hz) > 1 else ()),
        ("junction", "C", timeline.junction_c),
    ):
        for time, value in pairs:
            events.append(_sample(label, time, unit, value))
    for name, values in tracks.items():
        last: float | None = None
        for time, value in zip(timeline.edges_s, values, strict=False):
            if value != last:
                last = value
                events.append(_sample(name, time, "W", value))
        if last is not None:
            events.append(_sample(name, timeline.horizon_s, "W", last))
    return events


def _sample(name: str, time_s: float, unit: str, value: float) -> dict[str, Any]:
    where = {"name": name, **_at(_POWER, 0), "ts": _ts(time_s)}
    return {"ph": "C", **where, "args": {unit: value}}

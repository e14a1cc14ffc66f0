"""Timelines in the Chrome trace event format, which the Perfetto viewer reads.

Format: "Trace Event Format" (Google, 2016): complete events ``X`` and counters ``C`` with times in
microseconds, names of tracks as metadata ``M``, instants ``i``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.hardware.chip import SCOPES
from dse.simulation.task import Timeline

_CORES, _POWER, _JOBS = 1, 2, 3
_US = 1e6


def chrome_trace(timeline: Timeline) -> dict[str, Any]:
    """The timeline as one JSON object: a track per core, job tracks, and power counters in W.

    Core tracks need a timeline that was simulated with ``trace=True``.
    """
    events: list[dict[str, Any]] = []
    for process, label in ((_CORES, "cores"), (_POWER, "power"), (_JOBS, "jobs")):
        events.append(_name("process_name", process, 0, label))
    cores = sorted(int(name[4:]) for name in timeline.busy_s if name.startswith("core"))
    events.extend(_name("thread_name", _CORES, core, f"core{core}") for core in cores)
    events.extend(
        {
            "ph": "X",
            "pid": _CORES,
            "tid": interval.core,
            "name": interval.layer,
            "cat": interval.task,
            "ts": interval.start_s * _US,
            "dur": (interval.end_s - interval.start_s) * _US,
            "args": {
                "task": interval.task,
                "job": interval.job,
                "bottleneck": interval.bottleneck,
            },
        }
        for interval in timeline.intervals
    )
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
        Path(path).write_text(json.dumps(chrome_trace(timeline)), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the trace cannot be written ({error.strerror})", file=path, mend="give another file"
        ) from None


def _name(kind: str, process: int, thread: int, label: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": label}}


def _jobs(timeline: Timeline) -> list[dict[str, Any]]:
    """Each job from release to completion as an async pair, and an instant where one is missed."""
    tracks = {name: number for number, name in enumerate(timeline.completed)}
    events = [_name("thread_name", _JOBS, number, name) for name, number in tracks.items()]
    for job in timeline.jobs:
        track = tracks[job.task]
        end = timeline.horizon_s if job.finish_s is None else job.finish_s
        common = {
            "pid": _JOBS,
            "tid": track,
            "cat": job.task,
            "name": job.task,
            "id": f"{job.task}/{job.index}",
        }
        events.append({"ph": "b", "ts": job.release_s * _US, **common})
        events.append({"ph": "e", "ts": end * _US, **common})
        if job.missed:
            text = f"{job.task} #{job.index} {'dropped' if job.dropped else 'missed'}"
            where = {"pid": _JOBS, "tid": track, "name": text, "s": "t"}
            events.append({"ph": "i", "ts": end * _US, **where})
    return events


def _counters(timeline: Timeline) -> list[dict[str, Any]]:
    """One counter per scope and per component, with a sample wherever its value changes."""
    tracks: dict[str, tuple[float, ...]] = {}
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
    for name, values in tracks.items():
        last: float | None = None
        for time, value in zip(timeline.edges_s, values, strict=False):
            if value != last:
                last = value
                sample = {"ph": "C", "pid": _POWER, "tid": 0, "name": name, "ts": time * _US}
                events.append({**sample, "args": {"W": value}})
        if last is not None:
            end = {"ph": "C", "pid": _POWER, "tid": 0, "name": name}
            events.append({**end, "ts": timeline.horizon_s * _US, "args": {"W": last}})
    return events

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

_CORES, _POWER, _JOBS, _LINKS = 1, 2, 3, 4
_US = 1e6


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
        Path(path).write_text(json.dumps(chrome_trace(timeline)), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the trace cannot be written ({error.strerror})", file=path, mend="give another file"
        ) from None


def _name(kind: str, process: int, thread: int, label: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": label}}


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
                events.append(
                    {
                        "ph": "X",
                        "pid": _LINKS,
                        "tid": track,
                        "name": f"{held:.0%}",
                        "cat": "link",
                        "ts": begun * _US,
                        "dur": (time - begun) * _US,
                        "args": {"share": held},
                    }
                )
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
    for label, unit, pairs in (
        ("clock", "Hz", timeline.clock_hz if len(timeline.clock_hz) > 1 else ()),
        ("junction", "C", timeline.junction_c),
    ):
        for time, value in pairs:
            here = {"ph": "C", "pid": _POWER, "tid": 0, "name": label, "ts": time * _US}
            events.append({**here, "args": {unit: value}})
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

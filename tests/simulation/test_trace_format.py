"""The written trace, read as a viewer reads it.

The rules are those of the "Trace Event Format" (Google, 2016) and of readers that keep whole
nanoseconds and one stack of slices for each thread, as Perfetto's does. Its own trace processor is
no package that installs from an index alone (it fetches a program when first used), so this is a
reader of its own.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dse.hardware.resolve import load_chip
from dse.mapping import map_network
from dse.simulation import (
    Periodic,
    Poisson,
    Policy,
    Stage,
    Task,
    Timeline,
    Triggered,
    simulate,
    write_trace,
)
from dse.workload.load import load_model

from .conftest import fixed, make_chip, make_layer, make_program
from .test_outputs import crowded

PHASES = {"X", "M", "C", "b", "e", "i"}


@dataclass
class Read:
    """What a reader keeps: slices (start, end in ns, name, arguments) by track, counters, jobs."""

    tracks: dict[int, str] = field(default_factory=dict)
    process_of: dict[int, int] = field(default_factory=dict)
    processes: dict[int, str] = field(default_factory=dict)
    slices: dict[int, list[tuple[int, int, str, dict[str, Any]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    counters: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    jobs: dict[str, tuple[int, int]] = field(default_factory=dict)
    instants: list[tuple[int, str]] = field(default_factory=list)


def nanoseconds(value: object) -> int:
    assert type(value) in (int, float)
    assert isinstance(value, (int, float))
    assert math.isfinite(value)
    assert value >= 0
    return int(value * 1000.0)


def read(path: Path) -> Read:
    def no_constant(text: str) -> float:
        raise AssertionError(f"{text} is no JSON")

    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=no_constant)
    assert set(content) <= {"traceEvents", "displayTimeUnit", "otherData"}
    assert content["displayTimeUnit"] in ("ms", "ns")
    out = Read()
    begun: dict[tuple[str, str, str], int] = {}
    for event in content["traceEvents"]:
        assert event["ph"] in PHASES
        for name in ("pid", "tid"):
            assert type(event[name]) is int
            assert event[name] > 0  # 0 is the idle thread
        assert isinstance(event["name"], str)
        assert event["name"]
        pid, tid = event["pid"], event["tid"]
        assert out.process_of.setdefault(tid, pid) == pid
        if event["ph"] == "M":
            metadata(event, out)
            continue
        start = nanoseconds(event["ts"])
        if event["ph"] == "X":
            out.slices[tid].append((start, nanoseconds(event["dur"]), event["name"], event["args"]))
        elif event["ph"] == "C":
            assert set(event) == {"ph", "name", "pid", "tid", "ts", "args"}
            (value,) = event["args"].values()
            assert isinstance(value, (int, float))
            assert math.isfinite(value)
            out.counters[event["name"]].append((start, value))
        elif event["ph"] == "i":
            assert event["s"] in ("t", "p", "g")
            out.instants.append((start, event["name"]))
        else:
            key = (event["cat"], event["id"], event["name"])
            if event["ph"] == "b":
                assert key not in begun
                begun[key] = start
            else:
                assert start >= begun[key]
                out.jobs[event["id"]] = (begun.pop(key), start)
    assert begun == {}
    nest(out)
    return out


def metadata(event: dict[str, Any], out: Read) -> None:
    assert event["name"] in ("process_name", "thread_name")
    label = event["args"]["name"]
    assert isinstance(label, str)
    if event["name"] == "process_name":
        assert event["pid"] not in out.processes
        out.processes[event["pid"]] = label
    else:
        assert event["tid"] not in out.tracks
        out.tracks[event["tid"]] = label


def nest(out: Read) -> None:
    """Slices of one thread must lie beside or within each other; here they lie side by side."""
    assert set(out.slices) <= set(out.tracks)  # every track has its name
    assert {out.process_of[tid] for tid in out.slices} <= set(out.processes)
    for tid, found in out.slices.items():
        last = 0
        for start, lasting, name, _ in sorted(found, key=lambda one: (one[0], one[1])):
            assert start >= last, (out.tracks[tid], name, start, last)
            last = start + lasting


def preempted() -> Timeline:
    layers = [make_layer(f"l{k}", steps=7, dram=333.0, fill_other=91.0, drain=77.0) for k in (0, 1)]
    program = make_program("p", layers, invoke_s=3.3e-7)
    tasks = [
        Task("slow", program, Periodic(20e3, jitter_s=1e-5), 1e-3, cores=(0, 1)),
        Task("quick", fixed("quick", 1.7e-6), Poisson(70e3), 5e-6, cores=(0,)),
        Task("late", fixed("late", 3e-5), Periodic(5e3), 2e-5, cores=(1,), late="skip"),
    ]
    chip = make_chip(cores=2, power_gating=True)
    return simulate(chip, tasks, Policy("edf", "segment", horizon_s=2e-3), trace=True)


def requested() -> Timeline:
    wide = make_program("w", [make_layer("w", steps=9, dram=100.0, cores=2)], cores=2)
    stages = (Stage(wide, 1, "prefill"), Stage(fixed("d", 1e-5, tiles=3, cores=2), 7, "decode"))
    tasks = [
        Task("chat", wide, Periodic(3e3), stages=stages, cores=(0, 1)),
        Task("then", fixed("t", 1e-5), Triggered("chat", 0.5), cores=(1,)),
    ]
    return simulate(make_chip(cores=2), tasks, Policy(horizon_s=3e-3), trace=True)


def of_two_kinds() -> Timeline:
    chip = load_chip("wearable_duo_npu")
    model = load_model("dscnn_kws").at(None)
    tasks = [
        Task(f"t{k}", map_network(model, kind.chip), Periodic(60.0), 0.02, cores=kind.cores)
        for k, kind in enumerate(chip.kinds)
    ]
    return simulate(chip, tasks, Policy(horizon_s=0.1), trace=True)


@pytest.mark.parametrize("play", [crowded, preempted, requested, of_two_kinds])
def test_a_viewer_finds_what_was_played(play: Callable[[], Timeline], tmp_path: Path) -> None:
    timeline = play()
    write_trace(timeline, tmp_path / "trace.json")
    found = read(tmp_path / "trace.json")
    assert set(found.processes.values()) == {"cores", "power", "jobs", "links"}
    by_name = {label.partition(" ")[0]: tid for tid, label in found.tracks.items()}
    # Time on every core, but for waking, which belongs to no layer.
    for name, seconds in timeline.busy_s.items():
        if name.startswith("core"):
            total = sum(lasting for _, lasting, _, _ in found.slices[by_name[name]])
            core = int(name[4:])
            wanted = sum(i.end_s - i.start_s for i in timeline.intervals if i.core == core)
            assert total == pytest.approx(wanted * 1e9, abs=len(timeline.intervals))
            assert total <= seconds * 1e9 + len(timeline.intervals)
    # Use of every link.
    for name in ("dram", "l2", "nvm", "host"):
        if name in by_name:
            used = sum(
                lasting * args["share"] for _, lasting, _, args in found.slices[by_name[name]]
            )
            assert used == pytest.approx(timeline.busy_s[name] * 1e9, rel=1e-3)
    # Energy under the power counter.
    samples = found.counters["power.module"]
    assert [time for time, _ in samples] == sorted(time for time, _ in samples)
    area = sum((later - time) * watts for (time, watts), (later, _) in itertools.pairwise(samples))
    assert area * 1e-9 == pytest.approx(timeline.scope_energy_j["module"], rel=1e-3)
    assert len(found.jobs) == len(timeline.jobs)
    assert len(found.instants) == sum(job.missed for job in timeline.jobs)


def test_tracks_of_cores_name_their_kind(tmp_path: Path) -> None:
    write_trace(of_two_kinds(), tmp_path / "trace.json")
    labels = set(read(tmp_path / "trace.json").tracks.values())
    assert {"core0 (vision)", "core1 (listen)"} <= labels


def test_times_are_the_same_nanoseconds_in_every_reader() -> None:
    """Cutting and rounding both give back the nanosecond that was meant."""
    from dse.simulation.trace import _us

    for value in [*range(3000), *range(10**12, 10**12 + 3000), 10**15 + 1]:
        assert int(_us(value) * 1000.0) == value
        assert round(_us(value) * 1000.0) == value

"""What a simulation leaves behind: use of resources over time, traces, plots, battery life."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from dse.errors import InputError
from dse.simulation import (
    Periodic,
    Policy,
    Task,
    Timeline,
    Trace,
    power_figure,
    read_trace,
    simulate,
    write_power_plot,
    write_trace,
)

from .conftest import fixed, make_chip, make_layer, make_program
from .test_modes import scaled_chip, thermal


def crowded(trace: bool = True) -> Timeline:
    chip = dataclasses.replace(scaled_chip("race_to_idle", cores=2), thermal=thermal())
    stream = make_program("s", [make_layer("s", steps=50, cycles=100.0, dram=700.0)])
    tasks = [
        Task("a", stream, Periodic(5000.0), 1e-3, cores=(0,)),
        Task("b", fixed("b", 2e-4), Periodic(2000.0), 1e-3, cores=(1,)),
        Task("c", stream, Periodic(3000.0), 1e-3, cores=(1,)),
    ]
    return simulate(chip, tasks, Policy(horizon_s=0.02), trace=trace)


def test_use_over_time_sums_to_what_was_busy() -> None:
    timeline = crowded()
    assert timeline.usage is not None
    widths = np.diff(timeline.usage.edges_s)
    for name, shares in timeline.usage.share.items():
        assert min(shares) >= 0.0
        assert max(shares) <= 1.0 + 1e-9
        assert float(np.dot(shares, widths)) == pytest.approx(timeline.busy_s[name], rel=1e-9)
    assert set(timeline.usage.share) == {"core0", "core1", "dram"}
    assert crowded(trace=False).usage is None


def check_trace_events(events: list[dict[str, object]]) -> None:
    """The rules of the Trace Event Format (Google) for the kinds of events that are used."""
    named: set[tuple[object, object]] = set()
    open_: dict[tuple[object, object, object], float] = {}
    for event in events:
        assert {"ph", "pid", "tid", "name"} <= set(event)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        kind = event["ph"]
        assert kind in ("M", "X", "C", "b", "e", "i")
        if kind == "M":
            assert event["name"] in ("process_name", "thread_name")
            arguments = event["args"]
            assert isinstance(arguments, dict)
            assert isinstance(arguments["name"], str)
            named.add((event["pid"], event["tid"]))
            continue
        time = event["ts"]
        assert isinstance(time, float)
        assert math.isfinite(time)
        assert time >= 0.0
        if kind == "X":
            assert isinstance(event["dur"], float)
            assert event["dur"] >= 0.0
            assert (event["pid"], event["tid"]) in named
        elif kind == "C":
            values = event["args"]
            assert isinstance(values, dict)
            assert all(isinstance(value, float) for value in values.values())
        elif kind == "i":
            assert event["s"] in ("g", "p", "t")
        else:
            key = (event["cat"], event["id"], event["name"])
            if kind == "b":
                assert key not in open_
                open_[key] = time
            else:
                assert time >= open_.pop(key)
    assert not open_


def test_a_trace_keeps_to_the_format_and_has_a_track_per_resource(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    timeline = crowded()
    write_trace(timeline, path)
    data = json.loads(path.read_text())
    assert set(data) == {"traceEvents", "displayTimeUnit", "otherData"}
    assert data["displayTimeUnit"] in ("ms", "ns")
    events = data["traceEvents"]
    check_trace_events(events)
    tracks = {e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    assert tracks == {"core0", "core1", "a", "b", "c", "dram"}
    counters = {event["name"] for event in events if event["ph"] == "C"}
    assert {"power.module", "power.npu", "clock", "junction", "mac"} <= counters
    # Slices of a core or link never overlap on their track.
    for pid in (1, 4):
        for tid in {e["tid"] for e in events if e["pid"] == pid and e["ph"] == "X"}:
            mine = [e for e in events if e["ph"] == "X" and (e["pid"], e["tid"]) == (pid, tid)]
            mine.sort(key=lambda event: event["ts"])
            for left, right in itertools.pairwise(mine):
                assert left["ts"] + left["dur"] <= right["ts"] + 1e-6
    with pytest.raises(InputError, match="cannot be written"):
        write_trace(timeline, tmp_path / "no" / "folder.json")


def test_the_power_plot_shows_the_energy_and_works_offline(tmp_path: Path) -> None:
    timeline = crowded()
    figure = power_figure(timeline)
    stacked = [trace for trace in figure.data if trace.stackgroup]
    step_s = timeline.horizon_s / len(stacked[0].x)
    energy = sum(float(np.sum(trace.y)) for trace in stacked) * step_s
    assert energy == pytest.approx(timeline.scope_energy_j["die_dram"], rel=1e-9)
    module = next(trace for trace in figure.data if str(trace.name).startswith("module"))
    joules = float(np.sum(module.y)) * step_s
    assert joules == pytest.approx(timeline.scope_energy_j["module"], rel=1e-9)
    assert {"clock (MHz)", "junction (°C)"} <= {trace.name for trace in figure.data}
    path = tmp_path / "power.html"
    write_power_plot(timeline, path)
    page = path.read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert "cdn.plot.ly" not in page.split("Plotly.newPlot")[-1]
    with pytest.raises(InputError, match="cannot be written"):
        write_power_plot(timeline, tmp_path / "no" / "folder.html")


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("0.5\n0.1\n", (0.1, 0.5)),
        ("# recorded\nframe,time_s\n1,0.25\n\n2,0.5\n", (0.25, 0.5)),
        ("time_s\n0\n1e-3\n", (0.0, 1e-3)),
    ],
)
def test_recorded_arrivals(text: str, times: tuple[float, ...], tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    path.write_text(text)
    assert read_trace(path) == Trace(times)
    task = Task("t", fixed("t", 1e-4), read_trace(path))
    jobs = simulate(make_chip(), [task], Policy(horizon_s=2.0)).jobs
    assert tuple(job.release_s for job in jobs) == times


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time\n1\n", "no column is called time_s"),
        ("time_s\n1\nsoon\n", "line 3: 'soon'"),
        ("time_s\n-1\n", "line 2: '-1'"),
        ("a,time_s\n1\n", "line 2: ''"),
        ("# nothing\n", "holds no times"),
    ],
)
def test_faulty_records_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_trace(path)
    assert str(path) in str(caught.value.describe())
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(tmp_path / "none.csv")


def test_no_two_layers_of_the_power_plot_share_a_colour() -> None:
    areas = [trace for trace in power_figure(crowded()).data if trace.stackgroup]
    assert len({trace.fillcolor for trace in areas}) == len(areas)

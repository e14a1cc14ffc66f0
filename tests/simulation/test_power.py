"""Power over time: integrals, states, the module's supply, and the peak over a window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.hardware.chip import StaticPower
from dse.simulation import (
    Periodic,
    Poisson,
    Policy,
    Task,
    Trace,
    chrome_trace,
    simulate,
    simulate_alone,
    write_trace,
)
from dse.simulation.power import module_power, window_peak

from .conftest import fixed, make_chip, make_layer, make_program, resnet_like


def test_energy_is_the_integral_in_every_scope() -> None:
    chip = make_chip(cores=2, power_gating=True)
    tasks = [
        Task("a", resnet_like(8), Poisson(300.0), 5e-3, cores=(0, 1)),
        Task("b", fixed("b", 1e-4), Periodic(700.0, jitter_s=1e-4), 1e-3, cores=(1,)),
    ]
    result = simulate(chip, tasks, Policy(horizon_s=0.05))
    widths = np.diff(result.edges_s)
    assert result.edges_s[0] == 0.0
    assert result.edges_s[-1] == 0.05
    for name, values in result.power_w.items():
        assert min(values) >= 0.0
        assert result.energy_j[name] == pytest.approx(float(np.dot(values, widths)), rel=1e-9)
    total = sum(np.array(values) for values in result.power_w.values())
    module = [chip.pmic.input_w(float(load)) for load in np.atleast_1d(total)]
    assert result.module_w == pytest.approx(module, rel=1e-12)
    energy = result.scope_energy_j
    assert energy["module"] == pytest.approx(float(np.dot(module, widths)), rel=1e-9)
    assert energy["die_dram"] == pytest.approx(sum(result.energy_j.values()), rel=1e-9)
    assert energy["npu"] < energy["die"] < energy["die_dram"] < energy["module"]
    static = sum(j for name, j in result.energy_j.items() if name.startswith("static."))
    assert sum(result.state_energy_j.values()) == pytest.approx(static, rel=1e-9)
    for name, joules in result.static_j.items():
        assert joules == pytest.approx(result.energy_j[f"static.{name}"], rel=1e-9)
    for scope, joules in energy.items():
        assert result.average_power_w[scope] == pytest.approx(joules / 0.05)
        assert result.peak_power_w[scope] >= result.average_power_w[scope]


def test_contention_stretches_power_and_keeps_energy() -> None:
    bound = make_program("b", [make_layer("a", steps=100, cycles=100.0, dram=1000.0)])
    tasks = [Task(f"t{k}", bound, Trace((0.0,)), cores=(k,)) for k in range(2)]
    both = simulate(make_chip(cores=2, static=()), tasks, Policy(horizon_s=1e-3))
    one = simulate(make_chip(cores=2, static=()), tasks[:1], Policy(horizon_s=1e-3))
    assert both.energy_j["mac"] == pytest.approx(2 * one.energy_j["mac"], rel=1e-9)
    assert max(both.power_w["mac"]) == pytest.approx(max(one.power_w["mac"]), rel=1e-9)


def test_idle_chip_draws_its_states() -> None:
    """By hand: one job of 1 ms at 4 ms; both gateable parts sleep before and after it."""
    chip = make_chip(power_gating=True)
    task = Task("t", fixed("t", 1e-3), Trace((4e-3,)))
    result = simulate(chip, [task], Policy(horizon_s=0.01))
    (job,) = result.jobs
    assert job.start_s == 4e-3
    assert job.finish_s == pytest.approx(5e-3 + 2e-6)  # waits for the slower of the two wakes
    # The array breaks even after 1e-8 J / 1.9 mW = 5.26 us, the DRAM after max(5e-9 J / 7 mW, 1 us)
    wait = 1e-8 / 1.9e-3
    slept = (4e-3 - wait) + (5e-3 - 2e-6 - wait)
    array = 1e-4 * slept + 2e-3 * (2 * wait + 2e-6) + 1e-8 + 5e-3 * 1e-3
    assert result.energy_j["static.array"] == pytest.approx(array, rel=1e-9)
    slept = (4e-3 - 1e-6) + (5e-3 - 2e-6 - 1e-6)
    dram = 1e-3 * slept + 8e-3 * 3e-6 + 5e-9 + 2e-2 * (1e-3 + 1e-6)
    assert result.energy_j["static.dram"] == pytest.approx(dram, rel=1e-9)
    assert result.energy_j["static.always_on"] == pytest.approx(3e-5, rel=1e-9)


def test_without_power_gating_only_the_dram_sleeps() -> None:
    task = Task("t", fixed("t", 1e-3), Trace((4e-3,)))
    result = simulate(make_chip(), [task], Policy(horizon_s=0.01))
    busy = 1e-3 + 1e-6  # waking the DRAM included
    array = 5e-3 * busy + 2e-3 * (0.01 - busy)
    assert result.energy_j["static.array"] == pytest.approx(array, rel=1e-9)
    assert result.jobs[0].finish_s == pytest.approx(5e-3 + 1e-6)


def test_short_gaps_are_not_worth_gating() -> None:
    part = StaticPower("array", "npu", 5e-3, 2e-3, 0.0, per_core=True, wake_s=1e-6, wake_j=4e-6)
    chip = make_chip(static=(part,), power_gating=True)
    task = Task("t", fixed("t", 1e-4), Periodic(1000.0))
    result = simulate(chip, [task], Policy(horizon_s=0.1))
    assert result.state_energy_j["wake"] == 0.0  # break-even is 2 ms, gaps are 0.9 ms
    sparse = Task("t", fixed("t", 1e-4), Periodic(100.0))
    result = simulate(chip, [sparse], Policy(horizon_s=0.1))
    assert result.state_energy_j["wake"] == pytest.approx(9 * (4e-6 + 2e-3 * 1e-6), rel=1e-9)


def test_wake_energy_without_wake_time_is_not_lost() -> None:
    part = StaticPower("array", "npu", 5e-3, 2e-3, 0.0, wake_j=1e-6)
    chip = make_chip(static=(part,), power_gating=True)
    task = Task("t", fixed("t", 1e-3), Trace((5e-3,)))
    result = simulate(chip, [task], Policy(horizon_s=6e-3))
    assert result.energy_j["static.array"] == pytest.approx(1e-6 + 1e-6 + 5e-6, rel=1e-9)


@settings(max_examples=60)
@given(
    widths=st.lists(st.floats(1e-3, 2.0), min_size=1, max_size=12),
    watts=st.lists(st.floats(0.0, 10.0), min_size=12, max_size=12),
    window=st.floats(0.01, 5.0),
)
def test_peak_over_a_window_equals_brute_force(
    widths: list[float], watts: list[float], window: float
) -> None:
    edges = np.concatenate([[0.0], np.cumsum(widths)])
    power = np.array(watts[: len(widths)])
    window = min(window, float(edges[-1]))

    def mean(start: float) -> float:
        overlap = np.minimum(edges[1:], start + window) - np.maximum(edges[:-1], start)
        return float(np.dot(np.maximum(overlap, 0.0), power)) / window

    peak = window_peak(edges, power, window)
    starts = np.linspace(0.0, float(edges[-1]) - window, 2001)
    sampled = max(mean(float(start)) for start in starts)
    spacing = float(edges[-1]) / 2000
    assert peak >= sampled * (1 - 1e-9) - 1e-12
    assert peak <= sampled + 2 * spacing / window * float(power.max()) + 1e-9
    corners = [c for e in edges for c in (e, e - window) if 0 <= c <= edges[-1] - window]
    assert peak == pytest.approx(max(map(mean, [0.0, *corners])), rel=1e-6, abs=1e-9)


def test_module_power_is_the_pmic_for_arrays() -> None:
    pmic = make_chip().pmic
    loads = np.array([0.0, 0.001, 0.02, 0.05, 0.2, 5.0])
    assert list(module_power(pmic, loads)) == pytest.approx([pmic.input_w(x) for x in loads])


def test_trace_is_readable_and_complete(tmp_path: Path) -> None:
    result = simulate_alone(make_chip(cores=2), resnet_like(3), trace=True)
    path = tmp_path / "trace.json"
    write_trace(result, path)
    events = json.loads(path.read_text())["traceEvents"]
    assert events == chrome_trace(result)["traceEvents"]
    layers = [event for event in events if event["ph"] == "X" and event["pid"] == 1]
    assert [event["name"] for event in layers] == ["invoke", "layer0", "layer1", "layer2"]
    assert sum(event["dur"] for event in layers) == pytest.approx(result.horizon_s * 1e6)
    assert layers[1]["args"]["bottleneck"] in ("array", "dram")
    names = {e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    assert names == {"core0", "core1", "resnet-like", "dram", "host"}
    counters = {event["name"] for event in events if event["ph"] == "C"}
    assert {"power.npu", "power.module", "static.dram", "mac"} <= counters
    assert sum(event["ph"] == "b" for event in events) == 1
    assert simulate_alone(make_chip(), resnet_like(3)).intervals == ()

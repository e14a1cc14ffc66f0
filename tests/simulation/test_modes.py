"""Operating points and governors, temperature, and the ladder of sleep states."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.hardware.chip import Chip, Dvfs, StaticPower
from dse.hardware.modes import Governor, SleepState, Thermal
from dse.simulation import (
    Periodic,
    Poisson,
    Policy,
    Task,
    Trace,
    simulate,
    task_stats,
)
from dse.simulation.gating import Gates, ladder
from dse.simulation.thermal import settle_c

from .conftest import fixed, make_chip, make_layer, make_program

LEAK = StaticPower("leak", "npu", 0.1, 0.1, 0.1)
#: 256 MACs of 1 pJ and 512 bits of 10 fJ from the buffer in a cycle of 1 ns.
BUSY_W = 0.256 + 0.00512


def scaled_chip(
    governor: Governor,
    *,
    cores: int = 1,
    transition_s: float = 1e-5,
    margin: float = 0.0,
    static: tuple[StaticPower, ...] = (LEAK,),
) -> Chip:
    """1 GHz at 4x the energy of 500 MHz, and 250 MHz at the energy of 500 MHz."""
    full = make_chip(cores=cores, static=static)
    low = {name: price / 4.0 for name, price in full.prices.items()}
    less = tuple(
        dataclasses.replace(p, active_w=p.active_w / 2, idle_w=p.idle_w / 2, gated_w=p.gated_w / 2)
        for p in static
    )
    half = dataclasses.replace(full, f_hz=5e8, prices=low, static=less)
    quarter = dataclasses.replace(half, f_hz=2.5e8)
    dvfs = Dvfs((quarter, half), transition_s, 1e-7, margin, governor)
    return dataclasses.replace(full, dvfs=dvfs)


def test_fixed_stays_at_its_own_point() -> None:
    task = Task("t", fixed("t", 1e-3), Periodic(100.0), 1e-2)
    plain = simulate(make_chip(static=(LEAK,)), [task], Policy(horizon_s=0.1))
    chosen = simulate(scaled_chip("fixed"), [task], Policy(horizon_s=0.1))
    assert dataclasses.replace(chosen, events=0) == dataclasses.replace(plain, events=0)
    assert chosen.clock_hz == ((0.0, 1e9),)


def test_deadline_aware_takes_the_slowest_point_that_is_in_time() -> None:
    """1 ms of work in a deadline of 10, 3 and 1.5 ms: 250 MHz, 500 MHz and 1 GHz will do."""
    for deadline_s, clock_hz in ((1e-2, 2.5e8), (3e-3, 5e8), (1.5e-3, 1e9)):
        task = Task("t", fixed("t", 1e-3), Periodic(100.0), deadline_s)
        timeline = simulate(scaled_chip("deadline_aware"), [task], Policy(horizon_s=0.1))
        assert not any(job.missed for job in timeline.jobs)
        assert timeline.clock_hz == ((0.0, clock_hz),)
        (stats,) = task_stats(timeline, [task])
        assert stats.latency_max_s == pytest.approx(1e-3 * 1e9 / clock_hz)
        price = 1e-12 if clock_hz == 1e9 else 2.5e-13
        assert timeline.energy_j["mac"] == pytest.approx(10 * 1e6 * 256 * price, rel=1e-9)


def test_deadline_aware_speeds_up_when_jobs_pile_up_and_down_again() -> None:
    """A burst of a second stream arrives; both make their deadlines, and the burst costs a rise."""
    burst = tuple(0.05 + 1e-4 * k for k in range(4))
    tasks = [
        Task("steady", fixed("s", 1e-3, tiles=50), Periodic(50.0), 2e-2),
        Task("burst", fixed("b", 1e-3, tiles=50), Trace(burst), 8e-3),
    ]
    chip = scaled_chip("deadline_aware", transition_s=5e-5)
    timeline = simulate(chip, tasks, Policy("edf", "segment", horizon_s=0.2))
    assert not any(job.missed for job in timeline.jobs)
    clocks = [hz for _, hz in timeline.clock_hz]
    assert clocks[0] == clocks[-1] == 2.5e8
    assert max(clocks) > 2.5e8
    assert timeline.energy_j["static.dvfs"] == pytest.approx(1e-7 * (len(clocks) - 1))
    fixed_point = simulate(scaled_chip("fixed"), tasks, Policy("edf", "segment", horizon_s=0.2))
    assert timeline.energy_j["mac"] < 0.8 * fixed_point.energy_j["mac"]


@pytest.mark.parametrize("seed", range(4))
def test_deadline_aware_misses_no_more_than_full_speed_and_costs_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tasks = [
        Task(f"t{k}", fixed(f"t{k}", t, tiles=40), Periodic(rate, jitter_s=1e-3), 0.9 / rate)
        for k, (t, rate) in enumerate(
            zip(rng.uniform(5e-4, 2e-3, 3), rng.uniform(30.0, 90.0, 3), strict=True)
        )
    ]
    policy = Policy("edf", "segment", horizon_s=0.5, seed=seed)
    fast = simulate(scaled_chip("fixed"), tasks, policy)
    slow = simulate(scaled_chip("deadline_aware", margin=0.05), tasks, policy)
    assert not any(job.missed for job in fast.jobs)
    assert not any(job.missed for job in slow.jobs)
    assert slow.scope_energy_j["module"] < fast.scope_energy_j["module"]


def test_race_to_idle_runs_at_full_speed_and_rests_at_the_slowest_point() -> None:
    task = Task("t", fixed("t", 1e-3), Trace((0.01, 0.03)), 5e-3)
    timeline = simulate(scaled_chip("race_to_idle"), [task], Policy(horizon_s=0.05))
    assert [hz for _, hz in timeline.clock_hz] == [2.5e8, 1e9, 2.5e8, 1e9, 2.5e8]
    (stats,) = task_stats(timeline, [task])
    assert stats.latency_max_s == pytest.approx(1e-3 + 1e-5)  # one transition up first
    high = 2 * (1e-3 + 1e-5)  # at the own point: the work and the transition down
    leak = 0.1 * high + 0.05 * (0.05 - high)
    assert timeline.energy_j["static.leak"] == pytest.approx(leak, rel=1e-9)


def test_a_change_of_point_in_the_middle_of_a_tile_loses_no_work() -> None:
    chip = scaled_chip("race_to_idle", cores=2, static=())
    layer = make_layer("l", steps=10, cycles=1e5, dram=3e4, fill_weight=500.0)
    tasks = [
        Task(f"t{core}", make_program("p", [layer]), Trace((1e-3 + 3.3e-4 * core,)), cores=(core,))
        for core in range(2)
    ]
    timeline = simulate(chip, tasks, Policy(horizon_s=0.02))
    assert timeline.completed == {"t0": 1, "t1": 1}
    assert timeline.link_bytes["dram"] == pytest.approx(2 * (10 * 3e4 + 500.0), rel=1e-9)
    assert timeline.busy_s["dram"] <= 0.02


def test_the_same_input_gives_the_same_bits_with_everything_on() -> None:
    chip = dataclasses.replace(scaled_chip("deadline_aware", cores=2), thermal=thermal(limit=28.0))
    tasks = [
        Task("a", fixed("a", 1e-3, tiles=9), Poisson(300.0), 5e-3, cores=(0, 1)),
        Task("b", fixed("b", 2e-3, tiles=9), Periodic(200.0, jitter_s=1e-3), 9e-3, cores=(1, 0)),
    ]
    policy = Policy("edf", "segment", horizon_s=0.2, seed=3)
    first = simulate(chip, tasks, policy, trace=True)
    assert first == simulate(chip, tasks, policy, trace=True)
    widths = np.diff(first.edges_s)
    for name, values in first.power_w.items():
        assert first.energy_j[name] == pytest.approx(float(np.dot(values, widths)), rel=1e-9)
    module = float(np.dot(first.module_w, widths))
    assert first.scope_energy_j["module"] == pytest.approx(module, rel=1e-9)


# Temperature


def thermal(*, limit: float = 105.0, tick: float = 1e-4, doubling: float = 0.0) -> Thermal:
    """R = 50 K/W, C = 0.2 mJ/K: a time constant of 10 ms; leakage doubles every ``doubling`` K."""
    grid = (25.0, 145.0)
    scale = {"leak": (1.0, 2.0 ** (120.0 / doubling) if doubling else 1.0)}
    return Thermal(50.0, 2e-4, 25.0, 25.0, limit, 2.0, tick, grid, scale)


def test_temperature_follows_the_exponential_of_the_rc_equation() -> None:
    chip = dataclasses.replace(make_chip(static=(LEAK,)), thermal=thermal())
    task = Task("t", fixed("t", 0.02), Trace((0.0,)))
    timeline = simulate(chip, [task], Policy(horizon_s=0.06))
    power = 0.1 + BUSY_W
    for time, celsius in timeline.junction_c:
        if time <= 0.02:
            expected = 25.0 + 50.0 * power * (1.0 - math.exp(-time / 0.01))
        else:
            top = 50.0 * power * (1.0 - math.exp(-2.0))
            expected = 25.0 + 5.0 + (top - 5.0) * math.exp(-(time - 0.02) / 0.01)
        assert celsius == pytest.approx(expected, abs=0.02)
    assert settle_c(thermal(), 25.0, 1.0, 1e9) == pytest.approx(75.0)


def test_leakage_follows_the_temperature_to_its_fixed_point() -> None:
    """T = 25 + 50 (0.1 * 2^((T - 25) / 20)) has a stable solution near 31.45 C."""
    chip = dataclasses.replace(make_chip(static=(LEAK,)), thermal=thermal(doubling=20.0))
    task = Task("t", fixed("t", 1e-6), Trace((0.0,)))
    timeline = simulate(chip, [task], Policy(horizon_s=0.2))
    final = timeline.junction_c[-1][1]
    assert final == pytest.approx(25.0 + 5.0 * 2.0 ** ((final - 25.0) / 20.0), abs=0.01)
    assert timeline.power_w["static.leak"][-1] == pytest.approx(
        0.1 * 2.0 ** ((final - 25.0) / 20.0), rel=1e-3
    )
    assert timeline.energy_j["static.leak"] > 0.1 * 0.2


def test_throttling_keeps_the_junction_at_its_limit() -> None:
    """Full load would reach 42.8 C; at 35 C the chip goes a point down, and work takes longer."""
    tasks = [Task("t", fixed("t", 1e-3, tiles=20), Trace((0.0,) * 60), late="keep")]
    cool = simulate(scaled_chip("fixed"), tasks, Policy(horizon_s=0.2))
    chip = dataclasses.replace(scaled_chip("fixed"), thermal=thermal(limit=35.0))
    hot = simulate(chip, tasks, Policy(horizon_s=0.2))
    assert hot.throttled > 0
    assert max(celsius for _, celsius in hot.junction_c) < 35.3
    assert hot.jobs[-1].finish_s is not None
    assert cool.jobs[-1].finish_s is not None
    assert hot.jobs[-1].finish_s > 1.2 * cool.jobs[-1].finish_s
    assert not hot.reasons
    macs = cool.energy_j["mac"]
    assert 0.25 * macs < hot.energy_j["mac"] < macs


def test_a_chip_that_cannot_be_cooled_says_so() -> None:
    chip = dataclasses.replace(make_chip(static=(LEAK,)), thermal=thermal(limit=40.0))
    task = Task("t", fixed("t", 1e-3), Periodic(1000.0))
    (reason,) = simulate(chip, [task], Policy(horizon_s=0.1)).reasons
    assert (reason.kind, reason.subject, reason.limit) == ("thermal", "junction", 40.0)
    assert reason.value == pytest.approx(25.0 + 50.0 * (0.1 + BUSY_W), abs=0.1)
    assert "above the limit of 40 C" in reason.message


# Sleep states


def test_the_ladder_is_the_lower_envelope_of_the_costs() -> None:
    """Idle 10 mW; gated clock 6 mW for nothing; retention 2 mW for 4 uJ; off 0 mW for 20 uJ."""
    part = StaticPower(
        "core",
        "npu",
        20e-3,
        10e-3,
        0.0,
        wake_s=1e-5,
        wake_j=20e-6,
        sleeps=(
            SleepState("clock_gated", 6e-3),
            SleepState("useless", 5.9e-3, wake_j=19e-6),
            SleepState("retention", 2e-3, wake_s=1e-6, wake_j=4e-6),
        ),
    )
    chip = make_chip(static=(part,), power_gating=True)
    steps = ladder(part, chip)
    assert [(round(t, 9), s.name) for t, s in steps] == [
        (0.0, "clock_gated"),
        (1e-3, "retention"),
        (8e-3, "gated"),
    ]
    task = Task("t", fixed("t", 1e-3), Trace((0.0, 0.021)))
    timeline = simulate(chip, [task], Policy(horizon_s=0.03))
    energy = timeline.state_energy_j
    second = 0.022 + 1e-5  # when the second job ends
    assert energy["active"] == pytest.approx(20e-3 * 2e-3)
    assert energy["idle"] == pytest.approx(0.0)
    assert energy["clock_gated"] == pytest.approx(6e-3 * 2e-3)
    assert energy["retention"] == pytest.approx(2e-3 * (7e-3 + (0.03 - second) - 1e-3), rel=1e-6)
    assert energy["gated"] == 0.0
    assert energy["wake"] == pytest.approx(10e-3 * 1e-5 + 20e-6)
    assert sum(energy.values()) == pytest.approx(timeline.energy_j["static.core"], rel=1e-9)


def test_waking_costs_its_energy_also_on_the_way_to_sleep() -> None:
    """Waking takes no time and 2 uJ; the job comes in the middle of entering (1 ms)."""
    state = SleepState("deep", 0.0, entry_s=1e-3, entry_j=1e-6, wake_j=2e-6)
    part = StaticPower("core", "npu", 5e-3, 2e-3, 2e-3, sleeps=(state,))
    task = Task("t", fixed("t", 1e-3), Trace((2e-3,)))
    timeline = simulate(make_chip(static=(part,)), [task], Policy(horizon_s=3.5e-3))
    # Idle at 2 mW to 1.5 ms, entering to 2.5 ms, active at 5 mW for 1 ms.
    assert timeline.jobs[0].finish_s == pytest.approx(3.5e-3)
    expected = 2e-3 * 2.5e-3 + 1e-6 + 2e-6 + 5e-3 * 1e-3
    assert timeline.energy_j["static.core"] == pytest.approx(expected, rel=1e-9)


@settings(max_examples=80)
@given(
    states=st.lists(
        st.tuples(*(st.floats(0.0, top) for top in (9e-3, 3e-3, 1e-5, 1e-3, 1e-5))), max_size=4
    ),
    gaps=st.lists(st.floats(1e-6, 2e-2), min_size=1, max_size=6),
)
def test_states_follow_each_other_in_time(
    states: list[tuple[float, ...]], gaps: list[float]
) -> None:
    """Whatever the states cost and take: one after another, and every joule is in some state."""
    ladder_ = sorted((SleepState(f"s{k}", *one) for k, one in enumerate(states)),
                     key=lambda state: -state.power_w)  # fmt: skip
    sleeps = tuple(
        dataclasses.replace(state, entry_j=state.entry_j if state.entry_s > 0.0 else 0.0)
        for state in ladder_
    )
    part = StaticPower("core", "npu", 2e-2, 1e-2, 1e-2, sleeps=sleeps)
    chip = make_chip(static=(part,))
    gates = Gates(chip)
    sleeper = gates.sleepers[0][1][0]
    now = 0.0
    for gap in gaps:
        now += gap
        now = max(now, sleeper.take(now)) + 1e-3
        sleeper.idle(now)
    assert all(a <= b for a, b in itertools.pairwise(sleeper.times))
    releases = tuple(itertools.accumulate(gaps))
    task = Task("t", fixed("t", 1e-5), Trace(releases))
    timeline = simulate(chip, [task], Policy(horizon_s=0.2))
    total = sum(timeline.state_energy_j.values())
    assert total == pytest.approx(timeline.energy_j["static.core"], rel=1e-9)
    assert all(value >= 0.0 for value in timeline.power_w["static.core"])


def test_a_job_waits_for_a_part_that_is_on_its_way_to_sleep() -> None:
    """Entering takes 2 ms from 1 ms on; the job of 1.5 ms after the gap began waits for both."""
    state = SleepState("deep", 0.0, entry_s=2e-3, entry_j=1e-6, wake_s=1e-4, wake_j=2e-6)
    part = StaticPower("core", "npu", 5e-3, 2e-3, 2e-3, sleeps=(state,))
    chip = make_chip(static=(part,))
    assert ladder(part, chip) == [(pytest.approx(2.1e-3), state)]
    task = Task("t", fixed("t", 1e-3), Trace((3e-3,)))
    timeline = simulate(chip, [task], Policy(horizon_s=0.01))
    assert timeline.jobs[0].finish_s == pytest.approx(4.1e-3 + 1e-4 + 1e-3)
    # idle to 2.1 ms, entering (at idle power, + 1 uJ) to 4.1 ms, waking, active, idle, entering
    end = 5.2e-3
    idle = 2e-3 * (2.1e-3 + 2e-3 + 1e-4 + 2.1e-3 + 2e-3)
    expected = idle + 2 * 1e-6 + 2e-6 + 5e-3 * 1e-3
    assert end + 2.1e-3 + 2e-3 < 0.01
    assert timeline.energy_j["static.core"] == pytest.approx(expected, rel=1e-9)

"""Known answers of queueing and real-time theory, and the rules for late and triggered jobs."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from dse.hardware.chip import StaticPower
from dse.simulation import (
    Periodic,
    Poisson,
    Policy,
    Task,
    TaskStats,
    Timeline,
    Trace,
    Triggered,
    simulate,
    task_stats,
)

from .conftest import fixed, make_chip, make_layer, make_program


def stats_of(timeline: Timeline, tasks: list[Task]) -> dict[str, TaskStats]:
    return {one.name: one for one in task_stats(timeline, tasks)}


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_mean_wait_of_m_d_1(load: float) -> None:
    """Pollaczek-Khinchine with constant service D: mean wait = load D / (2 (1 - load))."""
    service = 1e-3
    task = Task("t", fixed("t", service), Poisson(load / service))
    waits = []
    for seed in range(12):
        policy = Policy("fifo", "none", horizon_s=5.0, seed=seed)
        jobs = simulate(make_chip(static=()), [task], policy).jobs
        started = [job.start_s - job.release_s for job in jobs if job.start_s is not None]
        waits.append(float(np.mean(started)))
    theory = load * service / (2.0 * (1.0 - load))
    error = float(np.std(waits, ddof=1)) / math.sqrt(len(waits))
    assert abs(np.mean(waits) - theory) < 3.5 * error
    assert error < 0.08 * theory


def textbook(tiles: int) -> list[Task]:
    """C = 2 of T = 5 and C = 4 of T = 7 (ms): U = 0.971 (Buttazzo, Hard Real-Time Systems)."""
    return [
        Task("t1", fixed("t1", 2e-3, tiles=tiles), Periodic(200.0), 5e-3),
        Task("t2", fixed("t2", 4e-3, tiles=2 * tiles), Periodic(1.0 / 7e-3), 7e-3),
    ]


def test_edf_meets_where_rate_monotonic_misses() -> None:
    tasks = textbook(tiles=200)
    edf = simulate(make_chip(static=()), tasks, Policy("edf", "segment", horizon_s=0.35))
    rm = simulate(make_chip(static=()), tasks, Policy("rm", "segment", horizon_s=0.35))
    assert sum(job.missed for job in edf.jobs) == 0
    assert stats_of(edf, tasks)["t1"].judged == 70
    late = stats_of(rm, tasks)
    assert late["t1"].missed == 0
    assert late["t2"].missed > 0
    # The first job of t2 is preempted at 5 ms and ends at 8 ms, within a tile (10 us).
    first = next(job for job in rm.jobs if job.task == "t2")
    assert first.finish_s == pytest.approx(8e-3, abs=1e-5)


def test_a_harmonic_set_at_full_load_is_met_by_rate_monotonic() -> None:
    tasks = [
        Task("a", fixed("a", 1e-3, tiles=100), Periodic(500.0), 2e-3),
        Task("b", fixed("b", 2e-3, tiles=200), Periodic(250.0), 4e-3),
    ]
    result = simulate(make_chip(static=()), tasks, Policy("rm", "segment", horizon_s=0.1))
    assert sum(job.missed for job in result.jobs) == 0
    assert result.busy_s["core0"] == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize(("preemption", "blocked"), [("segment", 1), ("layer", 50), ("none", 100)])
def test_blocking_is_bounded_by_the_preemption_point(preemption: str, blocked: int) -> None:
    """An urgent job waits for one tile (10 us), one layer of 50 tiles, or the whole job."""
    layers = [make_layer(f"l{k}", steps=50, cycles=1e4) for k in range(2)]
    tasks = [
        Task("low", make_program("low", layers), Trace((0.0,)), deadline_s=1.0),
        Task("high", fixed("high", 1e-4), Trace((1.23456e-4,)), deadline_s=2e-3),
    ]
    policy = Policy("edf", preemption, horizon_s=0.01)  # type: ignore[arg-type]
    high = next(
        job for job in simulate(make_chip(static=()), tasks, policy).jobs if job.task == "high"
    )
    assert high.start_s is not None
    ends = {"segment": 1.3e-4, "layer": 5e-4, "none": 1e-3}
    assert high.start_s == pytest.approx(ends[preemption], rel=1e-9)
    assert high.start_s - high.release_s <= blocked * 1e-5


def test_a_preempted_job_loads_its_tile_again() -> None:
    """Both streams pay their own bytes once, the preempted one its layer's fill twice."""
    layer = make_layer("l", steps=50, cycles=1e4, dram=10.0, fill_weight=3000.0, fill_other=2000.0)
    tasks = [
        Task("low", make_program("low", [layer]), Trace((0.0,)), deadline_s=1.0),
        Task("high", fixed("high", 1e-4), Trace((1.2345e-4,)), deadline_s=2e-3),
    ]
    quiet = simulate(make_chip(static=()), tasks, Policy("edf", "none", horizon_s=0.01))
    result = simulate(
        make_chip(static=()), tasks, Policy("edf", "segment", horizon_s=0.01), trace=True
    )
    assert quiet.link_bytes["dram"] == pytest.approx(5500.0)
    assert result.link_bytes["dram"] == pytest.approx(10500.0)
    assert [interval.layer for interval in result.intervals] == ["l", "high", "l (refill)", "l"]
    low = next(job for job in result.jobs if job.task == "low")
    assert low.finish_s == pytest.approx(5e-4 + 5e-6 + 1e-4 + 5e-6, rel=1e-9)
    extra = result.energy_j["dram"] - quiet.energy_j["dram"]
    assert extra == pytest.approx(8 * 5000.0 * 4e-12, rel=1e-9)


def test_at_a_layer_boundary_only_prefetched_weights_are_loaded_again() -> None:
    layers = [
        make_layer("a", steps=10, cycles=1e4),
        make_layer("b", steps=10, cycles=1e4, fill_weight=700.0, fill_other=300.0),
    ]
    tasks = [
        Task("low", make_program("low", layers), Trace((0.0,)), deadline_s=1.0),
        Task("high", fixed("high", 1e-4), Trace((5e-5,)), deadline_s=2e-3),
    ]
    result = simulate(make_chip(static=()), tasks, Policy("edf", "layer", horizon_s=0.01))
    assert result.link_bytes["dram"] == pytest.approx(1000.0 + 700.0)


def test_a_job_preempted_inside_a_layer_puts_its_last_tile_away() -> None:
    """The output of the tile before is still in the buffer: 800 bytes go out before it yields."""
    layer = make_layer("l", steps=50, cycles=1e4, fill_weight=3000.0, fill_other=0.0, drain=800.0)
    tasks = [
        Task("low", make_program("low", [layer]), Trace((0.0,)), deadline_s=1.0),
        Task("high", fixed("high", 1e-4), Trace((1.2345e-4,)), deadline_s=2e-3),
    ]
    policy = Policy("edf", "segment", horizon_s=0.01)
    result = simulate(make_chip(static=()), tasks, policy, trace=True)
    assert [i.layer for i in result.intervals] == ["l", "l (save)", "high", "l (refill)", "l"]
    assert result.link_bytes["dram"] == pytest.approx(3000.0 + 800.0 + 3000.0 + 800.0)
    high = next(job for job in result.jobs if job.task == "high")
    assert high.start_s == pytest.approx(
        3e-6 + 1.3e-4 + 8e-7, rel=1e-9
    )  # blocked by a tile, a save


def test_a_job_that_comes_while_another_loads_again_waits_for_that_and_no_more() -> None:
    """A refill of 5 us has no step to stop at: the second urgent job waits for its end, not for
    the 800 us of tiles after it; nothing new was made that would have to be put away."""
    layer = make_layer("l", steps=1000, cycles=1000.0, fill_other=5000.0, drain=400.0)
    tasks = [
        Task("low", make_program("low", [layer]), Trace((0.0,)), deadline_s=1.0),
        Task("high", fixed("high", 1e-5), Trace((1.005e-4, 1.13e-4)), deadline_s=2e-3),
    ]
    policy = Policy("edf", "segment", horizon_s=0.01)
    timeline = simulate(make_chip(static=()), tasks, policy, trace=True)
    high = [job for job in timeline.jobs if job.task == "high"]
    # One tile ends at 101 us, its save at 101.4; the refill from 111.4 to 116.4 us.
    assert [job.start_s for job in high] == pytest.approx([1.014e-4, 1.164e-4], rel=1e-9)
    assert [i.layer for i in timeline.intervals] == [
        "l", "l (save)", "high", "l (refill)", "high", "l (refill)", "l",
    ]  # fmt: skip
    assert timeline.link_bytes["dram"] == pytest.approx(3 * 5000.0 + 2 * 400.0)


def test_a_job_that_comes_while_another_wakes_the_core_waits_for_a_tile_at_most() -> None:
    core = StaticPower("core", "npu", 5e-3, 2e-3, 0.0, per_core=True, wake_s=5e-5, wake_j=1e-8)
    chip = make_chip(static=(core,), power_gating=True)
    tasks = [
        Task("low", fixed("low", 1e-3, tiles=1000), Trace((0.01,)), deadline_s=1.0),
        Task("high", fixed("high", 1e-5), Trace((0.01002,)), deadline_s=2e-3),
    ]
    timeline = simulate(chip, tasks, Policy("edf", "segment", horizon_s=0.02))
    low, high = timeline.jobs
    assert high.start_s == pytest.approx(0.01005, rel=1e-9)
    assert low.finish_s == pytest.approx(0.01006 + 1e-3, rel=1e-9)


@pytest.mark.parametrize(("preemption", "tiles_done"), [("layer", 20), ("segment", 7)])
def test_a_fused_group_is_left_between_blocks_and_never_between_its_members(
    preemption: str, tiles_done: int
) -> None:
    """Two members of 10 blocks each pass tiles through the buffer; the group has one fill."""
    members = [
        dataclasses.replace(
            make_layer(f"m{k}", steps=10, cycles=1e4, fill_weight=500.0 * (k == 0)), fused="g0"
        )
        for k in range(2)
    ]
    tasks = [
        Task(
            "low",
            make_program("low", [*members, make_layer("after", steps=1)]),
            Trace((0.0,)),
            deadline_s=1.0,
        ),
        Task("high", fixed("high", 1e-4), Trace((6.5e-5,)), deadline_s=2e-3),
    ]
    policy = Policy("edf", preemption, horizon_s=0.01)  # type: ignore[arg-type]
    result = simulate(make_chip(static=()), tasks, policy)
    high = next(job for job in result.jobs if job.task == "high")
    assert high.start_s == pytest.approx(5e-7 + tiles_done * 1e-5, rel=1e-9)
    refills = 500.0 if preemption == "segment" else 0.0
    assert result.link_bytes["dram"] == pytest.approx(500.0 + refills)
    late = Task("high", fixed("high", 1e-4), Trace((1.35e-4,)), deadline_s=2e-3)
    result = simulate(make_chip(static=()), [tasks[0], late], policy)
    # In the second member too, the whole group's first block is fetched again.
    assert result.link_bytes["dram"] == pytest.approx(500.0 + refills)


@pytest.mark.parametrize("load", [1.25, 2.0, 10.0])
@pytest.mark.parametrize("late", ["keep", "drop", "skip"])
@pytest.mark.parametrize("scheduler", ["edf", "fifo"])
def test_overload_misses_at_least_what_does_not_fit(load: float, late: str, scheduler: str) -> None:
    task = Task(
        "t",
        fixed("t", 1e-3),
        Periodic(load * 1e3),
        deadline_s=3e-3,
        late=late,  # type: ignore[arg-type]
    )
    policy = Policy(scheduler, "none", horizon_s=1.0)  # type: ignore[arg-type]
    result = simulate(make_chip(static=()), [task], policy)
    stats = task_stats(result, [task])[0]
    assert stats.missed_fraction >= 1.0 - 1.0 / load - 4.0 / stats.judged
    assert stats.missed == sum(job.missed for job in result.jobs) <= stats.released
    assert {reason.kind for reason in result.reasons} >= {"overload"}
    assert result.offered_load["core0"] == pytest.approx(load)
    if late == "keep":
        assert stats.dropped == 0
        assert result.backlog["t"] > 100
        return
    assert stats.dropped > 0
    assert result.backlog["t"] < 5 + 4e-3 * load * 1e3
    if late == "skip":  # no time is lost on frames that cannot make it
        assert stats.missed_fraction == pytest.approx(1.0 - 1.0 / load, abs=0.01)


def test_a_job_that_is_not_due_at_the_horizon_is_not_judged() -> None:
    task = Task("t", fixed("t", 1e-3), Trace((0.0, 9.5e-3)), deadline_s=2e-3)
    stats = task_stats(simulate(make_chip(static=()), [task], Policy(horizon_s=0.01)), [task])[0]
    assert (stats.released, stats.judged, stats.completed, stats.missed) == (2, 1, 1, 0)
    tight = Task("t", fixed("t", 1e-3), Trace((0.0, 9.5e-3)), deadline_s=1e-4)
    stats = task_stats(simulate(make_chip(static=()), [tight], Policy(horizon_s=0.01)), [tight])[0]
    assert (stats.judged, stats.completed, stats.missed) == (2, 1, 2)


def test_impossible_deadline_is_named_with_its_gap() -> None:
    task = Task("cam", fixed("t", 3e-3), Periodic(10.0), deadline_s=1e-3)
    (reason,) = simulate(make_chip(static=()), [task], Policy()).reasons
    assert (reason.kind, reason.subject) == ("deadline", "cam")
    assert (reason.value, reason.limit) == (pytest.approx(3e-3), 1e-3)


def test_fixed_priority_and_ties() -> None:
    tasks = [
        Task("late", fixed("a", 1e-3), Trace((0.0,)), priority=2),
        Task("soon", fixed("b", 1e-3), Trace((0.0,)), priority=1),
        Task("also", fixed("c", 1e-3), Trace((0.0,)), priority=1),
    ]
    result = simulate(make_chip(static=()), tasks, Policy("fixed", horizon_s=0.01))
    starts = {job.task: job.start_s for job in result.jobs}
    assert sorted(starts, key=lambda name: starts[name] or 0.0) == ["soon", "also", "late"]


def test_jobs_spread_over_free_cores() -> None:
    task = Task("t", fixed("t", 1e-3), Trace((0.0, 0.0, 0.0)), cores=(2, 0))
    result = simulate(make_chip(cores=3, static=()), [task], Policy(horizon_s=0.01), trace=True)
    assert [(i.core, i.job) for i in result.intervals] == [(2, 0), (0, 1), (2, 2)]


def test_chain_follows_completions_with_its_probability() -> None:
    tasks = [
        Task("detect", fixed("d", 1e-4), Periodic(1000.0)),
        Task("classify", fixed("c", 2e-4), Triggered("detect", 0.3), deadline_s=1e-3),
        Task("track", fixed("k", 1e-5), Triggered("classify")),
    ]
    result = simulate(make_chip(static=()), tasks, Policy(horizon_s=2.0))
    amounts = result.completed
    assert amounts["detect"] == 2000
    sigma = math.sqrt(2000 * 0.3 * 0.7)
    assert abs(amounts["classify"] - 600) < 4 * sigma
    assert amounts["track"] == amounts["classify"]
    assert result.offered_load["core0"] == pytest.approx(0.1 + 0.06 + 0.003)
    finish = {(j.task, j.index): j.finish_s for j in result.jobs}
    detected = {finish["detect", k] for k in range(2000)}
    assert all(job.release_s in detected for job in result.jobs if job.task == "classify")


def test_the_same_frames_trigger_on_a_slower_chip() -> None:
    tasks = [
        Task("detect", fixed("d", 1e-4), Periodic(1000.0)),
        Task("classify", fixed("c", 2e-4), Triggered("detect", 0.3)),
    ]

    def triggering(f_hz: float) -> list[int]:
        result = simulate(make_chip(f_hz=f_hz, static=()), tasks, Policy("fifo", horizon_s=0.5))
        by_finish = {job.finish_s: job.index for job in result.jobs if job.task == "detect"}
        return [by_finish[job.release_s] for job in result.jobs if job.task == "classify"]

    slow, fast = triggering(5e8), triggering(1e9)
    assert len(fast) > 100
    assert slow == fast[: len(slow)]
    assert len(fast) - len(slow) <= 1


def test_adding_a_task_leaves_the_arrivals_of_others() -> None:
    a = Task("a", fixed("a", 1e-5), Poisson(500.0))
    b = Task("b", fixed("b", 1e-5), Periodic(100.0, jitter_s=5e-3))
    policy = Policy(horizon_s=0.5)

    def arrivals(tasks: list[Task]) -> list[float]:
        jobs = simulate(make_chip(static=()), tasks, policy).jobs
        return [job.release_s for job in jobs if job.task == "a"]

    assert arrivals([a]) == arrivals([b, a])


def test_percentiles_are_observed_values() -> None:
    times = tuple(k * 1e-2 for k in range(10))
    task = Task("t", fixed("t", 1e-3), Trace(times), deadline_s=2e-3)
    block = Task("block", fixed("b", 3e-3), Trace((0.0299,)), priority=-1)
    tasks = [task, block]
    stats = stats_of(simulate(make_chip(static=()), tasks, Policy("fifo", horizon_s=0.2)), tasks)[
        "t"
    ]
    assert stats.latency_p50_s == pytest.approx(1e-3)
    assert stats.latency_p90_s == pytest.approx(1e-3)
    assert stats.latency_p99_s == stats.latency_max_s == pytest.approx(3.9e-3)
    assert stats.missed_fraction == pytest.approx(0.1)
    assert stats.throughput_per_s == pytest.approx(50.0)
    assert not stats.percentile_met

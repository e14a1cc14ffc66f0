"""Plays that go on until every observed job is decided, and means that hold for all time."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dse.hardware.chip import SCOPES, Chip
from dse.mapping import Program
from dse.simulation import (
    Periodic,
    Poisson,
    Policy,
    Release,
    Stage,
    Task,
    Timeline,
    Trace,
    Triggered,
    simulate,
    simulate_alone,
    task_stats,
)
from dse.simulation.engine import Engine
from dse.simulation.finishing import Finishing
from dse.simulation.periods import common_s, regime_of
from dse.simulation.run import timeline

from .conftest import make_chip, make_layer, make_program


def lasting(name: str, seconds: float, dram: float = 0.0) -> Program:
    """A program of two layers of ten tiles each."""
    layers = [
        make_layer(f"{name}{k}", steps=10, cycles=seconds * 5e7, dram=dram, fill_weight=64.0)
        for k in range(2)
    ]
    return make_program(name, layers)


def play(chip: Chip, tasks: list[Task], horizon_s: float, finish_s: float = 100.0) -> Timeline:
    return simulate(chip, tasks, Policy("edf", "layer", horizon_s=horizon_s, finish_s=finish_s))


def mean_w(found: Timeline, scope: str = "module") -> float:
    assert found.mean is not None
    return found.mean.scope_energy_j[scope] / found.mean.over_s


def per_s(found: Timeline) -> float:
    assert found.mean is not None
    return sum(found.mean.completed.values()) / found.mean.over_s


# Judged to the end


def test_a_job_longer_than_the_play_is_played_to_its_end() -> None:
    task = Task("long", lasting("p", 0.5), Periodic(0.2), deadline_s=0.4)
    cut = simulate(make_chip(), [task], Policy(horizon_s=0.1))
    assert task_stats(cut, [task])[0].judged == 0
    found = play(make_chip(), [task], 0.1)
    (stats,) = task_stats(found, [task])
    assert (stats.released, stats.judged, stats.completed, stats.missed) == (1, 1, 1, 1)
    assert stats.latency_max_s == pytest.approx(0.5, rel=1e-3)
    assert (found.observed_s, found.horizon_s >= 0.5) == (0.1, True)


def test_jobs_after_the_horizon_keep_company_but_are_not_judged() -> None:
    """The last observed job is held up by one that comes later and is more urgent."""
    slow = Task("slow", lasting("s", 0.2), Trace((0.05,)), deadline_s=1.0)
    quick = Task("quick", lasting("q", 0.05), Trace((0.15,)), deadline_s=0.06)
    found = play(make_chip(static=()), [slow, quick], 0.1)
    (job,) = found.jobs
    assert job.finish_s is not None
    assert job.finish_s == pytest.approx(0.05 + 0.2 + 0.05, abs=2e-3)
    assert [job.task for job in found.later] == ["quick"]
    alone = play(make_chip(static=()), [slow], 0.1).jobs[0]
    assert alone.finish_s == pytest.approx(0.25, abs=2e-3)


def test_chains_that_start_in_time_are_followed_to_their_end() -> None:
    first = Task("first", lasting("a", 0.08), Periodic(10.0))
    second = Task("second", lasting("b", 0.01), Triggered("first"), deadline_s=0.5)
    found = play(make_chip(static=()), [first, second], 0.25)
    done = dict.fromkeys(("first", "second"), 0)
    for job in found.jobs:
        assert job.finish_s is not None
        done[job.task] += 1
    assert done == {"first": 3, "second": 3}
    assert max(job.finish_s or 0.0 for job in found.jobs) > 0.25


def test_the_play_ends_at_its_limit_and_leaves_what_is_open() -> None:
    """A job that more urgent ones never let run: without a deadline nothing decides it."""
    hog = Task("hog", lasting("h", 0.02), Periodic(60.0), priority=0)
    starved = Task("starved", lasting("s", 0.01), Trace((0.0,)), priority=1)
    policy = Policy("fixed", "layer", horizon_s=0.5, finish_s=2.0)
    found = simulate(make_chip(static=()), [hog, starved], policy)
    assert found.horizon_s == pytest.approx(2.5)
    stats = task_stats(found, [hog, starved])[1]
    assert (stats.released, stats.judged) == (1, 0)
    due = dataclasses.replace(starved, deadline_s=0.7)
    found = simulate(make_chip(static=()), [hog, due], policy)
    stats = task_stats(found, [hog, due])[1]
    assert (stats.judged, stats.missed) == (1, 1)


def test_an_overloaded_play_ends_once_the_rest_is_late() -> None:
    task = Task("t", lasting("p", 0.01), Periodic(400.0), deadline_s=0.02)
    found = play(make_chip(static=()), [task], 1.0)
    (stats,) = task_stats(found, [task])
    assert stats.judged == stats.released == 400
    assert stats.missed_fraction > 0.7
    assert found.horizon_s < 1.1
    assert per_s(found) == pytest.approx(100.0, rel=0.03)  # what the chip can do, not what is asked


# Played alike


@settings(max_examples=25)
@given(
    cores=st.integers(1, 3),
    preemption=st.sampled_from(["segment", "layer", "none"]),
    rates=st.lists(st.floats(20.0, 900.0), min_size=1, max_size=3),
    seed=st.integers(0, 5),
    gating=st.booleans(),
)
def test_a_job_alone_in_closed_form_is_the_same_to_the_last_bit(
    cores: int, preemption: str, rates: list[float], seed: int, gating: bool
) -> None:
    chip = make_chip(cores=cores, power_gating=gating)
    everywhere = tuple(range(cores))
    tasks = [
        Task(
            f"t{k}",
            lasting(f"p{k}", 1e-3 * (k + 1), dram=3e4),
            Poisson(rate) if k % 2 else Periodic(rate),
            deadline_s=4e-3,
            cores=everywhere if k else everywhere[::-1],
        )
        for k, rate in enumerate(rates)
    ]
    policy = Policy("edf", preemption, horizon_s=0.0503, seed=seed)  # type: ignore[arg-type]
    results = []
    for fine in (False, True):
        engine = Engine(chip, tasks, policy, trace=True, fine=fine)
        engine.play()
        results.append(timeline(engine))
    quick, slow = (dataclasses.replace(result, events=0) for result in results)
    assert quick == slow
    assert results[0].events <= results[1].events


@settings(max_examples=25)
@given(
    cores=st.integers(1, 2),
    preemption=st.sampled_from(["segment", "layer", "none"]),
    horizon_s=st.floats(1e-3, 0.03),
    seed=st.integers(0, 5),
)
def test_what_is_counted_is_what_was_played(
    cores: int, preemption: str, horizon_s: float, seed: int
) -> None:
    """Bytes and joules of a play that ends anywhere are those of the steps it made until then."""
    chip = make_chip(cores=cores)
    allowed = tuple(range(cores))
    tasks = [
        Task("a", lasting("a", 2e-3, dram=3e4), Poisson(180.0), deadline_s=6e-3, cores=allowed),
        Task("b", lasting("b", 9e-4, dram=3e4), Periodic(310.0), deadline_s=3e-3, cores=allowed),
    ]
    policy = Policy("edf", preemption, horizon_s=horizon_s, seed=seed, finish_s=0.02)  # type: ignore[arg-type]
    engine = Finishing(chip, tasks, policy, trace=True)
    engine.play()
    found = timeline(engine)
    segs = [seg for work in engine.works.values() for seg in work.all_segs()]
    rows = engine.table.rows
    joules = sum(
        seg.steps * seg.step_s * sum(rows[seg.row][0].values()) / rows[seg.row][1]
        for seg in segs
        if seg.row >= 0
    )
    counted = sum(j for name, j in found.energy_j.items() if not name.startswith("static."))
    assert counted == pytest.approx(joules, rel=1e-9, abs=1e-18)
    for name in ("core0", "dram"):
        assert found.busy_s[name] <= found.horizon_s * (1 + 1e-9)
    assert all(one.end_s <= found.horizon_s for one in found.intervals)
    for job in found.jobs:
        assert job.finish_s is None or job.finish_s <= found.horizon_s


# Periods


def test_common_periods() -> None:
    assert common_s([30.0, 10.0], 1.0, 10.0) == (pytest.approx(0.1), True)
    assert common_s([12.0, 15.0, 10.0], 2.0, 10.0) == (pytest.approx(1.0), True)
    assert common_s([0.05], 1.0, 100.0) == (pytest.approx(20.0), True)
    assert common_s([0.05], 1.0, 10.0) is None
    assert common_s([1 / 3, 1.0], 10.0, 10.0) == (pytest.approx(3.0), True)
    nearly = common_s([29.97, 24.0], 5.0, 5.0)
    assert nearly is not None
    assert nearly[1] is False
    for rate in (29.97, 24.0):
        jobs = rate * nearly[0]
        assert abs(jobs - round(jobs)) < 3e-3 * jobs


def test_what_is_rare() -> None:
    frames = Task("f", lasting("f", 1e-3), Periodic(30.0))
    seldom = Task("s", lasting("s", 1e-3), Periodic(0.01))
    chance = Task("c", lasting("c", 1e-3), Poisson(2.0))
    follows = Task("d", lasting("d", 1e-3), Triggered("f", 0.3))
    for tasks, rare, exact in (([frames], "", True), ([frames, seldom], "s", False)):
        regime = regime_of(tasks, 1.0)
        assert (regime.rare, regime.exact) == (frozenset(rare), exact)
        assert regime.slot_s == pytest.approx(1 / 30)
    assert regime_of([frames, seldom], 100.0).exact
    assert regime_of([frames, chance, follows], 1.0).rare == {"c", "d"}
    assert regime_of([seldom], 1.0).slot_s == pytest.approx(100.0)  # nothing to play in between
    assert regime_of([chance], 1.0).rare == {"c"}
    late = Task("l", lasting("l", 1e-3), Periodic(30.0, jitter_s=1e-3))
    assert not regime_of([late], 1.0).exact


# Means


def exact_w(chip: Chip, tasks: list[Task], period_s: float) -> float:
    """The mean power by playing many periods and leaving out the first ones."""
    end = 6.0 * period_s
    found = simulate(chip, tasks, Policy("edf", "layer", horizon_s=end))
    part = sum(
        watts * max(0.0, min(b, end) - max(a, 2.0 * period_s))
        for watts, a, b in zip(found.module_w, found.edges_s, found.edges_s[1:], strict=False)
    )
    return part / (4.0 * period_s)


@settings(max_examples=30)
@given(
    often=st.sampled_from([10.0, 12.5, 24.0, 30.0]),
    seldom=st.sampled_from([0.05, 0.1, 0.25, 0.5, 2.0]),
    taken=st.floats(0.01, 0.6),
    horizon_s=st.floats(0.05, 30.0),
    gating=st.booleans(),
)
@example(often=30.0, seldom=0.05, taken=0.5, horizon_s=1.0, gating=False)
@example(often=12.5, seldom=0.1, taken=0.6, horizon_s=0.05, gating=True)
@example(often=24.0, seldom=0.25, taken=0.3, horizon_s=7.3, gating=True)
def test_means_do_not_depend_on_the_horizon(
    often: float, seldom: float, taken: float, horizon_s: float, gating: bool
) -> None:
    chip = make_chip(power_gating=gating)
    tasks = [
        Task("often", lasting("o", 0.2 / often), Periodic(often), deadline_s=1 / often),
        Task("seldom", lasting("s", taken / max(seldom, 1.0)), Periodic(seldom), deadline_s=9.0),
    ]
    found = play(chip, tasks, horizon_s)
    common = common_s([often, seldom], 100.0, 100.0)
    assert common is not None
    assert per_s(found) == pytest.approx(often + seldom, rel=2e-3)
    assert mean_w(found) == pytest.approx(exact_w(chip, tasks, common[0]), rel=0.01)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("gating", [False, True])
def test_means_of_random_arrivals_are_those_of_their_rates(seed: int, gating: bool) -> None:
    chip = make_chip(power_gating=gating)
    tasks = [
        Task("frames", lasting("f", 3e-3), Periodic(30.0), deadline_s=1 / 30),
        Task("asked", lasting("a", 0.3), Poisson(0.2), deadline_s=5.0),
        Task("seen", lasting("s", 4e-3), Triggered("frames", 0.3), deadline_s=0.1),
    ]

    def run(horizon_s: float) -> Timeline:
        policy = Policy("edf", "layer", horizon_s=horizon_s, seed=seed, finish_s=100.0)
        return simulate(chip, tasks, policy)

    longest = run(400.0)
    for horizon_s in (1.0, 10.0, 60.0):
        found = run(horizon_s)
        assert per_s(found) == pytest.approx(30.0 + 0.2 + 9.0, rel=1e-3)
        assert mean_w(found) == pytest.approx(mean_w(longest), rel=0.01)


def test_a_mean_is_jobs_and_rest() -> None:
    """Without sleep states, by hand: active while a job runs, idle else, and the job's joules."""
    chip = make_chip(static=tuple(p for p in make_chip().static if p.component != "dram"))
    task = Task("t", lasting("p", 0.2, dram=1e5), Periodic(0.05), deadline_s=1.0)
    alone = simulate_alone(chip, task.program)
    dynamic = sum(j for name, j in alone.energy_j.items() if not name.startswith("static."))
    for horizon_s in (0.1, 1.0, 20.0, 33.0, 60.0):
        found = play(chip, [task], horizon_s)
        assert found.mean is not None
        busy_s = alone.horizon_s
        static = 5e-3 * busy_s + 2e-3 * (20.0 - busy_s) + 3e-3 * 20.0
        assert mean_w(found, "die_dram") == pytest.approx((dynamic + static) / 20.0, rel=1e-3)
        assert found.mean.busy_s["core0"] / horizon_s == pytest.approx(busy_s / 20.0, rel=2e-3)


@pytest.mark.parametrize("release", [Periodic(50.0), Periodic(50.0, phase_s=3e-3)])
def test_whole_periods_are_left_as_they_were(release: Release) -> None:
    """Where everything ends in time the means are those of the play cut at the horizon, exactly."""
    tasks = [Task("t", lasting("p", 3e-3), release), Task("u", lasting("u", 5e-3), Periodic(25.0))]
    cut = simulate(make_chip(), tasks, Policy(horizon_s=0.4))
    found = play(make_chip(), tasks, 0.4)
    assert found.mean is not None
    assert found.mean.exact
    assert found.mean.energy_j == cut.energy_j
    assert found.mean.scope_energy_j == cut.scope_energy_j
    assert found.mean.busy_s == cut.busy_s
    assert found.jobs == cut.jobs


def test_parts_of_a_mean_add_up() -> None:
    tasks = [
        Task("frames", lasting("f", 3e-3, dram=1e4), Periodic(30.0), deadline_s=1 / 30),
        Task("asked", lasting("a", 0.3, dram=1e4), Poisson(0.2), deadline_s=5.0),
    ]
    found = play(make_chip(cores=2), tasks, 2.0)
    mean = found.mean
    assert mean is not None
    running = 0.0
    for scope in SCOPES[:-1]:
        running += sum(v for name, v in mean.energy_j.items() if found.scope_of[name] == scope)
        assert mean.scope_energy_j[scope] == pytest.approx(running)
    assert mean.scope_energy_j["module"] > running
    alone = [simulate_alone(make_chip(), task.program).link_bytes["dram"] for task in tasks]
    moved = 30.0 * alone[0] + 0.2 * alone[1]
    assert mean.link_bytes["dram"] / mean.over_s == pytest.approx(moved, rel=0.01)
    busy = sum(seconds for name, seconds in mean.busy_s.items() if name.startswith("core"))
    assert busy / mean.over_s == pytest.approx(30.0 * 3e-3 + 0.2 * 0.3, rel=0.01)


# Leaps


@settings(max_examples=25)
@given(
    cores=st.integers(2, 3),
    preemption=st.sampled_from(["segment", "layer", "none"]),
    repeats=st.lists(st.integers(1, 60), min_size=2, max_size=4),
    starts=st.lists(st.sampled_from([0.0, 0.0, 0.004, 0.0131]), min_size=4, max_size=4),
    same=st.booleans(),
    dram=st.sampled_from([0.0, 2e4, 2e5]),
    horizon_s=st.floats(0.005, 0.3),
)
@example(2, "layer", [50, 50], [0.0] * 4, True, 2e5, 0.3)
@example(2, "layer", [50, 30], [0.0] * 4, True, 2e5, 0.05)
@example(3, "segment", [50, 30, 7], [0.0, 0.0, 0.0131, 0.0], False, 2e5, 0.3)
def test_what_is_leapt_over_is_counted_as_if_played(
    cores: int,
    preemption: str,
    repeats: list[int],
    starts: list[float],
    same: bool,
    dram: float,
    horizon_s: float,
) -> None:
    chip = make_chip(cores=cores)
    first, token = lasting("f", 1e-3, dram), lasting("t", 5e-4, dram)
    tasks = []
    for k, repeat in enumerate(repeats):
        run = token if same else lasting(f"t{k}", 5e-4 + 1e-4 * k, dram)
        stages = (Stage(first), Stage(run, repeat))
        tasks.append(
            Task(
                f"t{k}",
                first,
                Trace((starts[k], starts[k] + 0.11)),
                deadline_s=0.05 * (k + 1),
                cores=tuple(range(cores)),
                stages=stages,
            )
        )
    policy = Policy("edf", preemption, horizon_s=horizon_s)  # type: ignore[arg-type]
    results = []
    for fine in (False, True):
        engine = Engine(chip, tasks, policy, trace=False, fine=fine)
        engine.play()
        results.append(timeline(engine))
    leapt, played = results
    assert leapt.events <= played.events
    for one, other in zip(leapt.jobs, played.jobs, strict=True):
        assert (one.task, one.index, one.missed) == (other.task, other.index, other.missed)
        assert (one.finish_s is None) == (other.finish_s is None)
        assert (one.finish_s or 0.0) == pytest.approx(other.finish_s or 0.0, rel=1e-9)
        assert (one.first_stage_s or 0.0) == pytest.approx(other.first_stage_s or 0.0, rel=1e-9)
    for scope in SCOPES:
        assert leapt.scope_energy_j[scope] == pytest.approx(
            played.scope_energy_j[scope], rel=1e-7, abs=1e-15
        )
        assert leapt.peak_power_w[scope] == pytest.approx(played.peak_power_w[scope], rel=1e-6)
    for name, moved in played.link_bytes.items():
        assert leapt.link_bytes[name] == pytest.approx(moved, rel=1e-7, abs=1e-6)
    for name, spot in played.hotspots.items():
        assert leapt.hotspots[name].seconds == pytest.approx(spot.seconds, rel=1e-6, abs=1e-12)


def test_equal_requests_side_by_side_are_leapt_over() -> None:
    chip = make_chip(cores=2)
    first, token = lasting("f", 1e-3, 2e5), lasting("t", 5e-4, 2e5)
    tasks = [
        Task(name, first, Trace((0.0,)), cores=(0, 1), stages=(Stage(first), Stage(token, 2000)))
        for name in "ab"
    ]
    found = simulate(chip, tasks, Policy(horizon_s=20.0))
    assert found.events < 1500
    assert found.completed == {"a": 1, "b": 1}

"""Cores that share links: fairness, conservation, independence, and a naive fine-grained play."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.hardware.chip import Chip
from dse.mapping import Program, link_rates, program_latency_s
from dse.simulation import Periodic, Policy, Task, Timeline, Trace, simulate
from dse.simulation.sharing import speeds

from .conftest import fixed, make_chip, make_layer, make_program, resnet_like


def start_together(chip: Chip, programs: list[Program], horizon_s: float = 1.0) -> Timeline:
    tasks = [
        Task(f"t{core}", program, Trace((0.0,)), cores=(core,))
        for core, program in enumerate(programs)
    ]
    return simulate(chip, tasks, Policy(horizon_s=horizon_s))


def ends_s(timeline: Timeline) -> list[float]:
    return [job.finish_s for job in timeline.jobs if job.finish_s is not None]


def water_level(demands: list[float], capacity: float) -> float:
    """The level that fills ``capacity`` if nobody gets more than it asks, by bisection."""
    low, high = 0.0, max(demands)
    for _ in range(200):
        middle = (low + high) / 2.0
        if sum(min(demand, middle) for demand in demands) > capacity:
            high = middle
        else:
            low = middle
    return low


def naive_ends_s(programs: list[Program], chip: Chip, tick_s: float) -> list[float]:
    """Advance all cores tick by tick; in each tick DRAM is shared by water filling."""
    rate = link_rates(chip)[0]
    tiles = [[seg for seg in p.segments for _ in range(seg.count)] for p in programs]
    at = [0] * len(programs)
    done = [0.0] * len(programs)
    ends = [math.inf] * len(programs)
    now = 0.0
    while any(end == math.inf for end in ends):
        running = [k for k, end in enumerate(ends) if end == math.inf]
        needs = {}
        for k in running:
            tile = tiles[k][at[k]]
            needs[k] = tile.link_bytes[0] / tile.step_s(chip.f_hz, link_rates(chip))
        level = water_level(list(needs.values()), rate) if sum(needs.values()) > rate else math.inf
        for k in running:
            tile = tiles[k][at[k]]
            slow = min(1.0, level / needs[k]) if needs[k] > 0.0 else 1.0
            done[k] += tick_s * slow / tile.step_s(chip.f_hz, link_rates(chip))
            if done[k] >= 1.0 - 1e-12:
                done[k] = 0.0
                at[k] += 1
                if at[k] == len(tiles[k]):
                    ends[k] = now + tick_s
        now += tick_s
    return ends


@settings(max_examples=200)
@given(uses=st.lists(st.tuples(*[st.floats(0.0, 1.0)] * 4), min_size=1, max_size=6))
def test_speeds_fit_the_links_and_waste_nothing(uses: list[tuple[float, ...]]) -> None:
    dominants = [max(use) for use in uses]
    got = speeds(uses, dominants)
    assert all(0.0 < speed <= 1.0 for speed in got)
    sums = [sum(s * use[k] for s, use in zip(got, uses, strict=True)) for k in range(4)]
    assert max(sums) <= 1.0 + 1e-9
    for speed, use in zip(got, uses, strict=True):
        if speed < 1.0:  # whoever is slowed uses a link that is full
            assert any(use[k] > 0.0 and sums[k] > 1.0 - 1e-9 for k in range(4))


@settings(max_examples=200)
@given(demands=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6))
def test_one_link_is_shared_max_min_fair(demands: list[float]) -> None:
    got = speeds([(demand, 0.0, 0.0, 0.0) for demand in demands], demands)
    if sum(demands) <= 1.0:
        assert got == [1.0] * len(demands)
        return
    level = water_level(demands, 1.0)
    for speed, demand in zip(got, demands, strict=True):
        assert speed * demand == pytest.approx(min(demand, level), rel=1e-6)


def test_two_bound_by_dram_halve_each_other() -> None:
    chip = make_chip(cores=2)
    bound = make_program("bound", [make_layer("a", steps=100, cycles=100.0, dram=1000.0)])
    alone = program_latency_s(bound, chip)
    assert ends_s(start_together(chip, [bound])) == [pytest.approx(alone, rel=1e-9)]
    both = start_together(chip, [bound, bound])
    assert ends_s(both) == [pytest.approx(2 * alone, rel=1e-9)] * 2
    assert both.hotspots["t0"].bottleneck == "dram"
    assert both.hotspots["t0"].stretch == pytest.approx(2.0, rel=1e-9)


def test_two_bound_by_compute_do_not_slow_each_other() -> None:
    chip = make_chip(cores=2)
    program = make_program("compute", [make_layer("a", steps=100, cycles=1000.0, dram=400.0)])
    both = start_together(chip, [program, program])
    assert ends_s(both) == [pytest.approx(program_latency_s(program, chip), rel=1e-9)] * 2


def test_small_demand_is_met_before_a_large_one() -> None:
    """Max-min: 0.3 of the link is less than half, so it is met; the other gets 0.7."""
    chip = make_chip(cores=2)
    light = make_program("light", [make_layer("a", steps=100, cycles=1000.0, dram=300.0)])
    heavy = make_program("heavy", [make_layer("a", steps=70, cycles=10.0, dram=1000.0)])
    ends = ends_s(start_together(chip, [light, heavy]))
    assert ends == [pytest.approx(1e-4, rel=1e-9), pytest.approx(1e-4, rel=1e-9)]


def test_launches_queue_for_the_one_host() -> None:
    chip = make_chip(cores=2)
    launch = make_program("launch", [make_layer("a", steps=1, cycles=1.0, launch=1e6)])
    ends = ends_s(start_together(chip, [launch, launch]))
    assert ends == [pytest.approx(2e-3 + 1e-9, rel=1e-9)] * 2


@pytest.mark.parametrize("seed", range(4))
def test_contention_agrees_with_a_naive_play_within_one_step(seed: int) -> None:
    chip = make_chip(cores=3)
    programs = [
        make_program(
            f"p{core}",
            [
                make_layer(
                    f"l{k}",
                    steps=5 + (3 * k + core + seed) % 6,
                    cycles=800.0 + 130.0 * ((k + seed) % 3),
                    dram=300.0 + 217.0 * ((k * core + seed) % 5),
                    fill_weight=500.0 * (core + 1),
                    fill_other=300.0,
                    drain=400.0,
                )
                for k in range(4)
            ],
        )
        for core in range(3)
    ]
    result = ends_s(start_together(chip, programs))
    naive = naive_ends_s(programs, chip, tick_s=5e-9)
    for ours, theirs, program in zip(result, naive, programs, strict=True):
        longest = max(seg.step_s(chip.f_hz, link_rates(chip)) for seg in program.segments)
        assert abs(ours - theirs) < longest
        assert ours == pytest.approx(theirs, rel=0.01)
    alone = [program_latency_s(program, chip) for program in programs]
    assert sum(result) > 1.05 * sum(alone)  # they did get into each other's way


def test_unrelated_task_on_another_core_changes_nothing() -> None:
    chip = make_chip(cores=2, static=())  # a DRAM that wakes up is shared by all
    mine = make_program(
        "mine", [make_layer(f"l{k}", dram=777.7, fill_weight=33.3, drain=11.1) for k in range(9)]
    )
    task = Task("mine", mine, Periodic(4000.0, jitter_s=1e-4), deadline_s=3e-4, cores=(0,))
    other = Task("other", fixed("f", 7.7e-5), Periodic(9000.0, jitter_s=1e-5), cores=(1,))
    policy = Policy(horizon_s=0.05)
    alone = simulate(chip, [task], policy)
    beside = simulate(chip, [other, task], policy)
    assert alone.jobs == tuple(job for job in beside.jobs if job.task == "mine")
    assert alone.link_bytes == beside.link_bytes
    assert alone.energy_j["dram"] == pytest.approx(beside.energy_j["dram"], rel=1e-12)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    preemption=st.sampled_from(["none", "layer"]),
    cores=st.integers(1, 3),
    rates=st.lists(st.floats(100.0, 900.0), min_size=1, max_size=4),
)
def test_bytes_and_joules_are_conserved(
    seed: int, preemption: str, cores: int, rates: list[float]
) -> None:
    """With no tile cut short by preemption, all that moves and burns belongs to whole jobs."""
    chip = make_chip(cores=cores)
    program = make_program(
        "p",
        [
            make_layer(f"l{k}", steps=4 + k, dram=1500.0, l2=800.0, fill_other=100.0, drain=50.0)
            for k in range(3)
        ],
    )
    times = [tuple(k / rate for k in range(12)) for rate in rates]
    tasks = [
        Task(f"t{k}", program, Trace(t), deadline_s=1e-4 * (k + 1), cores=tuple(range(cores)))
        for k, t in enumerate(times)
    ]
    policy = Policy(preemption=preemption, horizon_s=0.2, seed=seed)  # type: ignore[arg-type]
    result = simulate(chip, tasks, policy)
    jobs = sum(result.completed.values())
    assert jobs == 12 * len(rates)
    for name, k in (("dram", 0), ("l2", 1)):
        each = sum(seg.count * seg.link_bytes[k] for seg in program.segments)
        assert result.link_bytes[name] == pytest.approx(jobs * each, rel=1e-9)
    joules: dict[str, float] = {}
    for schedule in program.schedules:
        for action, count in schedule.counts.items():
            group = action.split(".")[0]
            joules[group] = joules.get(group, 0.0) + jobs * count * chip.prices[action]
    for group, energy in joules.items():
        assert result.energy_j[group] == pytest.approx(energy, rel=1e-9)
    busy = sum(result.busy_s[f"core{core}"] for core in range(cores))
    assert busy >= jobs * program_latency_s(program, chip) * (1 - 1e-9)


def test_a_program_split_over_two_cores_takes_both() -> None:
    chip = make_chip(cores=2)
    wide = fixed("wide", 1e-3, cores=2)
    narrow = fixed("narrow", 1e-3)
    tasks = [
        Task("wide", wide, Trace((1e-4,)), deadline_s=2e-3, cores=(0, 1)),
        Task("n0", narrow, Trace((0.0, 2e-4)), deadline_s=9e-3, cores=(0,)),
        Task("n1", narrow, Trace((5e-4,)), deadline_s=9e-3, cores=(1,)),
    ]
    result = simulate(chip, tasks, Policy(preemption="none", horizon_s=0.01))
    start = {(job.task, job.index): job.start_s for job in result.jobs}
    assert start["n0", 0] == 0.0
    assert start["wide", 0] == pytest.approx(1e-3)  # core 1 is kept free for it meanwhile
    assert start["n1", 0] == pytest.approx(2e-3)
    assert result.busy_s["core1"] == pytest.approx(2e-3)


def test_same_seed_same_output_to_the_last_bit() -> None:
    chip = make_chip(cores=2, power_gating=True)
    tasks = [
        Task("a", resnet_like(10), Periodic(200.0, jitter_s=1e-3), 5e-3, cores=(0, 1)),
        Task("b", resnet_like(5), Periodic(300.0, jitter_s=2e-3), 4e-3, cores=(1, 0)),
    ]
    policy = Policy(preemption="segment", horizon_s=0.1, seed=7)
    assert simulate(chip, tasks, policy, trace=True) == simulate(chip, tasks, policy, trace=True)
    other = simulate(chip, tasks, Policy(preemption="segment", horizon_s=0.1, seed=8))
    assert other.jobs != simulate(chip, tasks, policy).jobs

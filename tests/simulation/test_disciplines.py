"""The three disciplines of a shared link against naive simulations of every tile or burst."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.hardware.chip import Chip
from dse.mapping import Program, Segment, link_rates
from dse.simulation import Policy, Task, Trace, simulate
from dse.simulation.sharing import first_come, round_robin, speeds

from .conftest import make_chip, make_layer, make_program


def tiles_of(program: Program) -> list[Segment]:
    return [seg for seg in program.segments for _ in range(seg.count)]


def ends_s(chip: Chip, programs: list[Program]) -> list[float]:
    tasks = [
        Task(f"t{core}", program, Trace((0.0,)), cores=(core,))
        for core, program in enumerate(programs)
    ]
    jobs = simulate(chip, tasks, Policy(horizon_s=1.0)).jobs
    return [job.finish_s or math.inf for job in jobs]


def shared_by_parts(chip: Chip, programs: list[Program]) -> list[float]:
    """Tile after tile on every core; the one link goes to all that use it, max-min fair."""
    rate = link_rates(chip)[0]
    tiles = [tiles_of(program) for program in programs]
    at, left = [0] * len(tiles), [1.0] * len(tiles)
    ends, now = [math.inf] * len(tiles), 0.0
    while any(end == math.inf for end in ends):
        running = [k for k, end in enumerate(ends) if end == math.inf]
        step = {k: tiles[k][at[k]].step_s(chip.f_hz, link_rates(chip)) for k in running}
        wants = {k: tiles[k][at[k]].link_bytes[0] / step[k] for k in running}
        room, speed = rate, {}
        for number, k in enumerate(sorted(running, key=lambda k: wants[k])):
            given_ = min(wants[k], room / (len(running) - number))
            room -= given_
            speed[k] = given_ / wants[k] if wants[k] else 1.0
        wait = min(left[k] * step[k] / speed[k] for k in running)
        now += wait
        for k in running:
            left[k] -= wait * speed[k] / step[k]
            if left[k] <= 1e-12:
                left[k], at[k] = 1.0, at[k] + 1
                if at[k] == len(tiles[k]):
                    ends[k] = now
    return ends


def served_in_order(chip: Chip, programs: list[Program], burst: float = math.inf) -> list[float]:
    """Each tile asks for its bytes when it starts; one server, whole requests first come first
    served, or bursts in turn. A tile ends when it has computed and its bytes have come."""
    rate = link_rates(chip)[0]
    tiles = [tiles_of(program) for program in programs]
    at = [0] * len(tiles)
    ends = [math.inf] * len(tiles)
    ready = [(0.0, k) for k in range(len(tiles))]  # when each core starts its next tile
    heapq.heapify(ready)
    waiting: list[tuple[int, float, float]] = []  # core, bytes left, end of its computing
    free = 0.0
    while ready or waiting:
        if not waiting or (ready and ready[0][0] <= free):
            start, k = heapq.heappop(ready)
            if at[k] == len(tiles[k]):
                ends[k] = start
                continue
            tile = tiles[k][at[k]]
            at[k] += 1
            computed = start + tile.compute_s(chip.f_hz)
            if tile.link_bytes[0] == 0.0:
                heapq.heappush(ready, (computed, k))
                continue
            free = max(free, start) if not waiting else free
            waiting.append((k, tile.link_bytes[0], computed))
        else:
            k, left, computed = waiting.pop(0)
            part = min(left, burst)
            free += part / rate
            if left > part:
                waiting.append((k, left - part, computed))
            else:
                heapq.heappush(ready, (max(free, computed), k))
    return ends


def crowd(seed: int, steps: int = 60) -> list[Program]:
    """Three programs, some layers bound by the link and some by the array."""
    return [
        make_program(
            f"p{core}",
            [
                make_layer(
                    f"l{k}",
                    steps=steps + (3 * k + core + seed) % 6,
                    cycles=800.0 + 130.0 * ((k + seed) % 3),
                    dram=100.0 + 217.0 * ((k * core + seed + core) % 5),
                    fill_weight=150.0 * (core + 1),
                    fill_other=100.0,
                    drain=90.0,
                )
                for k in range(4)
            ],
        )
        for core in range(3)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_processor_sharing_agrees_with_a_play_of_every_tile(seed: int) -> None:
    chip, programs = make_chip(cores=3, static=()), crowd(seed)
    assert ends_s(chip, programs) == pytest.approx(shared_by_parts(chip, programs), rel=1e-3)
    alone = [ends_s(chip, [program])[0] for program in programs]
    assert sum(ends_s(chip, programs)) > 1.05 * sum(alone)  # they are in each other's way


@pytest.mark.parametrize("seed", range(6))
def test_first_come_first_served_agrees_within_a_tile_where_layers_change(seed: int) -> None:
    """The fluid play cannot know which request comes first where somebody changes layers; each of
    the 12 layers may cost a tile, however long the layers are."""
    chip = dataclasses.replace(make_chip(cores=3, static=()), arbitration="fcfs")
    rates = link_rates(chip)
    for steps, relative in ((60, 0.02), (200, 0.005)):
        programs = crowd(seed, steps)
        longest = max(tile.step_s(chip.f_hz, rates) for p in programs for tile in p.segments)
        naive = served_in_order(chip, programs)
        for ours, theirs in zip(ends_s(chip, programs), naive, strict=True):
            assert abs(ours - theirs) < min(12 * longest, relative * theirs)


@pytest.mark.parametrize("seed", range(6))
def test_round_robin_agrees_with_bursts_in_turn(seed: int) -> None:
    chip = dataclasses.replace(make_chip(cores=3, static=()), arbitration="round_robin")
    programs = crowd(seed)
    naive = served_in_order(chip, programs, burst=8.0)
    assert ends_s(chip, programs) == pytest.approx(naive, rel=0.02)


def test_large_requests_crowd_out_small_ones_only_first_come_first_served() -> None:
    """Same demand, tiles of 100 and of 900 bytes: by turns of tiles they get 10 % and 90 %."""
    small = make_program("small", [make_layer("s", steps=900, cycles=1.0, dram=100.0)])
    large = make_program("large", [make_layer("l", steps=900, cycles=1.0, dram=900.0)])
    chip = make_chip(cores=2, static=())
    fair = ends_s(chip, [small, large])
    turns = ends_s(dataclasses.replace(chip, arbitration="fcfs"), [small, large])
    assert fair[0] == pytest.approx(2 * 900 * 100e-9)
    assert turns[0] == pytest.approx(900 * 1000e-9)
    assert [fair[1], turns[1]] == pytest.approx([900e-6, 900e-6])  # nothing is wasted either way
    assert turns == pytest.approx(served_in_order(chip, [small, large]), rel=2e-3)


USES = st.lists(st.tuples(*[st.floats(0.0, 1.0)] * 4), min_size=1, max_size=5)


@settings(max_examples=150)
@given(uses=USES, data=st.data())
def test_no_discipline_overfills_a_link(uses: list[tuple[float, ...]], data: st.DataObject) -> None:
    dominants = [max(use) for use in uses]
    steps = [data.draw(st.floats(1e-6, 1e-3)) for _ in uses]
    for got in (first_come(uses, dominants, steps), round_robin(uses, dominants, steps)):
        assert_fits(got, uses)


def assert_fits(got: list[float], uses: Sequence[tuple[float, ...]]) -> None:
    assert all(0.0 < speed <= 1.0 for speed in got)
    sums = [sum(s * use[k] for s, use in zip(got, uses, strict=True)) for k in range(4)]
    assert max(sums) <= 1.0 + 1e-9


def test_a_share_that_is_rounding_stops_nobody() -> None:
    """The second fills the first link exactly when it reaches full speed; the first hardly uses it
    and must not stand still for ever."""
    uses = [(2.0**-52, 1.0, 0.0, 0.0), (1.0, 0.5, 0.0, 0.0)]
    for got in (
        speeds(uses, [1.0, 1.0]),
        first_come(uses, [1.0, 1.0], [1e-6, 2.0**-14]),
        round_robin(uses, [1.0, 1.0], [1e-6, 2.0**-14]),
    ):
        assert_fits(got, uses)


@settings(max_examples=100)
@given(demands=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6))
def test_on_one_link_round_robin_is_processor_sharing(demands: list[float]) -> None:
    uses = [(demand, 0.0, 0.0, 0.0) for demand in demands]
    fair = speeds(uses, demands)
    assert round_robin(uses, demands, demands) == pytest.approx(fair, rel=1e-9)
    levels = first_come(uses, demands, demands)
    slowed = {round(v / d, 9) for v, d in zip(levels, demands, strict=True) if v < 1.0}
    assert len(slowed) <= 1  # those that wait make equal steps per second


def test_a_link_the_schedule_does_not_know_slows_a_program_alone() -> None:
    assert speeds([(0.5, 2.0)], [2.0]) == [0.5]
    assert round_robin([(0.5, 2.0)], [2.0], [1e-3]) == [0.5]
    assert first_come([(0.5, 2.0)], [2.0], [1e-3]) == [0.5]

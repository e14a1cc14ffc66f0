"""Cores in a network: buses, rings, meshes, dies, and networks dealt out over cores."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.hardware.modes import CoreNetwork
from dse.mapping import Program, program_latency_s
from dse.simulation import (
    Periodic,
    Policy,
    Task,
    Trace,
    Triggered,
    partition,
    pipeline_tasks,
    simulate,
    simulate_alone,
    task_stats,
)
from dse.simulation.noc import Network
from dse.simulation.pipeline import balanced_cuts

from .conftest import fixed, make_chip, make_layer, make_program


def wired(cores: int, topology: str, **values: object) -> Chip:
    """Links of 2 GB/s, hops of 10 ns and 1 pJ a bit; the DRAM has 1 GB/s."""
    given_ = {"bytes_per_s": 2e9, "hop_s": 1e-8, "hop_j_per_bit": 1e-12} | values
    net = CoreNetwork(topology, **given_)  # type: ignore[arg-type]
    return dataclasses.replace(make_chip(cores=cores, static=()), network=net)


def streaming(bytes_: float, steps: int = 100) -> Program:
    return make_program("s", [make_layer("s", steps=steps, cycles=1.0, dram=bytes_)])


def hops(chip: Chip, source: int, target: int) -> int:
    path, _, _ = Network(chip).hop_path(source, target)
    return len(path)


def test_shortest_ways_on_ring_and_mesh() -> None:
    ring = wired(6, "ring")
    assert [hops(ring, 0, core) for core in range(6)] == [0, 1, 2, 3, 2, 1]
    assert hops(ring, 5, 1) == 2
    mesh = wired(9, "mesh")
    assert [hops(mesh, 0, core) for core in range(9)] == [0, 1, 2, 1, 2, 3, 2, 3, 4]
    ragged = wired(5, "mesh")  # rows of 3 and 2
    assert hops(ragged, 4, 2) == 2
    assert hops(wired(4, "bus"), 1, 3) == 1


def test_a_network_that_is_wide_and_near_changes_nothing() -> None:
    plain = make_chip(cores=2, static=())
    program = streaming(1000.0)
    quiet = wired(2, "ring", bytes_per_s=1e15, hop_s=0.0, hop_j_per_bit=0.0)
    for core in range(2):
        task = Task("t", program, Trace((0.0,)), cores=(core,))
        ends = [simulate(c, [task], Policy(horizon_s=1.0)).jobs[0] for c in (plain, quiet)]
        assert ends[0] == ends[1]


def test_a_narrow_network_bounds_a_core_alone() -> None:
    """100 steps of 1000 B at 1 GB/s from the DRAM, but 0.25 GB/s on the ring."""
    chip = wired(4, "ring", bytes_per_s=2.5e8, hop_s=0.0)
    result = simulate_alone(chip, streaming(1000.0))
    assert result.horizon_s == pytest.approx(4e-4, rel=1e-9)
    assert result.busy_s["noc0.port"] == pytest.approx(4e-4, rel=1e-9)
    assert result.busy_s["dram"] == pytest.approx(1e-4, rel=1e-9)


def test_cores_share_the_links_on_their_way() -> None:
    """On a ring of 4, cores 1 and 2 share the first link, 3 has its own; the port serves all."""
    chip = dataclasses.replace(
        wired(4, "ring", bytes_per_s=1e9, hop_s=0.0),
        links={"dram": dataclasses.replace(make_chip().links["dram"], bytes_per_s=1e10)},
    )
    program = streaming(1000.0)
    tasks = [Task(f"t{core}", program, Trace((0.0,)), cores=(core,)) for core in (1, 2, 3)]
    result = simulate(chip, tasks, Policy(horizon_s=1.0))
    assert [job.finish_s for job in result.jobs] == [pytest.approx(3e-4, rel=1e-6)] * 3
    assert result.busy_s["noc0.0-1"] == pytest.approx(2e-4, rel=1e-9)
    assert result.busy_s["noc0.1-2"] == pytest.approx(1e-4, rel=1e-9)
    assert result.busy_s["noc0.0-3"] == pytest.approx(1e-4, rel=1e-9)
    assert result.offered_load["noc0.port"] == pytest.approx(3e-4)


def test_hops_cost_energy_and_delay_what_nothing_overlaps() -> None:
    """Core 2 is two hops away: 20 ns more before each fill and drain, 2 pJ for each bit."""
    layer = make_layer("l", steps=10, cycles=1000.0, dram=100.0, fill_other=500.0, drain=200.0)
    program = make_program("p", [layer])
    chip = wired(4, "ring")
    near, far = (
        simulate(chip, [Task("t", program, Trace((0.0,)), cores=(core,))], Policy(horizon_s=1e-3))
        for core in (0, 2)
    )
    assert near.jobs[0].finish_s == pytest.approx(program_latency_s(program, chip))
    assert far.jobs[0].finish_s == pytest.approx(program_latency_s(program, chip) + 2 * 2e-8)
    moved = 10 * 100.0 + 500.0 + 200.0
    assert far.energy_j["noc_hops"] == pytest.approx(8 * moved * 2e-12, rel=1e-9)
    assert near.energy_j.get("noc_hops", 0.0) == 0.0
    assert far.energy_j["mac"] == pytest.approx(near.energy_j["mac"], rel=1e-12)


def test_dies_with_shared_memory_reach_it_over_their_link() -> None:
    values = {"chiplets": 2, "die_bytes_per_s": 5e8, "die_s": 1e-7, "die_j_per_bit": 5e-12}
    chip = wired(4, "mesh", **values)
    program = streaming(1000.0)
    tasks = [Task(f"t{core}", program, Trace((0.0,)), cores=(core,)) for core in (0, 2)]
    result = simulate(chip, tasks, Policy(horizon_s=1.0))
    # Equal shares of what each uses most: two thirds of the DRAM, two thirds of the die's link.
    assert [job.finish_s for job in result.jobs] == pytest.approx([1.5e-4, 2.5e-4], rel=1e-6)
    turns = dataclasses.replace(chip, arbitration="round_robin")
    both = [job.finish_s for job in simulate(turns, tasks, Policy(horizon_s=1.0)).jobs]
    assert both == pytest.approx([2e-4, 2e-4], rel=1e-6)  # half of the DRAM each
    assert result.busy_s["die1"] == pytest.approx(2e-4, rel=1e-9)
    assert result.energy_j["noc_hops"] == pytest.approx(8 * 1e5 * 5e-12, rel=1e-9)


def test_dies_with_private_memories_have_half_the_channels_each() -> None:
    values = {"chiplets": 2, "die_bytes_per_s": 5e8, "private": True}
    chip = wired(4, "mesh", **values)
    program = streaming(1000.0)

    def ends(cores: tuple[int, ...]) -> list[float | None]:
        tasks = [Task(f"t{core}", program, Trace((0.0,)), cores=(core,)) for core in cores]
        return [job.finish_s for job in simulate(chip, tasks, Policy(horizon_s=1.0)).jobs]

    assert ends((2,)) == [pytest.approx(2e-4, rel=1e-9)]
    assert ends((0, 2)) == [pytest.approx(2e-4, rel=1e-9)] * 2  # they do not disturb each other
    assert ends((0, 1)) == [pytest.approx(4e-4, rel=1e-9)] * 2


def test_invocations_on_several_cores_of_a_network() -> None:
    """A call to the driver uses no link; beside another core's program it once broke the play."""
    chip = wired(2, "ring")
    layer = make_layer("l", steps=10, dram=500.0)
    program = make_program("p", [layer], invoke_s=1e-4)
    tasks = [Task(f"t{core}", program, Trace((0.0,)), cores=(core,)) for core in (0, 1)]
    timeline = simulate(chip, tasks, Policy(horizon_s=1.0))
    assert timeline.completed == {"t0": 1, "t1": 1}
    assert timeline.busy_s["host"] == pytest.approx(2e-4)


def test_bytes_from_the_first_die_wait_for_the_die_link_also_beside_private_memories() -> None:
    """The L2 is on the first die: what comes from there crosses, what comes from DRAM does not."""
    values = {"chiplets": 2, "die_bytes_per_s": 5e8, "die_s": 1e-6, "private": True, "hop_s": 0.0}
    chip = wired(4, "mesh", **values)
    layer = make_layer("l", steps=1, cycles=1000.0, fill_other=1000.0)
    from_dram = make_program("p", [layer])
    moved = dataclasses.replace(layer, fill_other=(0.0, 1000.0, 0.0))
    from_l2 = make_program("p", [moved])
    site = Network(chip).site((2,))
    assert site is not None
    assert site.delay_s == (0.0, 1e-6, 1e-6)

    def end(program: Program) -> float:
        task = Task("t", program, Trace((0.0,)), cores=(2,))
        (job,) = simulate(chip, [task], Policy(horizon_s=1.0)).jobs
        assert job.finish_s is not None
        return job.finish_s

    assert end(from_dram) == pytest.approx(1000.0 / 5e8 + 1e-6)
    assert end(from_l2) == pytest.approx(1000.0 / 5e8 + 1e-6 + 1e-6)


# Networks dealt out over cores


@settings(max_examples=60)
@given(times=st.lists(st.floats(0.0, 9.0), min_size=1, max_size=8), data=st.data())
def test_cuts_are_as_even_as_they_can_be(times: list[float], data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, len(times)))
    cuts = balanced_cuts(times, parts)
    assert cuts[0] == 0
    assert cuts[-1] == len(times)
    assert all(a < b for a, b in itertools.pairwise(cuts))

    def longest(where: tuple[int, ...]) -> float:
        return max(sum(times[a:b]) for a, b in itertools.pairwise(where))

    every = itertools.combinations(range(1, len(times)), parts - 1)
    best = min(longest((0, *inner, len(times))) for inner in every)
    assert longest(cuts) == pytest.approx(best)


def test_more_parts_than_layers_are_refused() -> None:
    with pytest.raises(InputError, match="2 layers"):
        balanced_cuts([1.0, 2.0], 3)


def test_a_pipeline_raises_the_rate_and_not_the_latency() -> None:
    """Three parts of 1 ms: alone 3 ms and 333 frames/s; on three cores 3 ms and 1000 frames/s."""
    programs = [fixed(f"part{k}", 1e-3) for k in range(3)]
    chip = make_chip(cores=3, static=())
    tasks = pipeline_tasks("net", programs, chip, Periodic(1000.0), (0, 1, 2), deadline_s=3.1e-3)
    timeline = simulate(chip, tasks, Policy("edf", "none", horizon_s=0.1005))
    stats = {one.name: one for one in task_stats(timeline, tasks)}
    assert stats["net.2"].chain_latency_max_s == pytest.approx(3e-3)
    assert stats["net.2"].completed == 98
    assert stats["net.2"].missed == 0
    assert timeline.offered_load["core1"] == pytest.approx(1.0)
    assert isinstance(tasks[1].release, Triggered)


def test_a_pipeline_over_private_memories_moves_its_activations() -> None:
    """The second part fetches 5000 B over a die link of 0.5 GB/s (10 us) before it starts."""
    values = {"chiplets": 2, "die_bytes_per_s": 5e8, "die_s": 1e-7, "die_j_per_bit": 5e-12}
    chip = wired(2, "bus", private=True, **values)
    programs = [fixed("a", 1e-3), fixed("b", 1e-3)]
    tasks = pipeline_tasks("net", programs, chip, Trace((0.0,)), (0, 1), bytes_between=(5000.0,))
    assert tasks[1].receive == (0, 5000.0)
    timeline = simulate(chip, tasks, Policy(horizon_s=0.01), trace=True)
    first = 1e-7 + 2e-8  # the die link and a hop on either bus
    assert timeline.jobs[1].finish_s == pytest.approx(2e-3 + 5000.0 / 5e8 + first, rel=1e-9)
    assert timeline.energy_j["noc_hops"] == pytest.approx(8 * 5000.0 * (5e-12 + 2e-12), rel=1e-9)
    assert timeline.busy_s["die1"] == pytest.approx(1e-5, rel=1e-9)
    assert [i.layer for i in timeline.intervals if i.task == "net.1"] == ["receive", "b"]
    shared = pipeline_tasks(
        "net", programs, wired(2, "bus"), Trace((0.0,)), (0, 1), bytes_between=(5000.0,)
    )
    assert shared[1].receive is None


def test_partitioning_pins_the_heaviest_to_the_least_loaded() -> None:
    tasks = [
        Task(f"t{k}", fixed(f"t{k}", t), Periodic(100.0), cores=(0, 1))
        for k, t in enumerate((1e-3, 4e-3, 3e-3, 2e-3))
    ]
    pinned = partition(tasks, make_chip(cores=2))
    assert [task.cores for task in pinned] == [(0,), (0,), (1,), (1,)]
    timeline = simulate(make_chip(cores=2, static=()), pinned, Policy(horizon_s=0.1))
    assert timeline.offered_load["core0"] == pytest.approx(0.5)
    assert timeline.offered_load["core1"] == pytest.approx(0.5)


def test_everything_is_conserved_on_a_mesh_with_preemption() -> None:
    chip = wired(4, "mesh", bytes_per_s=1.5e9)
    layers = [make_layer(f"l{k}", steps=9, dram=700.0, fill_other=90.0) for k in range(3)]
    program = make_program("p", layers)
    tasks = [
        Task(f"t{k}", program, Trace(tuple(j * 2e-5 for j in range(10))), 1e-4, cores=(0, 1, 2, 3))
        for k in range(3)
    ]
    timeline = simulate(chip, tasks, Policy("edf", "layer", horizon_s=0.1))
    assert sum(timeline.completed.values()) == 30
    each = sum(seg.count * seg.link_bytes[0] for seg in program.segments)
    assert timeline.link_bytes["dram"] == pytest.approx(30 * each, rel=1e-9)
    assert timeline.busy_s["noc0.port"] == pytest.approx(30 * each / 1.5e9, rel=1e-9)
    macs = 30 * sum(layer.counts["mac.int8.int8"] for layer in layers)
    assert timeline.energy_j["mac"] == pytest.approx(macs * 1e-12, rel=1e-9)

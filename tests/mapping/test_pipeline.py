"""Layers pipelined in space: stages against all partitions, rows against a walk, contexts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import UnmappableError
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping import (
    Program,
    layer_rows,
    map_network,
    program_interval_s,
    program_latency_s,
    roofline,
)
from dse.mapping.network.contexts import (
    Ground,
    best_contexts,
    call_s,
    needs_of,
    one_context,
    passing_bytes,
)
from dse.mapping.network.laying import lay_out
from dse.mapping.network.lines import Operand, Rows, depth, held_bytes, lags, rows_of
from dse.mapping.network.pipeline import PipelinePlan, map_pipeline
from dse.mapping.network.stages import SPLITS, Task, balance
from dse.workload.layer import Workload
from dse.workload.load import load_model

from .conftest import make_chip
from .test_fusion import chain

tasks_of = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 5), st.lists(st.integers(1, 9), max_size=3)),
    min_size=1,
    max_size=5,
).map(
    lambda rows: [
        (Task(tuple(zip((1, 2, 3, 4), (alone, *others), strict=False))), float(need))
        for alone, need, others in rows
    ]
)
Laid = list[tuple[Task, float]]


def stagings(
    tasks: list[Task], cores: int, first: int, stop: int
) -> Iterator[list[tuple[int, int, int]]]:
    """Every way to cut layers into stages: runs on a core, or a layer on several."""
    if first == stop:
        yield []
        return
    for end in range(first + 1, stop + 1):
        for number in SPLITS if end == first + 1 else (1,):
            if number <= cores:
                for rest in stagings(tasks, cores - number, end, stop):
                    yield [(first, end, number), *rest]


def slowest(tasks: list[Task], stages: list[tuple[int, int, int]]) -> float:
    return max(sum(task.on(number) for task in tasks[a:b]) for a, b, number in stages)


@settings(max_examples=150, deadline=None)
@given(laid=tasks_of, cores=st.integers(1, 5), room=st.integers(2, 12))
def test_no_staging_is_faster(laid: Laid, cores: int, room: int) -> None:
    tasks, needs = [task for task, _ in laid], [need for _, need in laid]
    for first in range(len(tasks)):
        found = balance(tasks, needs[first:], cores, room, first)
        for stop in range(first + 1, len(tasks) + 1):
            if sum(needs[first:stop]) > cores * room:
                assert found.interval_s(stop - first) == float("inf")
                break
            ways = list(stagings(tasks, cores, first, stop))
            best = min(slowest(tasks, way) for way in ways)
            assert found.interval_s(stop - first) == pytest.approx(best)
            if ways:
                shares = found.shares(stop - first)
                made = [(s.first, s.last + 1, s.cores) for s in shares]
                assert made in ways
                assert slowest(tasks, made) == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(laid=tasks_of, cores=st.integers(1, 5), room=st.integers(2, 12))
def test_more_cores_and_more_room_never_are_slower(laid: Laid, cores: int, room: int) -> None:
    tasks, needs = [task for task, _ in laid], [need for _, need in laid]
    count = len(tasks)
    now = balance(tasks, needs, cores, room).interval_s(count)
    assert balance(tasks, needs, cores + 1, room).interval_s(count) <= now
    assert balance(tasks, needs, cores, room + 1).interval_s(count) <= now


@settings(max_examples=60, deadline=None)
@given(laid=tasks_of, cores=st.integers(1, 3), batch=st.integers(1, 4))
def test_no_contexts_are_faster(laid: Laid, cores: int, batch: int) -> None:
    """All cuts into contexts, each with its best stages."""
    tasks, weights = [task for task, _ in laid], [3.0 * need for _, need in laid]
    count = len(tasks)
    rows = tuple(
        Rows((Operand(f"t{n}", 4.0, 0.25, 0.25),), 4, (f"t{n + 1}",)) for n in range(count)
    )
    ground = Ground(
        tasks, rows, weights,
        lambda a, b: (float(a + 1), float(b + 2)), cores, 9.0, 2.0, 0.1,
    )  # fmt: skip
    made = best_contexts(ground, batch)
    best = float("inf")
    for cuts in itertools.product((False, True), repeat=count - 1):
        edges = [0, *(n + 1 for n, cut in enumerate(cuts) if cut), count]
        total = 0.0
        for a, b in itertools.pairwise(edges):
            stage_s = balance(tasks, needs_of(ground, a), cores, 9.0, a).interval_s(b - a)
            moved = (a + 1 + b - 1 + 2) / 2.0
            pace = max(stage_s, moved)
            busy = [min(1.0, task.alone_s / pace) if pace < float("inf") else 1 for task in tasks]
            deep = depth(rows[a:b], lags(rows[a:b], busy[a:b]))
            total += sum(weights[a:b]) / 2.0 + 0.1 * (b - a)
            total += max((deep + batch - 1) * stage_s, batch * moved)
        best = min(best, total)
    if made is None:
        assert best == float("inf")
        return
    assert sum(call_s(ground, one, batch) for one in made) == pytest.approx(best)
    whole = one_context(ground)
    assert whole is None or call_s(ground, whole, batch) >= best * (1.0 - 1e-9)


# Rows


def walked(rows: tuple[Rows, ...], source_rows: int) -> list[float]:
    """When each layer's first row is whole, by a walk over rows: a row is made when all that it
    reads is there, and a layer makes them at the rate of frames at most."""
    there: dict[str, list[float]] = {}
    out = []
    for layer in rows:
        times: list[float] = []
        for row in range(layer.rows):
            begin = times[-1] if times else 0.0
            for one in layer.operands:
                known = there.get(one.name, [n / source_rows for n in range(source_rows)])
                ahead = round(one.wait * len(known))
                at = min(len(known) - 1, row * len(known) // layer.rows + ahead)
                begin = max(begin, known[at])
            times.append(begin + 1.0 / layer.rows)
        there |= dict.fromkeys(layer.results, times)
        out.append(times[0])
    return out


@settings(max_examples=40, deadline=None)
@given(
    taps=st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=4),
    strided=st.booleans(),
)
def test_lags_are_those_of_a_walk_over_rows(taps: list[int], strided: bool) -> None:
    net = chain([(8, tap, 2 if strided and n == 0 else 1, 0) for n, tap in enumerate(taps)], 16)
    rows = rows_of(net)
    first = round(rows[0].operands[0].bytes) and rows[0].rows * (2 if strided else 1)
    assert list(lags(rows)) == pytest.approx(walked(rows, first))


def test_a_window_holds_its_rows_and_those_that_arrive() -> None:
    net = chain([(8, 3, 1, 0), (8, 1, 1, 0)], 16)
    rows = rows_of(net)
    held = held_bytes(rows, lags(rows))
    # Three rows of the window and one that arrives; one and one for a filter of one tap.
    assert held[0] == pytest.approx(rows[0].operands[0].bytes * 4 / 16)
    assert held[1] == pytest.approx(rows[1].operands[0].bytes * 2 / 16)


def test_what_skips_layers_waits_for_the_way_around() -> None:
    around = [
        Rows((Operand("in", 100.0, 0.0, 0.1),), 10, ("a",)),
        Rows((Operand("a", 100.0, 0.1, 0.2),), 10, ("b",)),
        Rows((Operand("b", 100.0, 0.1, 0.2),), 10, ("c",)),
        Rows((Operand("c", 100.0, 0.0, 0.1), Operand("a", 100.0, 0.0, 0.1)), 10, ("d",)),
    ]
    behind = lags(around)
    assert behind == pytest.approx((0.1, 0.3, 0.5, 0.6))
    # Of a: from 0.1 to 0.6 frames, and the row that arrives.
    assert held_bytes(around, behind)[3] == pytest.approx(100 * (0.1 + 0.1) + 100 * (0.5 + 0.1))
    assert depth(around, behind) == pytest.approx(0.6 + 0.9)
    # Layers that take a tenth of the frame time lag by their windows, hardly by their own work.
    assert lags(around, [0.1] * 4)[-1] == pytest.approx(0.2 + 4 * 0.01)


def test_what_has_no_rows_waits_for_all() -> None:
    net = load_model("resnet8").at()
    rows = rows_of(net)
    behind = lags(rows)
    pool = next(n for n, layer in enumerate(net.layers) if layer.kind == "vector")
    assert behind[pool] - behind[pool - 1] >= 1.0 - 1.0 / rows[pool - 1].rows
    assert held_bytes(rows, behind)[pool] < net.layers[pool].i_bytes  # sums, not the whole input


def test_passing_bytes_are_those_of_edges_that_cross() -> None:
    net = load_model("resnet8").at()
    passing = passing_bytes(net)
    count = len(net.layers)
    ends = sum(net.tensors[name].bytes for name in net.inputs)
    assert passing(0, count - 1) == (ends, sum(net.tensors[name].bytes for name in net.outputs))
    for cut in range(1, count):
        out, into = passing(0, cut - 1)[1], passing(cut, count - 1)[0]
        assert into == out  # here all that is made is read on


# Programs


def pipelined(**changes: object) -> Chip:
    values = {"execution": "pipelined", "cores": 8, "buffer.bytes": 1 << 18, **changes}
    return load_chip("edge_vision", overrides=values)


@pytest.fixture(scope="module")
def net() -> Workload:
    return load_model("resnet8").at()


def dram_bytes(program: Program) -> float:
    return sum(seg.count * seg.link_bytes[0] for seg in program.segments)


def test_only_input_and_output_cross_the_dram(net: Workload) -> None:
    chip = pipelined()
    made = map_network(net, chip)
    ends = sum(net.tensors[name].bytes for name in (*net.inputs, *net.outputs))
    assert made.contexts == 1
    assert made.cores == 8
    assert dram_bytes(made) == pytest.approx(ends)
    turn = map_network(net, load_chip("edge_vision", overrides={"cores": 8}))
    assert dram_bytes(made) <= dram_bytes(turn) * (1.0 + 1e-9)


def test_throughput_grows_with_cores_and_bounds_hold(net: Workload) -> None:
    times = []
    for cores in (2, 3, 4, 6, 8, 12):
        chip = pipelined(cores=cores)
        made, bound = map_network(net, chip), roofline(net, chip)
        interval, latency = program_interval_s(made, chip), program_latency_s(made, chip)
        times.append(interval - made.invoke_s)
        assert bound.interval_s <= interval <= latency
        assert bound.latency_s <= latency
        rows = layer_rows(made, chip)
        assert sum(row.latency_s for row in rows) == pytest.approx(interval - made.invoke_s)
        assert sum(s.ideal_cycles for s in made.schedules) <= interval * chip.f_hz * (1 + 1e-9)
    assert times == sorted(times, reverse=True)
    assert times[-1] < 0.5 * times[0]


def test_a_network_beyond_the_buffers_is_loaded_in_contexts(net: Workload) -> None:
    small = pipelined(cores=2, **{"buffer.bytes": 40 * 1024})
    made = map_network(net, small)
    stored = sum(one.w_bytes + one.b_bytes for one in net.layers)
    assert made.contexts > 1
    assert not made.resident_bytes
    assert dram_bytes(made) > stored
    assert program_interval_s(made, small) == program_latency_s(made, small)
    many = load_model("resnet8@batch=8").at()
    eight = map_network(many, small)
    one_s, eight_s = program_latency_s(made, small), program_latency_s(eight, small)
    assert one_s < eight_s < 8 * one_s  # the weights are loaded once for the batch
    assert eight.contexts >= made.contexts


def test_a_batch_of_one_context_takes_frames_times_the_interval(net: Workload) -> None:
    chip = pipelined()
    one, four = map_network(net, chip), map_network(load_model("resnet8@batch=4").at(), chip)
    at = program_interval_s(one, chip) - one.invoke_s
    assert program_interval_s(four, chip) - four.invoke_s == pytest.approx(4 * at)
    assert four.drain_cycles == pytest.approx(one.drain_cycles)
    for name, amount in one.schedules[0].counts.items():
        assert four.schedules[0].counts[name] == pytest.approx(4 * amount)


def test_the_plan_says_what_the_program_does(net: Workload) -> None:
    chip = pipelined()
    plan, made = map_pipeline(net, chip), map_network(net, chip)
    assert plan.interval_s == pytest.approx(program_interval_s(made, chip))
    assert plan.latency_s == pytest.approx(program_latency_s(made, chip))
    assert len(plan.stages) > 1  # layers on cores of their own, not all on all
    assert [s.first for s in plan.stages] == [0, *(s.last + 1 for s in plan.stages[:-1])]
    assert max(s.seconds for s in plan.stages) <= plan.interval_s * (1.0 + 1e-9)
    held = sum(s.weight_bytes + s.line_bytes for s in plan.stages)
    assert held <= chip.cores * chip.buffer.capacity_bytes
    assert 0.0 < plan.utilization <= 1.0 + 1e-9


def test_energy_of_the_array_is_that_of_layers_in_turn(net: Workload) -> None:
    """The same products at the same price, however the layers lie."""
    side, turn = map_network(net, pipelined()), map_network(net, load_chip("edge_vision"))

    def macs(program: Program) -> float:
        return sum(
            amount
            for made in program.schedules
            for name, amount in made.counts.items()
            if name.startswith("mac.")
        )

    assert macs(side) == pytest.approx(macs(turn))


def test_others_on_the_chip_load_it_at_every_call(net: Workload) -> None:
    chip = pipelined()
    alone, shared = map_network(net, chip), map_network(net, chip, shared=True)
    kept = map_network(net, chip, shared=True, keep_bytes=1e9)
    assert dram_bytes(shared) > dram_bytes(alone)
    assert kept.segments == alone.segments


def test_more_cores_more_throughput() -> None:
    net = chain([(16, 3, 1, 0), (16, 3, 1, 0), (16, 3, 1, 0), (16, 3, 1, 0)], 16)
    plans: list[PipelinePlan] = [
        map_pipeline(net, make_chip(8, 8, cores=cores, buffer_bytes=64 * 1024, dram=1e12))
        for cores in (1, 2, 4, 8)
    ]
    rates = [plan.throughput_per_s for plan in plans]
    assert rates == sorted(rates)
    assert rates[2] > 2.5 * rates[0]


def test_what_does_not_fit_is_named() -> None:
    net = chain([(64, 3, 1, 0), (64, 3, 1, 0)], 16)
    with pytest.raises(UnmappableError, match=r"layer conv1: weights of 36864 .* room is 4096"):
        map_pipeline(net, make_chip(8, 8, buffer_bytes=4096, cores=2))


def test_layers_are_laid_out_on_no_more_cores_than_asked(net: Workload) -> None:
    made = lay_out(net, pipelined(), "edp", cores=3)
    assert max(sum(s.cores for s in one.shares) for one in made.contexts) <= 3

"""Addresses: nothing overlaps, nothing lies outside, and what is lost is what is reported."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import UnmappableError
from dse.mapping.memory.addresses import Arena, Interval, aligned, allocate, peak_bytes
from dse.mapping.memory.plan import plan_memory
from dse.mapping.memory.tensors import lifetimes
from dse.mapping.network.program import map_network
from dse.workload.layer import Workload

from .conftest import make_chip
from .test_fusion import chain
from .test_network import network

TENSORS = st.lists(
    st.tuples(st.integers(1, 2000), st.integers(0, 12), st.integers(0, 5)), min_size=1, max_size=14
)


def intervals(parts: list[tuple[int, int, int]]) -> list[Interval]:
    return [Interval(f"t{n}", size, at, at + life) for n, (size, at, life) in enumerate(parts)]


@settings(max_examples=150)
@given(parts=TENSORS, slack=st.floats(0.3, 2.0))
def test_nothing_overlaps(parts: list[tuple[int, int, int]], slack: float) -> None:
    tensors = intervals(parts)
    capacity = slack * peak_bytes(tensors)
    found, stuck = allocate(tensors, capacity)
    if found is None:
        assert stuck in tensors
        arena = Arena(capacity)
        assert [one for one in tensors if arena.place(one)] != tensors or capacity < 64 * len(parts)
        return
    assert set(found.offsets) == {one.name for one in tensors}
    for one in tensors:
        assert found.offsets[one.name] >= 0
        assert found.offsets[one.name] + one.bytes <= capacity
    for one, other in itertools.combinations(tensors, 2):
        if one.last < other.first or other.last < one.first:
            continue
        a, b = found.offsets[one.name], found.offsets[other.name]
        assert a + one.bytes <= b or b + other.bytes <= a
    assert found.peak_bytes == peak_bytes(tensors) <= found.top_bytes <= capacity
    assert 0.0 <= found.fragmentation < 1.0


@settings(max_examples=60)
@given(parts=TENSORS)
def test_enough_room_is_enough(parts: list[tuple[int, int, int]]) -> None:
    tensors = intervals(parts)
    found, _ = allocate(tensors, sum(aligned(one.bytes) for one in tensors))
    assert found is not None
    alive = [sum(t.bytes for t in tensors if t.first <= n <= t.last) for n in range(20)]
    assert found.peak_bytes == max(alive)


def test_best_fit_takes_the_tightest_gap() -> None:
    arena = Arena(10_000)
    for one in (
        Interval("low", 1024, 0, 0), Interval("wall", 512, 0, 9), Interval("mid", 256, 0, 0),
        Interval("top", 512, 0, 9),
    ):  # fmt: skip
        assert arena.place(one)
    assert arena.place(Interval("small", 200, 1, 2))  # 256 free between the walls, 1024 below
    assert arena.offsets["small"] == arena.offsets["mid"]
    assert not arena.place(Interval("huge", 9000, 1, 2))
    assert "huge" not in arena.offsets


@pytest.mark.parametrize("room", [4000, 9000, 40000])
def test_plans_have_addresses(room: int) -> None:
    net: Workload = network()
    lives = lifetimes(net)
    for share in (0.25, 0.5, 1.0):
        plan = plan_memory(net, make_chip(8, 8, buffer_bytes=room), share)
        assert set(plan.offsets) == set(plan.kept)
        assert plan.peak_bytes <= plan.top_bytes <= share * room
        for one, other in itertools.combinations(plan.kept, 2):
            a, b = lives[one], lives[other]
            if a.last < b.first or b.last < a.first:
                continue
            start, end = plan.offsets[one], plan.offsets[other]
            assert start + a.bytes <= end or end + b.bytes <= start
    assert "activations take" in " ".join(map_network(net, make_chip(8, 8)).notes)


def test_a_gap_that_is_not_there_is_named() -> None:
    """Bytes would do, but no address is free for the tensor's whole life."""
    net = chain([(16, 3, 1, 0), (4, 1, 1, 0), (16, 3, 1, 0), (4, 1, 1, 0)], 8)
    lives = lifetimes(net)
    peak = max(
        sum(life.bytes for life in lives.values() if life.first <= n <= life.last)
        for n in range(len(net.layers))
    )
    fits = make_chip(8, 8, dram=0.0, nvm=1e9, nvm_bytes=1e6, l2=4e9, l2_bytes=peak + 64)
    plan = plan_memory(net, fits)
    assert plan.top_bytes <= peak + 64
    tight = replace(
        fits, links={**fits.links, "l2": replace(fits.links["l2"], capacity_bytes=peak - 1)}
    )
    with pytest.raises(UnmappableError, match="bytes of activations are alive"):
        plan_memory(net, tight)

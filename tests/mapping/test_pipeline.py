"""Layers pipelined in space: the partition against all partitions, and what does not fit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import UnmappableError
from dse.mapping.network.pipeline import PipelinePlan, line_bytes, map_pipeline

from .conftest import make_chip
from .test_fusion import chain


def partitions(layers: int, cores: int) -> Iterator[list[tuple[int, int, int]]]:
    """Every way to cut layers into runs on 1, 2, 4 ... cores each."""
    numbers = [n for n in (1, 2, 4, 8) if n <= cores] + (
        [cores] if cores not in (1, 2, 4, 8) else []
    )
    for cuts in range(layers):
        for places in itertools.combinations(range(1, layers), cuts):
            edges = [0, *places, layers]
            runs = list(itertools.pairwise(edges))
            for chosen in itertools.product(numbers, repeat=len(runs)):
                if sum(chosen) <= cores:
                    pairs = zip(runs, chosen, strict=True)
                    yield [(a, b - 1, n) for (a, b), n in pairs]


@settings(max_examples=12)
@given(
    cores=st.integers(1, 6),
    kib=st.sampled_from([2, 4, 8, 64]),
    channels=st.lists(st.sampled_from([4, 8, 24]), min_size=2, max_size=4),
)
def test_no_partition_is_faster(cores: int, kib: int, channels: list[int]) -> None:
    net = chain([(out, 3, 1, 0) for out in channels], 12)
    chip = make_chip(8, 8, buffer_bytes=kib * 1024, cores=cores, dram=1e12)
    # Seconds of a layer alone on n cores: a pipeline of that one layer with so many cores.
    try:
        plan = map_pipeline(net, chip)
    except UnmappableError:
        assert not list(_fitting(net, cores, kib * 1024))
        return
    assert plan.cores <= cores
    best = min(
        max(_seconds(net, chip, a, b, n) for a, b, n in runs)
        for runs in _fitting(net, cores, kib * 1024)
    )
    assert plan.interval_s == pytest.approx(best, rel=1e-9)
    assert plan.latency_s == pytest.approx(
        chip.overheads.invoke_s + sum(stage.seconds for stage in plan.stages)
    )
    assert all(stage.bytes_per_core <= kib * 1024 for stage in plan.stages)
    assert [s.first for s in plan.stages] == [0, *(s.last + 1 for s in plan.stages[:-1])]
    assert 0.0 < plan.utilization <= 1.0 + 1e-9


def _fitting(net, cores, room):  # type: ignore[no-untyped-def]
    need = [layer.w_bytes + layer.b_bytes + line_bytes(layer) for layer in net.layers]
    for runs in partitions(len(need), cores):
        if all(sum(need[a : b + 1]) / n <= room for a, b, n in runs):
            yield runs


def _seconds(net, chip, first, last, cores):  # type: ignore[no-untyped-def]
    total = 0.0
    for layer in net.layers[first : last + 1]:
        roomy = replace(chip, cores=cores, buffer=replace(chip.buffer, capacity_bytes=1 << 30))
        plan = map_pipeline(net.with_layers((layer,)), roomy)
        times = {plan.stages[0].cores: plan.stages[0].seconds}
        if cores not in times:  # fewer cores do as well: the time on all of them is asked for
            from dse.mapping.network.pipeline import _work

            times[cores] = _work(layer, chip, "edp", (cores,)).seconds[cores]
        total += times[cores]
    return total


def test_more_cores_more_throughput_same_order_of_latency() -> None:
    net = chain([(16, 3, 1, 0), (16, 3, 1, 0), (16, 3, 1, 0), (16, 3, 1, 0)], 16)
    plans: list[PipelinePlan] = [
        map_pipeline(net, make_chip(8, 8, cores=cores, buffer_bytes=64 * 1024, dram=1e12))
        for cores in (1, 2, 4, 8)
    ]
    rates = [plan.throughput_per_s for plan in plans]
    assert rates == sorted(rates)
    assert rates[2] > 2.5 * rates[0]
    assert plans[2].latency_s <= plans[0].latency_s * 1.01


def test_what_does_not_fit_is_named() -> None:
    net = chain([(64, 3, 1, 0), (64, 3, 1, 0)], 16)
    with pytest.raises(UnmappableError, match=r"layer conv1: weights of 36864 .* room is 4096"):
        map_pipeline(net, make_chip(8, 8, buffer_bytes=4096, cores=2))
    with pytest.raises(UnmappableError, match="2 cores of 22000 bytes do not hold them"):
        map_pipeline(net, make_chip(8, 8, buffer_bytes=22000, cores=2))

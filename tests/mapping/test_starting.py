"""What an inference costs beside its work: calls, tokens, crossings to the host, prefetching."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import dse
from dse.hardware.chip import Chip
from dse.mapping.ir.schedule import (
    NO_BYTES,
    add_bytes,
    layer_latencies_s,
    program_latency_s,
)
from dse.mapping.ir.starting import crossings, restarted
from dse.mapping.network.bounds import roofline_energy_j, roofline_latency_s
from dse.mapping.network.fallback import on_chip
from dse.mapping.network.program import layer_rows, map_network, program_energy_j
from dse.simulation.run import simulate_alone
from dse.workload.layer import Tensor, Workload

from .conftest import make_chip
from .test_network import network

CROSSING_S = 3e-5


def with_software(chip: Chip, *, operators: tuple[str, ...] | None = None, **figures: Any) -> Chip:
    host = replace(chip.host, macs_per_s=2.0 * chip.host.ops_per_s)
    overheads = replace(chip.overheads, operators=operators, **figures)
    prices = {**chip.prices, "host.op": 2e-12}
    scopes = {**chip.action_scope, "host.op": "die"}
    return replace(chip, host=host, overheads=overheads, prices=prices, action_scope=scopes)


CHIP = make_chip(8, 8, buffer_bytes=64 * 1024)


def test_changes_of_side_are_counted_from_layer_to_layer() -> None:
    assert crossings([False, True, True, False]) == (False, True, False, True)
    assert crossings([True, False]) == (False, True)
    assert crossings([]) == ()


def test_a_list_of_all_operators_changes_nothing() -> None:
    net = network()
    assert on_chip(net, CHIP) is net
    every = with_software(CHIP, operators=("Conv", "Gemm", "Pool"), crossing_s=CROSSING_S)
    assert on_chip(net, every) is net
    made = map_network(net, with_software(CHIP))
    assert map_network(net, every).segments == made.segments


@pytest.mark.parametrize("missing", ["Pool", "Gemm"])
def test_what_is_not_listed_runs_on_the_host(missing: str) -> None:
    net = network()
    known = tuple(sorted({"Conv", "Gemm", "Pool"} - {missing}))
    chip = with_software(CHIP, operators=known, crossing_s=CROSSING_S)
    program = map_network(net, chip, "latency")
    rows = layer_rows(program, chip)
    assert {row.op for row in rows if row.unit == "host"} == {missing}
    crossed = [made for made in program.schedules if made.crosses]
    last = missing == "Gemm"  # nothing comes behind it
    assert len(crossed) == (1 if last else 2)
    for made in crossed:
        extra = made.launch_cycles - chip.overheads.launch_cycles
        assert extra == pytest.approx(CROSSING_S * chip.f_hz)
        assert made.counts["host.op"] >= CROSSING_S * chip.host.ops_per_s
    assert any(f"on the host: {missing} 1" in note for note in program.notes)

    latency = program_latency_s(program, chip)
    assert sum(layer_latencies_s(program, chip)) + program.invoke_s == pytest.approx(latency)
    assert simulate_alone(chip, program).horizon_s == pytest.approx(latency, rel=0.02)
    assert roofline_latency_s(net, chip) <= latency
    assert roofline_energy_j(net, chip) <= program_energy_j(program, chip)
    assert latency > program_latency_s(map_network(net, CHIP, "latency"), CHIP)


def test_macs_that_fall_back_take_the_hosts_time() -> None:
    net = network()
    chip = with_software(CHIP, operators=("Conv", "Pool"))
    (head,) = [layer for layer in on_chip(net, chip).layers if layer.op == "Gemm"]
    work = sum(amount for _, amount in head.vector_ops)
    assert head.kind == "host"
    assert work / chip.host.ops_per_s == pytest.approx(
        net.layer("head").macs / chip.host.macs_per_s
    )


def with_cache(net: Workload) -> Workload:
    """The network as if it added to a cache of keys and values."""
    last = replace(net.layers[-1], outputs=(*net.layers[-1].outputs, "present"))
    tensors = {**net.tensors, "present": Tensor("present", (1,), "kv")}
    return replace(net, layers=(*net.layers[:-1], last), tensors=tensors)


def test_what_only_reads_a_cache_is_no_language_model() -> None:
    """The action step of a policy looks at the keys of its prefill, and picks no token."""
    found = {
        name: dse.load_model(name).at("w8a8")
        for name in ("smolvla_prefill", "smolvla_action_step", "qwen2_0.5b_decode")
    }
    assert [net.language for net in found.values()] == [True, False, True]
    assert all(any(t.role == "kv" for t in net.tensors.values()) for net in found.values())


def test_a_run_of_a_language_model_costs_a_token_at_least() -> None:
    chip = with_software(CHIP, token_s=5e-3)
    plain, language = network(), with_cache(network())
    assert not plain.language
    assert language.language
    runs = [map_network(net, chip) for net in (plain, language)]
    starts = len(runs[0].schedules) * chip.overheads.launch_cycles / chip.f_hz
    assert runs[1].invoke_s + starts == pytest.approx(5e-3)
    gap = roofline_latency_s(language, chip) - roofline_latency_s(plain, chip)
    assert gap == pytest.approx(5e-3 - chip.overheads.invoke_s)
    assert roofline_latency_s(language, chip) <= program_latency_s(runs[1], chip)
    short = with_software(CHIP, token_s=0.5 * starts)
    assert map_network(language, short).invoke_s == chip.overheads.invoke_s


def test_software_that_starts_layers_one_by_one_exposes_their_first_weights() -> None:
    net = network(channels=32)
    ahead = with_software(CHIP)
    behind = with_software(CHIP, prefetches=False)
    programs = [map_network(net, chip, "latency", fuse=False) for chip in (ahead, behind)]
    seconds = [
        program_latency_s(program, chip)
        for program, chip in zip(programs, (ahead, behind), strict=True)
    ]
    assert seconds[1] > seconds[0]
    fills = {seg.layer: seg.link_bytes for seg in programs[1].segments if seg.stage == "fill"}
    for number, made in enumerate(programs[1].schedules):
        whole = add_bytes(made.fill_weight, made.fill_other)
        assert fills.get(number, NO_BYTES) == pytest.approx(whole)
    assert simulate_alone(behind, programs[1]).horizon_s == pytest.approx(seconds[1], rel=0.02)


def test_another_draw_moves_the_starts_and_nothing_else() -> None:
    net = with_cache(network())
    chip = with_software(CHIP, operators=("Conv", "Gemm"), crossing_s=CROSSING_S, token_s=1e-3)
    program = map_network(net, chip)
    assert restarted(program, chip) is program
    overheads = chip.overheads
    drawn = with_software(
        chip,
        operators=overheads.operators,
        launch_cycles=2.0 * overheads.launch_cycles,
        invoke_s=3.0 * overheads.invoke_s,
        token_s=2e-3,
        crossing_s=0.5 * CROSSING_S,
    )
    moved = restarted(program, drawn)
    layers, changes = len(program.schedules), sum(made.crosses for made in program.schedules)
    assert program.invoke_s + overheads.launch_cycles / chip.f_hz * layers == pytest.approx(1e-3)
    more = 1e-3  # a token more, with twice the launches and three times the call in it
    more -= 0.5 * CROSSING_S * changes
    assert changes == 2
    before, after = program_latency_s(program, chip), program_latency_s(moved, drawn)
    assert after - before == pytest.approx(more)
    called = replace(program, invoke_s=0.0)  # a later part of a pipeline
    assert restarted(called, drawn).invoke_s == 0.0


def test_a_batch_in_parts_is_restarted_part_by_part() -> None:
    chip = with_software(CHIP)
    whole = map_network(network(), chip)
    twice = replace(whole, segments=(*whole.segments, *whole.segments), parts=2)
    slow = with_software(CHIP, launch_cycles=2.0 * chip.overheads.launch_cycles)
    launches = [seg for seg in restarted(twice, slow).segments if seg.stage == "launch"]
    assert len(launches) == 2 * len(whole.schedules)
    assert {seg.layer for seg in launches} == set(range(len(whole.schedules)))
